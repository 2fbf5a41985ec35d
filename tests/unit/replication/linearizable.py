"""A brute-force checker: is a short history of one point the history of one register?

States are values (None: no point); every write writes a value of its own. The search is that of Wing and Gong (1993)
with the states seen remembered (Lowe 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


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


def _apply(event: Event, state: object, written_twice: set[object]) -> tuple[bool, object]:
    """Whether the call may happen in `state`, and the state after it."""
    if event.outcome == "failed":
        # What was written a second time is the same value in another version.
        other = state != event.expected or state in written_twice
        return state == event.result and (state is not None if event.kind == "insert" else other), state
    if event.kind == "read":
        return state == event.result, state
    if event.kind == "put":
        return True, event.value
    if event.kind == "delete":
        return True, None
    if event.kind == "insert":
        return state is None, event.value
    return state == event.expected, event.value


def linearizable(history: list[Event]) -> bool:
    """Whether one order of the calls, each between its begin and its end, explains all answers."""
    events = [event for event in history if event.outcome != "void" and (event.kind != "read" or event.outcome == "ok")]
    written_twice = {event.value for event in events if event.kind == "put" and event.repeats}
    seen: set[tuple[tuple[int, ...], object]] = set()
    stack: list[tuple[tuple[int, ...], object]] = [((0,) * len(events), None)]
    while stack:
        done, state = stack.pop()
        if (done, state) in seen:
            continue
        seen.add((done, state))
        waiting = [i for i, event in enumerate(events) if not done[i] and event.outcome != "unknown"]
        if not waiting:
            return True
        horizon = min(events[i].ended for i in waiting)
        for i, event in enumerate(events):
            if event.began > horizon or done[i] > event.repeats or (done[i] and event.ended < _now(events, done)):
                continue
            allowed, after = _apply(event, state, written_twice)
            if allowed:
                stack.append(((*done[:i], done[i] + 1, *done[i + 1 :]), after))
    return False


def _now(events: list[Event], done: tuple[int, ...]) -> float:
    """The latest begin of what has happened: nothing that ended before it can happen any more."""
    return max((event.began for event, times in zip(events, done, strict=True) if times), default=-math.inf)
