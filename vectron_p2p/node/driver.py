"""Runs any pure core: one task that takes inputs in turn, and calls `tick` when the core's deadline is due.

Invariant: calls into the core never overlap, and the effects of one call are performed, in order, before the next call.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.runtime import Clock


class Core(Protocol):
    """The shape that all pure state machines share."""

    def tick(self, now: float) -> list[Any]: ...

    @property
    def next_deadline(self) -> float: ...


C = TypeVar("C", bound=Core)

MAX_OFFERED = 1024  # inputs from the network waiting: past that the loop is stalled, and all protocols here bear loss


class Driver(Generic[C]):
    """The one task that may touch `core`."""

    def __init__(self, core: C, clock: Clock, perform: Callable[[Any], Awaitable[None]]) -> None:
        self.core = core
        self._clock = clock
        self._perform = perform
        self._inputs: deque[Callable[[float], list[Any]]] = deque()
        self._wake = trio.Event()

    def post(self, call: Callable[[float], list[Any]]) -> None:
        """Have `call(now)` made on the core; for inputs of this node, which must not get lost."""
        self._inputs.append(call)
        self._wake.set()

    def offer(self, call: Callable[[float], list[Any]]) -> bool:
        """As `post`, for inputs from the network: dropped (False) when too many wait."""
        if len(self._inputs) >= MAX_OFFERED:
            return False
        self.post(call)
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            while self._inputs:
                await self._perform_all(self._inputs.popleft()(self._clock.now()))
            now = self._clock.now()
            if self.core.next_deadline <= now:
                await self._perform_all(self.core.tick(now))
                await trio.lowlevel.checkpoint()
                continue
            if self._inputs:
                continue
            self._wake = trio.Event()
            with self._clock.move_on_after(self.core.next_deadline - now):
                await self._wake.wait()

    async def _perform_all(self, effects: list[Any]) -> None:
        for effect in effects:
            await self._perform(effect)
