"""What happened when: faults, and the state of each node; times are those of `time.monotonic`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLED, STARTING, PAUSED, CUT_OFF, IMPAIRED = "killed", "starting", "paused", "cut off", "impaired"
"""States of a node beside up. Impaired: it has a fault that leaves it part of its work: slow, deaf, one link down."""


@dataclass(slots=True)
class Span:
    """`nodes`: whom it concerns; `ended` is infinite while it lasts."""

    what: str
    nodes: frozenset[int]
    began: float
    ended: float = float("inf")

    def overlaps(self, began: float, ended: float) -> bool:
        return self.began < ended and began < self.ended


@dataclass(slots=True)
class Timeline:
    began: float = field(default_factory=time.monotonic)
    ended: float = float("inf")
    """Of the part in which faults happen."""
    faults: list[Span] = field(default_factory=list)
    """`nodes` are those that count as down or cut off, from the first moment until all serve again."""
    states: list[Span] = field(default_factory=list)
    remarks: list[tuple[float, str]] = field(default_factory=list)
    """What went otherwise than the schedule meant: a node that ended by itself, one that did not start."""

    def enter(self, node: int, state: str) -> None:
        """`node` leaves the state it is in, if any, for `state`."""
        self.leave(node)
        self.states.append(Span(state, frozenset({node}), time.monotonic()))

    def leave(self, node: int) -> None:
        """`node` is up."""
        now = time.monotonic()
        for span in self.open_states():
            if node in span.nodes:
                span.ended = now

    def open_states(self) -> Iterator[Span]:
        return (span for span in self.states if span.ended == float("inf"))

    def begin(self, what: str, nodes: frozenset[int]) -> Span:
        self.faults.append(Span(what, nodes, time.monotonic()))
        return self.faults[-1]

    def remark(self, text: str) -> None:
        self.remarks.append((time.monotonic(), text))

    @property
    def healed(self) -> float:
        """When the last fault was over."""
        return max((span.ended for span in self.faults), default=self.began)

    def away(self, began: float, ended: float) -> int:
        """The most nodes that were down or cut off at once in this time (steps do not overlap)."""
        return max((len(span.nodes) for span in self.faults if span.overlaps(began, ended)), default=0)
