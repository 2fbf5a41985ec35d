"""Columns: pairs of a slot and a value, in the order of slots, that only grow.

One writer at a time. Readers take no lock: a reader takes the count first and the arrays after it, the writer puts
the arrays in place first and the count last, and what lies below a count never changes. (`sort` is for loading, when
nobody reads.)
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Int32s: TypeAlias = npt.NDArray[np.int32]
Values: TypeAlias = npt.NDArray[Any]

FIRST_PAIRS = 16  # most fields of small shards stay this small


class Column:
    """See the module."""

    __slots__ = ("_slots", "_values", "count")

    def __init__(self, dtype: Any) -> None:
        self.count = 0
        self._slots: Int32s = np.zeros(0, dtype=np.int32)
        self._values: Values = np.zeros(0, dtype=dtype)

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes + self._values.nbytes

    def append(self, slots: Int32s, values: Values) -> None:
        """Pairs at the end. Their slots lie above all before, in any order among themselves, or `sort` follows."""
        if not len(slots):
            return
        if bool((slots[1:] < slots[:-1]).any()):
            order = np.argsort(slots, kind="stable")
            slots, values = slots[order], values[order]
        end = self.count + len(slots)
        if end > len(self._slots):
            capacity = max(end, FIRST_PAIRS, len(self._slots) * 3 // 2)
            grown, grown_values = np.zeros(capacity, np.int32), np.zeros(capacity, self._values.dtype)
            grown[: self.count], grown_values[: self.count] = self._slots[: self.count], self._values[: self.count]
            self._slots, self._values = grown, grown_values
        self._slots[self.count : end] = slots
        self._values[self.count : end] = values
        self.count = end

    def between(self, start: int, end: int) -> tuple[Int32s, Values]:
        """The pairs of the slots `start`..`end`, not copied."""
        count = self.count  # first: see the module
        slots, values = self._slots[:count], self._values[:count]
        if start or (count and int(slots[-1]) >= end):
            low, high = np.searchsorted(slots, np.array([start, end], dtype=np.int32)).tolist()
            slots, values = slots[low:high], values[low:high]
        return slots, values

    def sort(self) -> None:
        """By slot, after pairs were appended in another order. Nobody reads meanwhile."""
        slots = self._slots[: self.count]
        if len(slots) > 1 and bool((slots[1:] < slots[:-1]).any()):
            order = np.argsort(slots, kind="stable")
            self._slots[: self.count] = slots[order]
            self._values[: self.count] = self._values[: self.count][order]
