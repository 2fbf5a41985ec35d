"""A new layer of the live points, built aside in short steps while the old one serves.

Garbage (dead labels in a graph, dead vectors) is never repaired in place: hnswlib loses points when slots are reused.
The points written meanwhile are noted and brought up to date at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.query import planner

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.runtime import Crew

COPY_STEP = 512  # rows copied in one step: a few milliseconds
CATCH_UP_STEP = 512  # points brought up to date under the mutex at a time: writes wait about 5 ms


class Rebuild:
    """`step` until it is True, then `finish` under the mutex and put `new` in place. Made under the mutex."""

    def __init__(self, old: Layer, new: Layer, mutex: threading.Lock, turn: int, crew: Crew) -> None:
        self._old = old
        self.new = new
        self._mutex = mutex
        self._turn = turn
        self._crew = crew
        self._slots = sorted(old.table.slot_of.values())
        self._at = 0
        self._copied = 0
        self._touched: dict[PointId, None] = {}

    def touch(self, points: Iterable[PointId]) -> None:
        """These were written in the old layer. Under the mutex."""
        self._touched.update(dict.fromkeys(points))

    def step(self) -> bool:
        """A bit of the work; True when little enough is left for `finish`."""
        if self._at < len(self._slots):
            self._copy()
        elif len(self._slots) >= planner.GRAPH_FROM and self.new.linked_to < self._copied:
            # What is caught up later is linked after the swap, or a stream of writes would put that off for ever.
            self.new.link(self._turn, self._turn, self._crew, self._mutex)
        elif len(self._touched) > CATCH_UP_STEP:
            with self._mutex:
                self._follow([point for point, _ in zip(self._touched, range(CATCH_UP_STEP), strict=False)])
        else:
            return True
        return False

    def _copy(self) -> None:
        chosen = self._slots[self._at : self._at + COPY_STEP]
        self._at += len(chosen)
        with self._mutex:
            alive = [slot for slot in chosen if self._old.table.is_alive(slot)]  # the others are among the touched
            view = self._old.table.view()
        slots = np.asarray(alive, dtype=np.int64)
        table = self.new.table
        table.reserve(len(alive))
        table.append([view.ids[slot] for slot in alive], view.versions_of(slots), view.rows[slots])
        if alive:
            self.new.payloads.copy(self._old.payloads, np.asarray(alive, dtype=np.int32), self._copied)
        self._copied = table.count

    def finish(self) -> None:
        """Bring the last points up to date. Under the mutex."""
        self._follow(list(self._touched))
        self.new.settle()
        self.new.subgraphs.inherit(self._old.subgraphs)

    def _follow(self, points: list[PointId]) -> None:
        old, new = self._old.table, self.new.table
        new.reserve(len(points))
        new.next_moment()
        changed: list[PointId] = []
        for point in points:
            del self._touched[point]
            if old.version_of(point) != new.version_of(point):
                slot = new.remove(point)
                if slot is not None:
                    self.new.died(slot)
                if point in old.slot_of:
                    changed.append(point)
        changed.sort(key=old.slot_of.__getitem__)  # as payloads are taken over
        slots = np.asarray([old.slot_of[point] for point in changed], dtype=np.int64)
        first = new.count
        new.append(changed, old.view().versions_of(slots), old.rows[slots])
        self.new.payloads.copy(self._old.payloads, slots.astype(np.int32), first)
