"""The past day of some figures, in fixed memory: every second of ten minutes, every ten of two hours, every minute of a
day.

A sample goes into the slot of its time in each of the three rings; several in one slot are folded as the figure's
meaning asks: the mean, or the largest of what is a maximum already. A slot without a sample is None. The rings take
`SLOTS` numbers of 8 bytes a figure, 22 KB, whatever happens. Pure: the time comes with each sample, and does not go
back (a sample of an earlier time is folded into the newest slot).
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING = math.nan


@dataclass(frozen=True, slots=True)
class Tier:
    step_s: int
    slots: int


TIERS = (Tier(1, 600), Tier(10, 720), Tier(60, 1440))
"""What a chart of minutes, of hours and of a day can draw, at about as many points as a terminal has columns."""

SLOTS = sum(tier.slots for tier in TIERS)


class _Ring:
    __slots__ = ("_columns", "_folded", "_largest", "newest", "tier")

    def __init__(self, tier: Tier, largest: Sequence[bool]) -> None:
        self.tier = tier
        self.newest = -1
        """Number of the slot that takes samples: Unix time over step; -1 before the first."""
        self._folded = 0
        self._largest = largest
        self._columns = [array("d", [NOTHING]) * tier.slots for _ in largest]

    def add(self, at: float, values: Sequence[float]) -> None:
        slot = max(int(at // self.tier.step_s), self.newest)
        slots = self.tier.slots
        if slot > self.newest:
            missed = min(slot - self.newest - 1, slots) if self.newest >= 0 else 0
            for column in self._columns:
                for back in range(1, missed + 1):
                    column[(slot - back) % slots] = NOTHING
            self.newest, self._folded = slot, 0
        place, folded = slot % slots, self._folded
        for column, value, largest in zip(self._columns, values, self._largest, strict=True):
            if not folded:
                column[place] = value
            elif largest:
                column[place] = max(column[place], value)
            else:
                column[place] += (value - column[place]) / (folded + 1)
        self._folded = folded + 1

    def read(self, column: int, count: int) -> list[float | None]:
        slots, values = self.tier.slots, self._columns[column]
        found = (values[(self.newest - back) % slots] for back in range(count - 1, -1, -1))
        return [None if math.isnan(value) else value for value in found]


class Rings:
    """Figures by name; `largest` says of each whether several samples fold to their largest instead of their mean."""

    def __init__(self, largest: Mapping[str, bool]) -> None:
        self._names = tuple(largest)
        self._rings = [_Ring(tier, tuple(largest.values())) for tier in TIERS]

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """One sample of all figures, at `at` Unix seconds."""
        ordered = [values[name] for name in self._names]
        for ring in self._rings:
            ring.add(at, ordered)

    def read(self, seconds: float, names: Sequence[str]) -> tuple[int, int, dict[str, list[float | None]]]:
        """(step, number of the newest slot, figures) of the last `seconds`, from the finest ring that reaches so far;
        oldest first. Before the first sample the number is -1 and the figures are empty.
        """
        ring = next((each for each in self._rings if each.tier.step_s * each.tier.slots >= seconds), self._rings[-1])
        step = ring.tier.step_s
        count = min(max(1, math.ceil(seconds / step)), ring.tier.slots) if ring.newest >= 0 else 0
        return step, ring.newest, {name: ring.read(self._names.index(name), count) for name in names}
