"""How often operations happen, how long they take and how they end, over sliding windows.

An operation is counted into the slot of the present moment; a window is the sum of the slots that it touches, so it
reaches back its own length and up to one slot more, and rates divide by what it reaches back. Short slots serve the
windows of minutes, long ones that of an hour: 60 of each, some 2 KB apiece while the operation is in use, and none for
an operation that nobody uses. The clock is handed in with each call. Pure; of one thread, the event loop's.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from vectron_p2p.model.statistics import WINDOWS_S, OperationStatistics
from vectron_p2p.observability.histogram import LONGEST_US, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORT_S = 5.0  # slot of windows up to `SHORT_SPAN_S`: the minute is exact to a twelfth
SHORT_SPAN_S = 300.0
LONG_S = 60.0  # slot of the hour, exact to a sixtieth
LONG_SPAN_S = 3600.0


class Tally:
    """What happened in one slot, or in several."""

    __slots__ = ("bytes_in", "bytes_out", "errors", "histogram", "longest_us", "rejected", "start", "total_us")

    def __init__(self, start: float) -> None:
        self.start = start
        self.histogram = Histogram()
        self.errors = 0
        self.rejected = 0
        self.total_us = 0
        self.longest_us = 0
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def count(self) -> int:
        return self.histogram.count

    def add(self, other: Tally) -> None:
        self.histogram.add(other.histogram)
        self.errors += other.errors
        self.rejected += other.rejected
        self.total_us += other.total_us
        self.longest_us = max(self.longest_us, other.longest_us)
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out

    def statistics(self, operation: str, kind: str, window_s: int, span_s: float) -> OperationStatistics:
        """The figures; `span_s`: seconds that this is the sum of."""
        p50, p95, p99 = (min(each, self.longest_us / 1e6) for each in self.histogram.quantiles(0.50, 0.95, 0.99))
        return OperationStatistics(
            operation=operation,
            kind=kind,
            window_s=window_s,
            count=self.count,
            rate=self.count / max(span_s, 1.0),
            errors=self.errors,
            rejected=self.rejected,
            mean_ms=self.total_us / self.count / 1000 if self.count else 0.0,
            p50_ms=p50 * 1000,
            p95_ms=p95 * 1000,
            p99_ms=p99 * 1000,
            max_ms=self.longest_us / 1000,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )


class _Slots:
    """The slots of one length, newest last; none for spans in which nothing happened. The newest one is still filled;
    the sum of those before it is kept until another slot begins.
    """

    __slots__ = ("_length", "_slots", "_span", "_sums")

    def __init__(self, length: float, span: float) -> None:
        self._length = length
        self._span = span
        self._slots: deque[Tally] = deque()
        self._sums: dict[float, tuple[float, float, Tally]] = {}

    def at(self, now: float) -> Tally:
        """The slot of `now`, made if need be; slots past the span go."""
        start = now - now % self._length
        slots = self._slots
        if not slots or slots[-1].start < start:
            while slots and slots[0].start < start - self._span:
                slots.popleft()
            slots.append(Tally(start))
        return slots[-1]

    def window(self, now: float, window: float) -> Tally:
        """The sum of the slots that the window touches; its `start` is the start of the first."""
        since = now - window
        first = since - since % self._length
        total = Tally(first)
        if not self._slots or self._slots[-1].start < first:
            return total
        newest = self._slots[-1]
        kept = self._sums.get(window)
        if kept is None or kept[:2] != (first, newest.start):
            closed = Tally(first)
            for slot in self._slots:
                if first <= slot.start and slot is not newest:
                    closed.add(slot)
            kept = self._sums[window] = (first, newest.start, closed)
        total.add(kept[2])
        total.add(newest)
        return total


class OperationMeter:
    """One operation."""

    __slots__ = ("_before", "_ends", "_long", "_now", "_short", "count", "errors")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self._short = _Slots(SHORT_S, SHORT_SPAN_S)
        self._long = _Slots(LONG_S, LONG_SPAN_S)
        self._now = Tally(0.0)
        self._ends = -math.inf
        self._before = Tally(0.0)  # all before `_now`

    def record(
        self, now: float, seconds: float, *, failed: bool, bytes_in: int, bytes_out: int, rejected: bool = False
    ) -> None:
        """One request that ended `now` and took `seconds`; `rejected`: it was at fault itself, and is no failed one."""
        if now >= self._ends:
            if self._now.count:
                self._long.at(self._now.start).add(self._now)
                self._before.add(self._now)
            self._now = self._short.at(now)
            self._ends = self._now.start + SHORT_S
        tally = self._now
        us = int(seconds * 1e6)
        if us < 0 or us > LONGEST_US:
            us = 0 if us < 0 else LONGEST_US
        tally.histogram.record(us)
        tally.total_us += us
        if us > tally.longest_us:
            tally.longest_us = us
        tally.bytes_in += bytes_in
        tally.bytes_out += bytes_out
        self.count += 1
        if rejected:
            tally.rejected += 1
        elif failed:
            tally.errors += 1
            self.errors += 1

    def since_start(self) -> Tally:
        """All that ever happened."""
        total = Tally(0.0)
        total.add(self._before)
        total.add(self._now)
        return total

    def window(self, now: float, window_s: float) -> Tally:
        """What happened in the last `window_s` seconds, and since the start of the slot in which they begin."""
        if window_s <= SHORT_SPAN_S:
            return self._short.window(now, window_s)
        total = self._long.window(now, window_s)
        if self._now.start >= total.start:
            total.add(self._now)  # not yet in a long slot
        return total


class Meter:
    """All operations of a node, by kind of caller and name."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._operations: dict[tuple[str, str], OperationMeter] = {}

    def operation(self, kind: str, name: str) -> OperationMeter:
        """Made when first asked for; names are those of message classes, so there are few."""
        found = self._operations.get((kind, name))
        if found is None:
            found = self._operations[kind, name] = OperationMeter()
        return found

    def totals(self, kind: str) -> tuple[int, int]:
        """Requests and errors of `kind` since the start."""
        meters = [meter for (each, _), meter in self._operations.items() if each == kind]
        return sum(meter.count for meter in meters), sum(meter.errors for meter in meters)

    def since_start(self) -> list[tuple[tuple[str, str], Tally]]:
        """All that ever happened, by kind and name, in order."""
        return [(which, meter.since_start()) for which, meter in sorted(self._operations.items())]

    def windows(self, now: float, windows_s: Iterable[int] = WINDOWS_S) -> Iterator[tuple[OperationStatistics, Tally]]:
        """The figures of each window in which an operation happened, and what they are made of, in order."""
        for (kind, name), meter in sorted(self._operations.items()):
            for window_s in windows_s:
                tally = meter.window(now, window_s)
                if tally.count:
                    yield tally.statistics(name, kind, window_s, now - max(tally.start, self._started)), tally
