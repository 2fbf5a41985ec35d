"""Clocks of simulated nodes: trio's (virtual) time, and a wall clock of each node's own."""

from __future__ import annotations

import trio

from vectron_p2p.runtime.real import TrioClock
from vectron_p2p.testing.virtual_time import VirtualClock

EPOCH = 1_700_000_000.0  # where simulated wall clocks start; any moment does


class SimClock(TrioClock):
    """trio's clock, which a simulation replaces by a virtual one; the wall clock runs with it and can be set wrong.

    Made where its run is under way.
    """

    def __init__(self) -> None:
        self.wall_offset = 0.0
        """Seconds by which this node's wall clock is wrong."""
        clock = trio.lowlevel.current_clock()
        self._virtual = clock if isinstance(clock, VirtualClock) else None
        self._now = clock.current_time

    def now(self) -> float:
        return self._now()

    def ticks(self) -> float:
        return self._now()

    def wall(self) -> float:
        return EPOCH + self._now() + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._now() + seconds)

    async def sleep_until(self, at: float) -> None:
        if self._virtual is None:
            await trio.sleep_until(at)
        else:
            await self._virtual.sleep_until(at)
