"""The next points in the order of a payload field (`query.ordering`), by what the payload index knows.

Exact for all but the `open` points, whose values it has only rounded, as hashes, or not at all: a few of them are left
to the caller, who reads their rows; with many it has nothing to say.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vectron_p2p.index.payload.fields import EXACT
from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.query.ordering import NUMBER, TEXT, Position
from vectron_p2p.query.planner import CHECK_AT_ONCE

if TYPE_CHECKING:
    import numpy.typing as npt

    from vectron_p2p.index.payload.fields import Field, Masks
    from vectron_p2p.index.payload.payload_index import PayloadIndex
    from vectron_p2p.index.slots import Ints, Mask, View
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.query.ordering import Order

    Levels = npt.NDArray[np.float64]


class InOrder(NamedTuple):
    """The next points with their positions, in order; those that may lie anywhere; whether more follow."""

    points: list[tuple[Position, PointId]]
    open: list[PointId]
    more: bool


class _Segment(NamedTuple):
    """The points whose values are of one kind, at levels that ascend in the order asked; `texts` by level."""

    kind: int
    slots: Ints
    levels: Levels
    texts: list[str]


def next_in_order(
    index: PayloadIndex, view: View, passing: Masks, order: Order, after: Position | None, limit: int
) -> InOrder | None:
    """Up to `limit` points that may pass a filter, after the position `after`; None: the index does not know enough."""
    wanted = passing.possible & view.alive_between(0, view.end)
    field = index.fields.get(order.path)
    unknown = _unknown(index, field, order, view.end) & wanted
    unsure = np.flatnonzero(unknown)
    if len(unsure) > CHECK_AT_ONCE:
        return None
    open_points = [view.ids[slot] for slot in unsure.tolist()]
    if field is None:
        return InOrder([], open_points, False)
    points: list[tuple[Position, PointId]] = []
    for segment in _segments(field, wanted & ~unknown, order):
        if len(points) <= limit:
            points += _take(view, segment, order, after, limit + 1 - len(points))
    return InOrder(points[:limit], open_points, len(points) > limit)


def _unknown(index: PayloadIndex, field: Field | None, order: Order, end: int) -> Mask:
    unknown = np.full(end, not index.indexes(order.path))
    for column in (index.opaque,) if field is not None else (index.opaque, index.partial):
        unknown[column.between(0, end)[0]] = True
    for values in (field.scalars, field.elements) if field is not None else ():
        unknown[values.hashes(end)[0]] = True
        slots, numbers = values.numbers(end)
        unknown[slots[np.abs(numbers) >= EXACT]] = True
    return unknown


def _segments(field: Field, wanted: Mask, order: Order) -> list[_Segment]:
    """Numbers and texts in the order asked; a point with both stands among those that come first."""
    end, sign = len(wanted), -1.0 if order.descending else 1.0
    parts = (field.scalars, field.elements)
    held = [values.numbers(end) for values in parts]
    slots, levels = np.concatenate([s for s, _ in held]), np.concatenate([n for _, n in held])
    numbers = _best(slots, levels * sign, wanted & np.ones(end, np.bool_), ~np.isnan(levels))
    coded = [values.texts(end) for values in parts]
    distinct = sorted({text for _, _, texts in coded for text in texts if type(text) is str})
    rank_of = {text: rank for rank, text in enumerate(distinct)}
    ranks = []
    for _, codes, texts in coded:
        table = np.array([rank_of.get(text, -1) if type(text) is str else -1 for text in texts], dtype=np.float64)
        ranks.append(table[codes] if len(codes) else np.zeros(0))
    slots, levels = np.concatenate([s for s, _, _ in coded]), np.concatenate(ranks)
    texts_ = _best(slots, levels * sign, wanted, levels >= 0)
    segments = [_Segment(NUMBER, *numbers, []), _Segment(TEXT, *texts_, distinct)]
    if order.descending:
        segments.reverse()
    first, second = segments
    later = ~np.isin(second.slots, first.slots)
    return [first, second._replace(slots=second.slots[later], levels=second.levels[later])]


def _best(slots: npt.NDArray[np.int32], levels: Levels, wanted: Mask, real: Mask) -> tuple[Ints, Levels]:
    """The lowest level of each slot that is wanted."""
    kept = wanted[slots] & real
    slots, levels = slots[kept], levels[kept]
    best, has = np.full(len(wanted), np.inf), np.zeros(len(wanted), dtype=np.bool_)
    np.minimum.at(best, slots, levels)
    has[slots] = True
    found = np.flatnonzero(has)
    return found, best[found]


def _take(
    view: View, segment: _Segment, order: Order, after: Position | None, count: int
) -> list[tuple[Position, PointId]]:
    slots, levels = segment.slots, segment.levels
    sign = -1.0 if order.descending else 1.0
    points: list[tuple[float, bytes, PointId]] = []
    if after is not None and after.kind != segment.kind:
        if (after.kind > segment.kind) != order.descending:
            return []
    elif after is not None:
        level = _level(segment, after) * sign
        tied = [view.ids[slot] for slot in slots[levels == level].tolist()]
        keyed = [(encode_point_id(point), point) for point in tied]
        points = [(level, key, p) for key, p in keyed if (key < after.key if order.descending else key > after.key)]
        behind = levels > level
        slots, levels = slots[behind], levels[behind]
    lacking = max(0, count - len(points))
    if len(levels) > lacking:
        if not lacking:
            slots, levels = slots[:0], levels[:0]
        else:
            near = levels <= np.partition(levels, lacking - 1)[lacking - 1]
            slots, levels = slots[near], levels[near]
    for slot, level in zip(slots.tolist(), levels.tolist(), strict=True):
        points.append((level, encode_point_id(view.ids[slot]), view.ids[slot]))
    points.sort(key=lambda point: point[1], reverse=order.descending)
    points.sort(key=lambda point: point[0])
    return [(_position(segment, level * sign, key), point) for level, key, point in points[:count]]


def _level(segment: _Segment, after: Position) -> float:
    """Where `after` lies among the levels (ascending): at one of them, or between two."""
    if isinstance(after.value, str):
        place = bisect_left(segment.texts, after.value)
        return place if segment.texts[place : place + 1] == [after.value] else place - 0.5
    try:
        return float(after.value)
    except OverflowError:
        return float("inf") if after.value > 0 else float("-inf")


def _position(segment: _Segment, level: float, key: bytes) -> Position:
    return Position(segment.kind, segment.texts[int(level)] if segment.kind == TEXT else level, key)
