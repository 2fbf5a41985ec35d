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

BLOCK_FLOATS = 1 << 20  # 4 MB of rows gathered at a time: about a core's share of the cache
LINE_ROWS = 1 << 14  # rows in line, which nothing gathers: their products with 64 queries take 4 MB
# Groups of rows for each of the k best that are looked for: the k-th best of the groups' best is a rank that hardly
# more than k rows reach (1.06 k), and finding it is one pass of maxima, where a partition moves every rank about.
GROUPS, FEWEST_GROUPS = 8, 1 << 9
SPARE = 5  # slots more than wanted: ranking them costs less than the pass that would find them
_EPSILON = float(np.finfo(np.float32).eps)
_LOWEST = float(np.finfo(np.float32).min)


class Block(NamedTuple):
    """Rows to scan: their slots and vectors, and which of them count (None: all)."""

    slots: Slots
    rows: Matrix
    alive: Mask | None


def blocks_of_range(rows: Matrix, alive: Mask, start: int, end: int) -> Iterator[Block]:
    """Slots `start`..`end`; `alive` belongs to them in order."""
    for low in range(start, end, LINE_ROWS):
        high = min(end, low + LINE_ROWS)
        mask = alive[low - start : high - start]
        if mask.any():
            yield Block(np.arange(low, high, dtype=np.int64), rows[low:high], None if mask.all() else mask)


def blocks_of_copy(slots: Slots, rows: Matrix, alive: Mask | None) -> Iterator[Block]:
    """Rows that lie together in the order of `slots`; `alive` None: all count."""
    for low in range(0, len(slots), LINE_ROWS):
        part = slice(low, low + LINE_ROWS)
        yield Block(slots[part], rows[part], None if alive is None else alive[part])


def blocks_of_slots(rows: Matrix, slots: Slots) -> Iterator[Block]:
    """The rows of some slots, copied together block by block."""
    step = max(1, BLOCK_FLOATS // max(1, rows.shape[1]))
    for low in range(0, len(slots), step):
        part = slots[low : low + step]
        yield Block(part, rows.take(part, axis=0), None)


def squares_of(rows: Matrix, metric: str) -> Matrix | None:
    """Squared lengths, where a metric asks for them; None: all are 1."""
    return None if metric == "cosine" else np.asarray(np.einsum("ij,ij->i", rows, rows))


def ranks_of(queries: Matrix, rows: Matrix, squares: Matrix | None, metric: str) -> Matrix:
    """Ranks of all `rows`, which have these `squares`, for all `queries`, shape (rows, queries)."""
    products = rows @ queries.T  # in this order a few queries take two thirds of the time, or less
    if metric == "l2":
        products *= 2.0
        products -= np.asarray(squares)[:, None]
    return products


def margins(queries: Matrix, largest: float, metric: str) -> Matrix:
    """How far two ranks of one query may be apart and yet belong in the other order; `largest`: longest row, squared.

    Rounding of a sum of d products grows like sqrt(d) in practice; 8 times that leaves room for unkind data.
    """
    squares = np.einsum("ij,ij->i", queries, queries)
    scale = squares + largest if metric == "l2" else np.sqrt(squares * largest)
    return np.asarray(8.0 * _EPSILON * np.sqrt(queries.shape[1]) * scale, dtype=np.float32)


def scan(queries: Matrix, blocks: Iterator[Block], k: int, metric: str) -> list[Slots]:
    """For each query the slots of its k best rows and of all that might tie with the last, unordered, and perhaps of a
    few more.
    """
    count = len(queries)
    slots: list[list[Slots]] = [[] for _ in range(count)]
    ranks: list[list[Matrix]] = [[] for _ in range(count)]
    kept = [0] * count
    floor = np.full(count, -np.inf, dtype=np.float32)  # a rank that k reach
    largest, margin = -1.0, np.zeros(count, dtype=np.float32)
    for block in blocks:
        squares = squares_of(block.rows, metric)
        found = ranks_of(queries, block.rows, squares, metric)
        if block.alive is not None:
            found[~block.alive] = -np.inf
        longest = 1.0 if squares is None else float(squares.max(initial=0.0))
        if longest > largest:
            largest, margin = longest, margins(queries, longest, metric)
        if 0 in kept:
            floor = np.maximum(floor, _floors(found, k))
        places = (found >= np.maximum(floor - margin, _LOWEST)).ravel().nonzero()[0]
        if count == 1:
            cuts = [0, len(places)]
            values = found.ravel().take(places)
        else:
            values = found.ravel().take(places)
            places, asking = np.divmod(places, count)
            order = asking.argsort(kind="stable")
            places, values = places[order], values[order]
            cuts = asking[order].searchsorted(np.arange(count + 1)).tolist()
        picked = block.slots.take(places)
        for query, low, high in zip(range(count), cuts, cuts[1:], strict=False):
            if low == high:
                continue
            slots[query].append(picked[low:high])
            ranks[query].append(values[low:high])
            kept[query] += high - low
            if kept[query] > 4 * k + 64:  # what the floor has overtaken meanwhile is let go now and then
                _tighten(slots[query], ranks[query], k, float(margin[query]))
                kept[query] = len(ranks[query][0])
                floor[query] = max(floor[query], _kth(ranks[query][0], k))
    for query in range(count):
        if kept[query] > k + SPARE or len(slots[query]) != 1:
            _tighten(slots[query], ranks[query], k, float(margin[query]))
    return [one for (one,) in slots]


def _floors(found: Matrix, k: int) -> Matrix:
    """For each query a rank that k of `found` reach, and few others; -inf where there are fewer."""
    width, count = found.shape
    if width <= k:
        return np.full(count, -np.inf, dtype=np.float32)
    groups = max(GROUPS * k, FEWEST_GROUPS)
    if width >= 2 * groups:
        depth = width // groups
        best = found[: depth * groups].reshape(depth, groups, count).max(axis=0)
    else:
        best = found
    floors: Matrix = np.partition(best.T, best.shape[0] - k, axis=1)[:, best.shape[0] - k]
    return floors


def _kth(ranks: Matrix, k: int) -> float:
    return float(np.partition(ranks, len(ranks) - k)[len(ranks) - k]) if len(ranks) > k else float("-inf")


def _tighten(slots: list[Slots], ranks: list[Matrix], k: int, margin: float) -> None:
    """One array each, without what cannot be among the k best."""
    all_slots = np.concatenate(slots) if slots else np.empty(0, dtype=np.int64)
    all_ranks = np.concatenate(ranks) if ranks else np.empty(0, dtype=np.float32)
    possible = all_ranks >= _kth(all_ranks, k) - margin
    slots[:] = [all_slots[possible]]
    ranks[:] = [all_ranks[possible]]
