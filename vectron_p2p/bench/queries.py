"""Queries of which none is asked twice in a run, so that nothing that remembers answers can help.

A data set has some hundreds of queries and a run asks many thousands. Each one asked is a query of the data set plus
one of many tiny noises, every pair once: other numbers, even after normalising, and the same neighbours but for ties
closer than the noise. So the truth of the query is that of all its variants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

NOISES = 8192  # 12 MB at 384 dimensions; times 200 queries, 1.6 million to ask
SIZE = 1e-4  # of a query's length; scores move by as much at most, and neighbours are about 1e-2 apart

DIFFERENT = 10_000  # queries that a mix of popular ones is made of
POPULAR_TURNS = 50_000  # drawn for each process: more than it asks in a window


@dataclass(frozen=True, slots=True)
class Queries:
    """Variant `n` is that of query `n % len(base)`. `start` and `stride` name those that one process may ask."""

    base: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    """Of length `SIZE`, for a query of length 1."""
    lengths: npt.NDArray[np.float32]
    """Of the queries: the time that it takes to get them is none of the client's."""
    start: int = 0
    stride: int = 1

    @property
    def total(self) -> int:
        return len(self.base) * len(self.noise)

    def number(self, turn: int) -> int:
        """The number of the `turn`-th variant that this process asks.

        Raises:
            IndexError: All were asked.
        """
        number = self.start + turn * self.stride
        if number >= self.total:
            raise IndexError(f"all {self.total:,} variants of {len(self.base):,} queries were asked")
        return number

    def vector(self, number: int) -> npt.NDArray[np.float32]:
        noise, query = divmod(number, len(self.base))
        moved: npt.NDArray[np.float32] = self.base[query] + self.noise[noise] * self.lengths[query]
        return moved

    def matrix(self, count: int) -> npt.NDArray[np.float32]:
        """The first `count` that this process asks."""
        return np.stack([self.vector(self.number(turn)) for turn in range(count)])


def moved(rows: npt.NDArray[np.float32], noise: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors, each moved by `noise` in proportion to its length."""
    return rows + noise * lengths_of(rows)


def lengths_of(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths: npt.NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    return lengths


class Supply:
    """Hands out variants of some queries of a data set, each once. `numbers[i]` is the query that `base[i]` is."""

    def __init__(self, queries: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.numbers = numbers
        self._base = queries[numbers]
        self._lengths = lengths_of(self._base)
        noise = rng.standard_normal((NOISES, queries.shape[1]), dtype=np.float32)
        noise *= np.float32(SIZE) / np.linalg.norm(noise, axis=1, keepdims=True)
        self.noise: npt.NDArray[np.float32] = noise
        self._next = 0

    def split(self, processes: int) -> list[Queries]:
        """For each process its own; say afterwards with `asked` how many were used."""
        return [
            Queries(self._base, self.noise, self._lengths, self._next + mine, processes) for mine in range(processes)
        ]

    def asked(self, turns: int, processes: int = 1) -> None:
        """No process asked more than `turns`."""
        self._next += turns * processes

    def query(self, number: int) -> int:
        """The query of the data set whose variant `number` is."""
        return int(self.numbers[number % len(self.numbers)])


@dataclass(frozen=True, slots=True)
class Popular(Queries):
    """Variants that are asked again and again, in the order given."""

    order: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))

    def number(self, turn: int) -> int:
        return int(self.order[turn % len(self.order)])


class PopularSupply(Supply):
    """Hands out the same `DIFFERENT` variants all the time, the n-th of them 1/n times as often as the first (Zipf)."""

    def split(self, processes: int) -> list[Queries]:
        ranks = np.arange(1, DIFFERENT + 1)
        shares = (1 / ranks) / (1 / ranks).sum()
        order = np.random.default_rng(self._next).choice(DIFFERENT, size=POPULAR_TURNS * processes, p=shares)
        return [
            Popular(self._base, self.noise, self._lengths, order=order[mine::processes]) for mine in range(processes)
        ]
