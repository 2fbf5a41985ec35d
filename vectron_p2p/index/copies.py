"""Vectors of the points that a filter keeps, copied together: for filters that are asked again and again.

Rows that lie apart cost a scan several times what rows in line do, and many cost by their bytes: they are held in the
dimensions of a projection where there is one, and what a scan finds is ranked by whole vectors. A slot never changes,
so a copy is only ever extended; what died since it was made is masked. Bounded by a share of all vectors; those longest
unused go first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from vectron_p2p.index.projection import Projection
    from vectron_p2p.index.scan import Slots
    from vectron_p2p.index.slots import Mask, View
    from vectron_p2p.query.scoring import Matrix

SHARE = 8  # of the vectors' memory a part this small may be held twice
LEAST_BYTES = 4 << 20  # allowed to any shard: these are in the cache anyhow
REMEMBERED = 256  # filters asked once: the second time makes the copy
# Points from which on they are projected, where a search need not be exact: 6 MB of 384 dimensions. Fewer stay in the
# cache as they are, and are ranked at once.
LEAST_PROJECTED = 4_096
AT_ONCE, PROJECTED_AT_ONCE = 8_192, 1_024  # points copied at a time: three milliseconds, on the loop perhaps
LEAST_TAIL, TAIL_SHARE = 256, 32  # matches not in it, or the part of a copy that they are, before it is extended
MAX_KEY = 4_096  # characters; see `payload.verdicts`

_Key: TypeAlias = tuple[str, bool]  # the filter, and whether its points are projected


class Copy(NamedTuple):
    """`slots` (ascending) of the points among those below `end` that passed and lived at `moment`, and their rows:
    whole, or as `projection` has them. `full`: every one of them lived at `moment`; else those did once.
    """

    end: int
    moment: int
    slots: Slots
    rows: Matrix
    projection: Projection | None
    full: bool = True

    @property
    def part(self) -> float:
        """Of the dimensions."""
        return 1.0 if self.projection is None else self.projection.part

    def alive(self, view: View) -> Mask | None:
        """Which of the slots are, at the view's moment; None: all."""
        return None if self.full and self.moment == view.moment else view.alive(self.slots)

    def placed(self, queries: Matrix) -> Matrix:
        """`queries` in the dimensions of the rows."""
        return queries if self.projection is None else self.projection.of(queries)

    def reach(self, depth: int) -> int:
        """How many have to be ranked by whole vectors to know the best `depth`."""
        return depth if self.projection is None else self.projection.reach(depth)


class Copies:
    """Of one layer. For any threads."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._mutex = threading.Lock()
        self._held: OrderedDict[_Key, Copy] = OrderedDict()
        self._asked: OrderedDict[_Key, None] = OrderedDict()
        self.nbytes = 0

    def get(self, filter: str, view: View, mask: Mask, matches: int, projection: Projection | None) -> Copy | None:
        """The copy of the slots in `mask`, of which `matches` live, as `view` has them; None: there is none (yet).

        Some of its slots may be dead; of those below its `end` none that `view` shows is missing. It grows a little
        each time it is asked for, so no search waits long for it.

        Args:
            filter: What it is known by.
            projection: In whose dimensions they are held; None: as they are.
        """
        width = view.rows.shape[1] if projection is None else projection.width
        limit = max(LEAST_BYTES, view.end * view.rows.shape[1] * 4 // SHARE)
        if matches * width * 4 > limit or len(filter) > MAX_KEY:
            return None
        key = filter, projection is not None
        with self._mutex:
            held = self._held.get(key)
            if held is None and key not in self._asked:
                self._asked[key] = None
                if len(self._asked) > REMEMBERED:
                    self._asked.popitem(last=False)
                return None
            if held is not None:
                self._held.move_to_end(key)
        if held is not None and view.moment < held.moment:
            return None  # this search began before: points that it should see may have been left out
        # Of a copy twice as long most is dead.
        if held is not None and len(held.slots) <= 2 * matches and held.projection is projection:
            if held.end >= view.end:
                count = int(np.searchsorted(held.slots, view.end))
                return held._replace(end=view.end, slots=held.slots[:count], rows=held.rows[:count])
            fresh = live_slots(view, mask, held.end)
            if len(fresh) <= max(LEAST_TAIL, len(held.slots) // TAIL_SHARE):
                return held
            more = self._copied(view, fresh, projection)
            slots, rows = np.concatenate([held.slots, more.slots]), np.concatenate([held.rows, more.rows])
            copy = more._replace(slots=slots, rows=rows, full=bool(view.alive(held.slots).all()))
        else:
            copy = self._copied(view, live_slots(view, mask), projection)
        self._keep(key, copy, limit)
        return copy

    def _copied(self, view: View, slots: Slots, projection: Projection | None) -> Copy:
        """The first of `slots`."""
        most = AT_ONCE if projection is None else PROJECTED_AT_ONCE
        end = view.end if len(slots) <= most else int(slots[most])
        slots = slots[:most]
        rows = view.rows.take(slots, axis=0)
        return Copy(
            end, view.moment, slots, rows if projection is None else projection.copy(rows, self._metric), projection
        )

    def _keep(self, key: _Key, copy: Copy, limit: int) -> None:
        with self._mutex:
            before = self._held.pop(key, None)
            self.nbytes += _size(copy) - (0 if before is None else _size(before))
            self._held[key] = copy
            while self.nbytes > limit:
                _, dropped = self._held.popitem(last=False)
                self.nbytes -= _size(dropped)


def worth_projecting(matches: int) -> bool:
    return matches >= LEAST_PROJECTED


def live_slots(view: View, mask: Mask, start: int = 0) -> Slots:
    """The slots in `mask` from `start` on that are alive."""
    slots = np.flatnonzero(mask[start : view.end]) + start
    alive: Slots = slots[view.alive(slots)]
    return alive


def _size(copy: Copy) -> int:
    return copy.slots.nbytes + copy.rows.nbytes
