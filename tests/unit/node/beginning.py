"""Asynchronous functions as what answers a callback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.runtime.callbacks import Done, TakeBack


def begun(search: Callable[[], Awaitable[Any]], done: Done) -> TakeBack:
    """Begins `search`; `done` gets what it returns or raises."""
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            answer: Any
            try:
                answer = await search()
            except VectronError as error:
                answer = error
            done(answer)

    trio.lowlevel.spawn_system_task(run)
    return scope.cancel
