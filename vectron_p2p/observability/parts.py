"""Which nodes a request asked, and how long each took: gathered while it runs, read when it turns out to be slow."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

MAX_PARTS = 256  # of one request: the shards of the largest collection; the rest adds nothing to what is seen


class Part(NamedTuple):
    """One request to another node, or to itself."""

    node: str
    message: Any
    seconds: float


_PARTS: ContextVar[list[Part] | None] = ContextVar("parts", default=None)


def gather() -> list[Part]:
    """A list that fills with what this task, and those that it starts, ask from now on."""
    parts: list[Part] = []
    _PARTS.set(parts)
    return parts


def note(node: str, message: Any, seconds: float) -> None:
    parts = _PARTS.get()
    if parts is not None and len(parts) < MAX_PARTS:
        parts.append(Part(node, message, seconds))
