"""The blocking shell: drives flows to their results, in the thread of the caller.

Flows that go together need no threads: a driver pauses when a request is sent, and the next flow is begun meanwhile.
Answers are taken in the order of the flows; those that come before they are waited for stay with the kernel. Invariant:
whatever ends a call, a request under way is given up with it, and its connection is not used again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import Any, Protocol, TypeAlias, TypeVar

from vectron_p2p.client.steps import UNDONE, Call, Flow, LinkLost, Sleep, Together
from vectron_p2p.model.errors import VectronError

T = TypeVar("T")

Exchange: TypeAlias = Generator[None, None, Any]
"""Pauses once the request is sent, and returns the answer."""


class Transport(Protocol):
    """Carries out `Call`s; used by several threads at once."""

    def exchange(self, step: Call) -> Exchange: ...

    def close(self) -> None: ...


def run(transport: Transport, flow: Flow[T]) -> T:
    """The result of `flow`."""
    return _finish(_drive(transport, flow))


def _drive(transport: Transport, flow: Flow[T]) -> Generator[None, None, T]:
    """The result of `flow`; pauses whenever a request is sent."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Call):
                try:
                    reply = yield from transport.exchange(step)
                except (VectronError, LinkLost) as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
            elif isinstance(step, Sleep):
                time.sleep(step.seconds)
                step = flow.send(None)
            else:
                step = flow.send(_together(transport, step))
    except StopIteration as stop:
        result: T = stop.value
        return result


def _finish(driver: Generator[None, None, T]) -> T:
    try:
        while True:
            next(driver)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _together(transport: Transport, step: Together) -> list[Any]:
    """The outcomes. Only an exception whose turn has come ends it: what was asked before is waited for."""
    outcomes: list[Any] = [UNDONE] * len(step.flows)
    under_way: deque[_UnderWay] = deque()
    left = deque(enumerate(step.flows))
    broken = False
    try:
        while under_way or (left and not broken):
            if left and not broken and len(under_way) < step.width:
                number, flow = left.popleft()
                under_way.append(_UnderWay(number, _drive(transport, flow)))
                broken = under_way[-1].error is not None
                continue
            oldest = under_way.popleft()
            outcomes[oldest.number] = oldest.outcome()
            if isinstance(outcomes[oldest.number], Exception):
                break
    finally:
        for one in under_way:
            one.driver.close()
    return outcomes


class _UnderWay:
    """One of several flows, driven until its first request is sent."""

    def __init__(self, number: int, driver: Generator[None, None, Any]) -> None:
        self.number = number
        self.driver = driver
        self.error: Exception | None = None
        self._result: Any = None
        self._paused = False
        try:
            next(driver)
            self._paused = True
        except StopIteration as stop:
            self._result = stop.value
        except Exception as error:  # raised when its turn comes
            self.error = error

    def outcome(self) -> Any:
        """The result or the exception; waits for it."""
        if self._paused:
            try:
                return _finish(self.driver)
            except Exception as error:
                return error
        return self._result if self.error is None else self.error
