"""Keys go before figures: what comes from the cluster is worked through when no key waits for its answer.

With thousands of shards an event takes 0.1 s of the processor each second. It is cut into slices, but between two of
them a key gets one step further only, of the dozens that its answer takes, so all of the event would come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.client.steps import Flow

T = TypeVar("T")

ANSWER_S = 0.05  # that a key is given: nearly all are answered by then
LOOK_S = 0.005  # between two looks whether it is over
PATIENCE = 60  # looks for one event: a key that is held down does not keep the figures away, they come 0.3 s later


class Precedence:
    """Of one console."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = 0.0

    def key(self) -> None:
        """One has come."""
        self._until = self._clock() + ANSWER_S

    def busy(self) -> bool:
        """Whether the answer of a key is on its way."""
        return self._clock() < self._until

    async def turn(self) -> None:
        """Returns when no key waits, but soon in any case."""
        await checkpoint()
        for _ in range(PATIENCE):
            if not self.busy():
                return
            await anyio.sleep(LOOK_S)

    def behind(self, flow: Flow[T]) -> Flow[T]:
        """`flow`, each step of which lets keys go first."""
        from vectron_p2p.client.steps import Sleep  # late: tests of the console need no client

        looks = 0
        try:
            step = next(flow)
            while True:
                while self.busy() and looks < PATIENCE:
                    looks += 1
                    yield Sleep(LOOK_S)
                try:
                    reply = yield step
                except Exception as error:  # what became of the step is for the flow to say
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result
