"""Fewer dimensions for a graph to walk in: those in which the vectors of a shard differ most.

A graph search spends its time on reading vectors. Real embeddings differ little in many directions, so a graph holds
their projection on the others (principal components: Pearson 1901; under a graph: LeanVec, Tepper et al. 2023), and
what it finds is ranked by whole vectors. Must not know graphs or slots. Invariant: vectors that the fit has not seen
decide how many dimensions are enough, and whether fewer are worth it at all; random vectors are never reduced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.query.scoring import prepare

if TYPE_CHECKING:
    from vectron_p2p.query.scoring import Matrix

SAMPLE, SAMPLE_BYTES = 8_192, 32 << 20  # vectors to fit: 50 ms at 384 dimensions; more change the directions little
HELD_OUT, MOST_HELD = 5, 512  # every fifth is left out of the fit, up to so many, and tells how good it is
STEP = 16  # dimensions: hnswlib's own loops take 16 at a time, and what is left over one by one
LEAST_DIMENSION = 64  # below, a hop costs more than what it reads
MOST_DIMENSION = 2_048  # the eigenvectors take a second there and ten at 4,096, of a thread of upkeep
WORTH = 0.75  # of the dimensions: a search is a fifth faster, which pays for ranking more of what it finds
# What the product of two vectors may be off, of what products differ by: of the nearest ten among 100,000 sentences,
# 0.998 are among the nearest thirty of the projection with this (208 of 384 dimensions), and 0.985 with 0.17.
NOISE = 0.12
SLACK = 10  # with as many again as are wanted
ALIKE = 1e-5  # of a score: where all differ by less, that is rounding
_TINY = float(np.finfo(np.float32).tiny)
STRAIN, STRAIN_FLOOR = 1.25, 0.01  # times the loss of the fit, and beside it: others have come than it was made for


class Projection:
    """`basis`: orthonormal columns, shape (dimension, width). `lost`: the part of its squared length that a vector
    lacks which the fit has not seen, on average. `placed`: how many were placed; `missed`: the sum of these parts.
    """

    def __init__(self, basis: Matrix, lost: float, placed: int = 0, missed: float = 0.0) -> None:
        self.basis = basis
        self.lost = lost
        self.placed = placed
        self.missed = missed

    @property
    def width(self) -> int:
        return int(self.basis.shape[1])

    @property
    def part(self) -> float:
        """Of the dimensions."""
        return float(self.width / self.basis.shape[0])

    @property
    def strained(self) -> bool:
        """Whether the vectors placed are unlike those of the fit, so that a new one is due."""
        return self.missed > (STRAIN * self.lost + STRAIN_FLOOR) * self.placed

    def settle(self) -> None:
        """It was fitted to the vectors that were placed: should they strain it nevertheless, a new one is no better."""
        self.lost = max(self.lost, self.missed / max(1, self.placed))

    def of(self, queries: Matrix) -> Matrix:
        """`queries` (n, dimension) in the dimensions of the graph, (n, width)."""
        return queries @ self.basis

    def place(self, rows: Matrix, metric: str) -> Matrix:
        """`rows` as a graph shall hold them: under cosine of length 1 again. Counted for `strained`."""
        placed = self.of(rows)
        self.placed += len(rows)
        self.missed += float(_left_out(rows, placed).sum())
        return prepare(placed, metric)

    def copy(self, rows: Matrix, metric: str) -> Matrix:
        """As `place`, of rows that were placed already."""
        return prepare(self.of(rows), metric)

    @staticmethod
    def reach(depth: int) -> int:
        """How many have to be ranked by whole vectors to know the best `depth`: see `NOISE`."""
        return 2 * depth + SLACK


def sample_size(dimension: int) -> int:
    """How many vectors `fit` has use for; 0: it would not reduce that many dimensions."""
    if not LEAST_DIMENSION <= dimension <= MOST_DIMENSION:
        return 0
    return min(SAMPLE, SAMPLE_BYTES // (4 * dimension))


def fit(rows: Matrix, metric: str) -> Projection | None:
    """A projection for vectors like `rows` (prepared); None: one that loses little enough would not be worth it."""
    count, dimension = rows.shape
    if not sample_size(dimension) or count <= dimension:
        return None
    every = max(HELD_OUT, -(-count // MOST_HELD))  # from everywhere among them
    chosen = np.ones(count, dtype=np.bool_)
    chosen[::every] = False
    held, fitted = rows[~chosen], rows[chosen]
    basis = np.linalg.eigh(fitted.T @ fitted)[1][:, ::-1]  # the largest first
    # Distances depend on products, too, of what is measured from the middle; lengths would hide how much these are off.
    width = _width((held - held.mean(axis=0) if metric == "l2" else held) @ basis)
    if width > WORTH * dimension:
        return None
    basis = np.ascontiguousarray(basis[:, :width])
    return Projection(basis, float(_left_out(held, held @ basis).mean()))


def _left_out(rows: Matrix, placed: Matrix) -> Matrix:
    """The part of each row's squared length that its projection lacks; 0 of a zero row."""
    whole, kept = np.einsum("ij,ij->i", rows, rows), np.einsum("ij,ij->i", placed, placed)
    parts: Matrix = np.where(whole > 0.0, 1.0 - kept / np.maximum(whole, _TINY), 0.0).astype(np.float32)
    return parts


def _width(places: Matrix) -> int:
    """How many of the leading columns of `places` tell the rows apart well enough."""
    dimension: int = places.shape[1]
    products = places @ places.T
    spread = _spread(products)
    if spread <= ALIKE * float(np.abs(products).max()):
        return dimension
    lost = np.zeros_like(products)
    width = dimension
    for start in range((dimension - 1) // STEP * STEP, 0, -STEP):
        beyond = places[:, start : start + STEP]
        lost += beyond @ beyond.T
        if _spread(lost) > NOISE * spread:
            break
        width = start
    return width


def _spread(products: Matrix) -> float:
    """By how much the products of two different rows differ, as a standard deviation."""
    return float(products[~np.eye(len(products), dtype=np.bool_)].std())
