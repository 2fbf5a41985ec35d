"""Bytes per second for work in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.runtime import Clock

REST = 5.0  # times what a portion took
LONGEST = 1.0  # seconds: of work that took longer (a peer that stalls) no more is given back


class ByteBudget:
    """A token bucket of one second. What is spent beyond it is waited for by the next who spends."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._rate = per_second
        self._free_at = 0.0
        self.spent = 0

    async def spend(self, size: int) -> None:
        """Account for `size` bytes, and wait while more than a second's worth was spent in advance."""
        self.spent += size
        now = self._clock.now()
        self._free_at = max(self._free_at, now - 1.0) + size / self._rate
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)


class YieldingBudget(ByteBudget):
    """Of one stream of copies that is to be felt as little as possible: it rests for several times what its last
    portion took, so that two streams have a third of the time, and where the nodes at both ends are busy they become
    slower by themselves.
    """

    def __init__(self, clock: Clock, per_second: float, room: Callable[[], Awaitable[None]]) -> None:
        """`room` returns when the next portion may come."""
        super().__init__(clock, per_second)
        self._room = room
        self._resumed = clock.now()

    async def spend(self, size: int) -> None:
        took = self._clock.now() - self._resumed
        await self._clock.sleep(REST * min(took, LONGEST))
        await super().spend(size)
        await self._room()
        self._resumed = self._clock.now()
