"""Between the two ways to give an answer later: to a callback, and to a task that waits.

A task for each request costs more than a small request itself; where many are answered together, their answers go to
callbacks. `awaited` is for whoever has a task anyway.

What begins a request takes `done`, to be called once with the answer (an error is one too), on the event loop, now or
later; it returns what takes the request back: `done` is not called after that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import trio

Done: TypeAlias = Callable[[Any], None]
TakeBack: TypeAlias = Callable[[], None]


def nothing() -> None:
    """Takes back what has been answered."""


async def awaited(begin: Callable[[Done], TakeBack]) -> Any:
    """The answer to what `begin` begins; taken back when this is cancelled. No checkpoint when it is there at once.

    Raises:
        Exception: The answer, if it is one.
    """
    task = trio.lowlevel.current_task()
    given: list[Any] = []
    waits = False

    def done(answer: Any) -> None:
        given.append(answer)
        if waits:
            trio.lowlevel.reschedule(task)

    take_back = begin(done)
    if not given:

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            take_back()
            return trio.lowlevel.Abort.SUCCEEDED

        waits = True
        await trio.lowlevel.wait_task_rescheduled(abort)
    answer = given[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
