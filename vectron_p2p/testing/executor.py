"""The executor of simulations: no threads; work completes at seeded later times.

Jobs of one lane may overtake each other as they may on threads, and each takes virtual time, so the races between a
job and the event loop are kept; the work itself is done in one step, as each job here holds a lock or a gate of its
own anyway.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

import outcome
import trio

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from vectron_p2p.runtime import Clock
    from vectron_p2p.runtime.interfaces import Done

T = TypeVar("T")

LATENCY = {  # seconds, (shortest, mean of what comes on top): the order of what the real lanes take
    "system": (0.0005, 0.002),
    "disk": (0.0005, 0.003),
    "read": (0.0001, 0.0003),
    "admit": (0.0001, 0.001),
    "search": (0.0001, 0.0005),
    "index": (0.001, 0.005),
}


class StartsTasks(ABC):
    """`Executor.start` by a task that awaits `run`."""

    @abstractmethod
    async def run(self, lane: str, fn: Callable[..., T], *args: object) -> T: ...

    def start(
        self, nursery: trio.Nursery, lane: str, fn: Callable[..., T], args: Sequence[object], done: Done[T]
    ) -> None:
        nursery.start_soon(self._carry_out, lane, fn, args, done)

    async def _carry_out(self, lane: str, fn: Callable[..., T], args: Sequence[object], done: Done[T]) -> None:
        result: outcome.Outcome[T]
        try:
            result = outcome.Value(await self.run(lane, fn, *args))
        except Exception as error:
            result = outcome.Error(error)
        done(result)


class SimExecutor(StartsTasks):
    """Of one node. `slow` stretches every job (a slow disk or machine), `stretched` those of some lanes."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._random = rng
        self.slow = 1.0
        self.stretched: dict[str, float] = {}
        self.dead = False

    async def run(self, lane: str, fn: Callable[..., T], *args: object) -> T:
        shortest, mean = LATENCY[lane]
        before = self._random.random()
        delay = self.slow * self.stretched.get(lane, 1.0) * (shortest + self._random.expovariate(1.0 / mean))
        # Part of the time before the work and part after it: a crash may fall on either side of the effect.
        await self._pass(delay * before)
        result = fn(*args)
        await self._pass(delay * (1.0 - before))
        return result

    def waiting(self) -> dict[str, int]:
        """None: all that is handed in begins at once."""
        return dict.fromkeys(LATENCY, 0)

    async def _pass(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if self.dead:
            await trio.sleep_forever()
