"""Named deadlines: set, moved and cancelled in O(log n), the earliest known in O(1).

Owns no meaning: a key is a kind and what it is about. Equal deadlines fall due in the order they were set, so that a
run is a function of its inputs alone.
"""

from __future__ import annotations

import heapq
import math
from typing import TypeAlias

Key: TypeAlias = tuple[str, str | int]


class Timers:
    """A heap with lazy deletion: an entry counts only while `_armed` names its order number."""

    __slots__ = ("_armed", "_heap", "_order")

    def __init__(self) -> None:
        self._armed: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = 0

    def set(self, key: Key, at: float) -> None:
        """Arm `key`, or move it."""
        self._order += 1
        self._armed[key] = (at, self._order)
        heapq.heappush(self._heap, (at, self._order, key))
        if len(self._heap) > 4 * len(self._armed) + 64:  # mostly cancelled entries: O(1) per set, all in all
            self._heap = [(at, order, key) for key, (at, order) in self._armed.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        self._armed.pop(key, None)

    def clear(self) -> None:
        self._armed.clear()
        self._heap.clear()

    def __contains__(self, key: Key) -> bool:
        return key in self._armed

    def __getitem__(self, key: Key) -> float:
        return self._armed[key][0]

    @property
    def next(self) -> float:
        """The earliest deadline; inf when nothing is armed."""
        heap, armed = self._heap, self._armed
        while heap:
            at, order, key = heap[0]
            if armed.get(key) == (at, order):
                return at
            heapq.heappop(heap)
        return math.inf

    def pop_due(self, now: float) -> Key | None:
        """Disarm and return the earliest key that is due, if any."""
        if self.next > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._armed[key]
        return key

    def postpone(self, kind: str, until: float) -> None:
        """Move every deadline of `kind` that lies before `until` to `until`."""
        late = [(at, order, key) for key, (at, order) in self._armed.items() if key[0] == kind and at < until]
        for _, _, key in sorted(late):
            self.set(key, until)
