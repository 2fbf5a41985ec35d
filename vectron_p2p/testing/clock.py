"""Clocks of simulated nodes: trio's (virtual) time, and a wall clock of each node's own."""

from __future__ import annotations

from vectron_p2p.runtime.real import TrioClock

EPOCH = 1_700_000_000.0  # where simulated wall clocks start; any moment does


class SimClock(TrioClock):
    """trio's clock, which a simulation replaces by a `MockClock`; the wall clock runs with it and can be set wrong."""

    def __init__(self) -> None:
        self.wall_offset = 0.0
        """Seconds by which this node's wall clock is wrong."""

    def wall(self) -> float:
        return EPOCH + self.now() + self.wall_offset
