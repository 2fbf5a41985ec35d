"""The point as a register, for `linearizable`: what each operation of a client does to it, and what it may answer.

Every upsert and every payload change writes a number of its own. `delete_payload` cannot, so a state that it led to may
stand for several versions (`blurred`): a condition on one of those may fail although the content is the one expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from vectron_p2p.testing.checks import linearizable as checker

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = ("put", "erase")
"""Writes at quorum, at least once: an attempt may be made after another one was seen. More than four are rare."""


class Content(NamedTuple):
    """What a read shows: the number of the upsert, that of the last payload change since (0: none), and whether the key
    that deletions of payload take away is there.
    """

    number: int
    tag: int = 0
    extra: bool = True


State: TypeAlias = "tuple[Content, bool] | None"  # content, blurred; None: no point
Step: TypeAlias = "Callable[[State], tuple[State] | None]"


@dataclass(slots=True)
class Operation:
    """One call; `outcome`: "ok", "failed" (its condition did not hold), "refused" (nothing was written, and never will
    be: what an error without any acknowledgement says), "unknown"."""

    kind: str
    began: float
    number: int = 0
    expected: Content | None = None
    ended: float = math.inf
    outcome: str = "unknown"
    result: Content | None = None
    """Of a get."""
    changed: int = -1
    """Of payload changes and deletions: how many points; -1: not said."""

    def __str__(self) -> str:
        said = f" -> {self.result}" if self.kind == "get" and self.outcome == "ok" else ""
        asked = f" if {self.expected}" if self.expected is not None else ""
        count = f" ({self.changed} changed)" if self.changed >= 0 else ""
        return f"[{self.began:.3f}, {self.ended:.3f}] {self.kind} #{self.number}{asked}: {self.outcome}{said}{count}"


@dataclass(slots=True)
class History:
    """All calls on one point."""

    point: int
    operations: list[Operation] = field(default_factory=list)

    def denied(self) -> list[Operation]:
        """Upserts that some read found although their client was told that nothing was written. `holds` finds them too,
        but has to try all orders for it.
        """
        found = {each.result.number for each in self.operations if each.kind == "get" and each.result is not None}
        return [each for each in self.operations if each.outcome == "refused" and each.number in found]

    def holds(self) -> bool:
        """Whether it is linearizable.

        Raises:
            Undecided: It is too long.
        """
        calls = [call for operation in self.operations if (call := _call(operation)) is not None]
        return checker.linearizable(calls, None)


def _call(operation: Operation) -> checker.Call[State] | None:
    if operation.outcome == "refused" or (operation.outcome == "unknown" and operation.kind == "get"):
        return None
    filtered = operation.kind == "delete-filter"
    return checker.Call(
        operation.began,
        operation.ended,
        lambda state: step(operation, state),
        # By filter: at least once, each attempt looks again; and a point that comes to match meanwhile may be left out.
        certain=operation.outcome != "unknown" and not filtered,
        repeats=2 if filtered else 3 if operation.kind in PLAIN else 0,
        looks=operation.kind == "get" or operation.outcome == "failed",
    )


def step(operation: Operation, state: State) -> tuple[State] | None:
    """The state after `operation`; None: it cannot have been answered so in `state`."""
    fresh: tuple[State] = ((Content(operation.number), False),)
    certain = operation.outcome != "unknown"
    match operation.kind:
        case "get":
            return (state,) if (None if state is None else state[0]) == operation.result else None
        case "upsert" | "put":
            return fresh
        case "insert" | "update":
            holds = (state is None) == (operation.kind == "insert")
            return _conditional(operation, state, holds, not holds, fresh)
        case "cas":
            same = state is not None and state[0] == operation.expected
            return _conditional(operation, state, same, not same or (state is not None and state[1]), fresh)
        case "delete" | "erase" | "delete-filter":
            return (None,)
    if state is None:  # the changes of payload, which change nothing then
        return None if certain and operation.changed == 1 else (None,)
    if certain and operation.changed == 0:
        return None
    content, blurred = state
    if operation.kind == "set-payload":
        return ((content._replace(tag=operation.number), False),)
    return ((content._replace(extra=False), blurred or not content.extra),)


def _conditional(
    operation: Operation, state: State, holds: bool, may_fail: bool, fresh: tuple[State]
) -> tuple[State] | None:
    if operation.outcome == "failed":
        return (state,) if may_fail else None
    if operation.outcome == "unknown" and not holds:
        return None
    return fresh if holds else None
