"""Exact scans: the best rows for each query by matrix products, block by block.

Ranks here are those of `Graph.search`: inner product, or minus the squared distance but for the query's own square. A
product in float32 is off by a little, so every row within that error of the k-th is a candidate; the caller scores them
one by one. Hence exact means exact, also where large norms cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.query.scoring import Matrix

Slots: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

BLOCK_FLOATS = 1 << 20  # 4 MB of rows at a time: about a core's share of the cache, and the products fit beside it
_EPSILON = float(np.finfo(np.float32).eps)


class Block(NamedTuple):
    """Rows to scan: their slots and vectors, and which of them count (None: all)."""

    slots: Slots
    rows: Matrix
    alive: Mask | None


def blocks_of_range(rows: Matrix, alive: Mask, start: int, end: int) -> Iterator[Block]:
    """Slots `start`..`end`; `alive` belongs to them in order."""
    step = max(1, BLOCK_FLOATS // max(1, rows.shape[1]))
    for low in range(start, end, step):
        high = min(end, low + step)
        mask = alive[low - start : high - start]
        if mask.any():
            yield Block(np.arange(low, high, dtype=np.int64), rows[low:high], None if mask.all() else mask)


def blocks_of_copy(slots: Slots, rows: Matrix, alive: Mask) -> Iterator[Block]:
    """Rows that lie together in the order of `slots`."""
    step = max(1, BLOCK_FLOATS // max(1, rows.shape[1]))
    for low in range(0, len(slots), step):
        mask = alive[low : low + step]
        if mask.any():
            yield Block(slots[low : low + step], rows[low : low + step], None if mask.all() else mask)


def blocks_of_slots(rows: Matrix, slots: Slots) -> Iterator[Block]:
    """The rows of some slots, copied together block by block."""
    step = max(1, BLOCK_FLOATS // max(1, rows.shape[1]))
    for low in range(0, len(slots), step):
        part = slots[low : low + step]
        yield Block(part, rows[part], None)


def ranks_of(queries: Matrix, rows: Matrix, metric: str) -> Matrix:
    """Ranks of all `rows` for all `queries`, shape (queries, rows)."""
    products = queries @ rows.T
    if metric == "l2":
        products *= 2.0
        products -= np.einsum("ij,ij->i", rows, rows)
    return products


def margins(queries: Matrix, largest: float, metric: str) -> Matrix:
    """How far two ranks of one query may be apart and yet belong in the other order; `largest`: longest row, squared.

    Rounding of a sum of d products grows like sqrt(d) in practice; 8 times that leaves room for unkind data.
    """
    squares = np.einsum("ij,ij->i", queries, queries)
    scale = squares + largest if metric == "l2" else np.sqrt(squares * largest)
    return np.asarray(8.0 * _EPSILON * np.sqrt(queries.shape[1]) * scale, dtype=np.float32)


def scan(queries: Matrix, blocks: Iterator[Block], k: int, metric: str) -> list[tuple[Slots, Matrix]]:
    """For each query the slots and ranks of its k best rows and of all that might tie with the last; unordered."""
    count = len(queries)
    slots: list[list[Slots]] = [[] for _ in range(count)]
    ranks: list[list[Matrix]] = [[] for _ in range(count)]
    kept = np.zeros(count, dtype=np.int64)
    floor = np.full(count, -np.inf, dtype=np.float32)  # the k-th best rank so far
    margin = np.zeros(count, dtype=np.float32)
    for block in blocks:
        found = ranks_of(queries, block.rows, metric)
        if block.alive is not None:
            found[:, ~block.alive] = -np.inf
        largest = float(np.einsum("ij,ij->i", block.rows, block.rows).max()) if metric != "cosine" else 1.0
        margin = np.maximum(margin, margins(queries, largest, metric))
        if found.shape[1] > k and not kept.all():
            floor = np.maximum(floor, np.partition(found, found.shape[1] - k, axis=1)[:, found.shape[1] - k])
        row, column = np.nonzero((found >= (floor - margin)[:, None]) & (found > -np.inf))
        bounds = np.searchsorted(row, np.arange(count + 1))
        for query in np.flatnonzero(np.diff(bounds)).tolist():
            picked = column[bounds[query] : bounds[query + 1]]
            slots[query].append(block.slots[picked])
            ranks[query].append(found[query, picked])
            kept[query] += len(picked)
            if kept[query] > 4 * k + 64:  # what the floor has overtaken meanwhile is let go now and then
                _tighten(slots[query], ranks[query], k, float(margin[query]))
                kept[query] = len(ranks[query][0])
                floor[query] = max(floor[query], _kth(ranks[query][0], k))
    result = []
    for query in range(count):
        _tighten(slots[query], ranks[query], k, float(margin[query]))
        result.append((slots[query][0], ranks[query][0]))
    return result


def _kth(ranks: Matrix, k: int) -> float:
    return float(np.partition(ranks, len(ranks) - k)[len(ranks) - k]) if len(ranks) > k else float("-inf")


def _tighten(slots: list[Slots], ranks: list[Matrix], k: int, margin: float) -> None:
    """One array each, without what cannot be among the k best."""
    all_slots = np.concatenate([np.empty(0, dtype=np.int64), *slots])
    all_ranks = np.concatenate([np.empty(0, dtype=np.float32), *ranks])
    possible = all_ranks >= _kth(all_ranks, k) - margin
    slots[:] = [all_slots[possible]]
    ranks[:] = [all_ranks[possible]]
