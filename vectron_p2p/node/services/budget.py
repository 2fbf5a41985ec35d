"""Bytes per second for work in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.runtime import Clock


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
