"""Histories of one point, as a model of it has them, for the checker of `vectron_p2p.testing.checks.linearizable`.

States are values (None: no point); every write writes a value of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vectron_p2p.testing.checks import linearizable as checker


@dataclass(slots=True)
class Event:
    """One call. `kind`: read, put, insert, cas, delete. `result`: what it answered; None of a write: done."""

    kind: str
    began: float
    value: object = None
    expected: object = None
    ended: float = math.inf
    result: object = None
    outcome: str = "unknown"
    """"ok"; "failed": its condition did not hold and `result` is what it met; "unknown"; "void": it did nothing."""
    repeats: int = 0
    """How often more it may take effect while it lasts (QUORUM writes are at-least-once)."""


def _step(event: Event, state: object, written_twice: set[object]) -> tuple[object] | None:
    if event.outcome == "failed":
        # What was written a second time is the same value in another version.
        other = state != event.expected or state in written_twice
        holds = state == event.result and (state is not None if event.kind == "insert" else other)
        return (state,) if holds else None
    if event.kind == "read":
        return (state,) if state == event.result else None
    if event.kind == "put":
        return (event.value,)
    if event.kind == "delete":
        return (None,)
    if event.kind == "insert":
        return (event.value,) if state is None else None
    return (event.value,) if state == event.expected else None


def linearizable(history: list[Event]) -> bool:
    """Whether one order of the calls, each between its begin and its end, explains all answers."""
    events = [event for event in history if event.outcome != "void" and (event.kind != "read" or event.outcome == "ok")]
    written_twice = {event.value for event in events if event.kind == "put" and event.repeats}

    def call(event: Event) -> checker.Call[object]:
        return checker.Call(
            event.began,
            event.ended,
            lambda state: _step(event, state, written_twice),
            certain=event.outcome != "unknown",
            repeats=event.repeats,
            looks=event.kind == "read" or event.outcome == "failed",
        )

    return checker.linearizable([call(event) for event in events], None)
