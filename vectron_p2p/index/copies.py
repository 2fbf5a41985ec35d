"""Vectors of the points that a filter keeps, copied together: for filters that are asked again and again.

Rows that lie apart cost a scan several times what rows in line do. A slot never changes, so a copy is only ever
extended; what died since it was made is masked. Bounded by a share of all vectors; those longest unused go first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from vectron_p2p.index.scan import Slots
    from vectron_p2p.index.slots import Mask, View
    from vectron_p2p.query.scoring import Matrix

SHARE = 8  # of the vectors' memory a part this small may be held twice
LEAST_BYTES = 4 << 20  # allowed to any shard: these are in the cache anyhow
REMEMBERED = 256  # filters asked once: the second time makes the copy
LEAST_TAIL, TAIL_SHARE = 256, 8  # matches filled since, or the part of a copy that they are, before it is extended
MAX_KEY = 4_096  # characters; see `payload.verdicts`


class Copy(NamedTuple):
    """`slots` (ascending) of the points among those below `end` that passed and lived at `moment`, and their rows."""

    end: int
    moment: int
    slots: Slots
    rows: Matrix


class Copies:
    """Of one layer. For any threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held: OrderedDict[str, Copy] = OrderedDict()
        self._asked: OrderedDict[str, None] = OrderedDict()
        self.nbytes = 0

    def get(self, key: str, view: View, mask: Mask, matches: int) -> Copy | None:
        """The copy of the slots in `mask`, of which `matches` live, as `view` has them; None: there is none (yet).

        Some of its slots may be dead; of those below its `end` none that `view` shows is missing.
        """
        row_bytes = view.rows.shape[1] * 4
        limit = max(LEAST_BYTES, view.end * row_bytes // SHARE)
        if matches * row_bytes > limit or len(key) > MAX_KEY:
            return None
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
        if held is not None and len(held.slots) <= 2 * matches:  # else most of it is dead
            if held.end >= view.end:
                count = int(np.searchsorted(held.slots, view.end))
                return Copy(view.end, held.moment, held.slots[:count], held.rows[:count])
            fresh = live_slots(view, mask, held.end)
            if len(fresh) <= max(LEAST_TAIL, len(held.slots) // TAIL_SHARE):
                return held
            slots, rows = np.concatenate([held.slots, fresh]), np.concatenate([held.rows, view.rows[fresh]])
        else:
            slots = live_slots(view, mask)
            rows = view.rows[slots]
        copy = Copy(view.end, view.moment, slots, rows)
        self._keep(key, copy, limit)
        return copy

    def _keep(self, key: str, copy: Copy, limit: int) -> None:
        with self._mutex:
            before = self._held.pop(key, None)
            self.nbytes += _size(copy) - (0 if before is None else _size(before))
            self._held[key] = copy
            while self.nbytes > limit:
                _, dropped = self._held.popitem(last=False)
                self.nbytes -= _size(dropped)


def live_slots(view: View, mask: Mask, start: int = 0) -> Slots:
    """The slots in `mask` from `start` on that are alive."""
    slots = np.flatnonzero(mask[start : view.end]) + start
    alive: Slots = slots[view.alive(slots)]
    return alive


def _size(copy: Copy) -> int:
    return copy.slots.nbytes + copy.rows.nbytes
