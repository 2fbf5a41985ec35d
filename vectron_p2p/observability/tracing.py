"""The trace of what a task is doing: one id for a call of a client, on every node that it touches and in all attempts.

A client makes it, or the first node that is asked; requests between nodes carry it. Tasks inherit it from the task that
starts them, threads from the task that waits for them (context variables). Work of a node's own has none.
"""

from __future__ import annotations

import itertools
import zlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACE: ContextVar[int] = ContextVar("trace", default=0)


def current() -> int:
    """The trace of this task; 0: none."""
    return _TRACE.get()


def begin(trace: int) -> None:
    """This task works for `trace` from now on."""
    _TRACE.set(trace)


def text(trace: int) -> str:
    """As logs and errors show it: 16 hex digits; "" for none."""
    return f"{trace:016x}" if trace else ""


def source(life: str) -> Callable[[], int]:
    """Makes traces; those of another `life` differ but by chance (32 bits)."""
    return itertools.count((zlib.crc32(life.encode()) << 32) + 1).__next__
