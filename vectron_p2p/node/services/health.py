"""The event loop's lag, and pauses of the whole process.

Sleeps of 100 ms are timed: what they take longer is the lag any task saw. A long one also means that others may have
called this node dead meanwhile, and that its own suspicions of others are worth nothing (DESIGN §3).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.runtime import Clock

SAMPLE = 0.1  # seconds; short enough to see a 250 ms stall, long enough to cost nothing
WINDOW = 600  # samples: the last minute
TICKS = 10  # samples: a second
PAUSE = 2.0  # seconds: longer than any stall of our own making, so the machine or a SIGSTOP paused us


class LoopHealth:
    """Samples of the loop's lag, in seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        on_lag: Callable[[float], None],
        on_pause: Callable[[float], None],
        on_second: Callable[[float], None],
    ) -> None:
        """`on_second` is told the largest lag since it was told last: what has to happen about every second and costs
        little goes on this timer, and needs none of its own.
        """
        self._clock = clock
        self._on_lag = on_lag
        self._on_pause = on_pause
        self._on_second = on_second
        self._ticks = 0
        self._largest_lately = 0.0
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self.largest = 0.0
        self.started = clock.now()

    def p99(self) -> float:
        """Of the last minute; 0.0 before the first sample."""
        return self.quantiles(0.99)[0]

    def quantiles(self, *shares: float) -> list[float]:
        """Of the last minute; 0.0 before the first sample."""
        ordered = sorted(self._samples)
        return [ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0 for share in shares]

    async def run_once(self) -> None:
        before = self._clock.now()
        await self._clock.sleep(SAMPLE)
        lag = max(0.0, self._clock.now() - before - SAMPLE)
        self._samples.append(lag)
        self.largest = max(self.largest, lag)
        self._on_lag(lag)
        if lag > PAUSE:
            self._on_pause(lag)
        self._ticks += 1
        self._largest_lately = max(self._largest_lately, lag)
        if self._ticks % TICKS == 0:
            lately, self._largest_lately = self._largest_lately, 0.0
            self._on_second(lately)

    async def run(self) -> None:
        while True:
            await self.run_once()
