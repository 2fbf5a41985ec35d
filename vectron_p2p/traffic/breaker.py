"""The circuit breaker of one peer (Nygard, "Release It!"): after failures in a row it is not asked for a while.

    closed --failures--> open --pause is over, one call--> half-open --answer--> closed
                          ^------------ no answer -------------'   (the pause doubles)

What fails is told once for each thing that happened: a connection that breaks with a hundred calls on it is one
failure. Any answer closes: whatever it says, the peer is there. A breaker advises and forbids nothing: who needs just
this peer asks it anyway, and the outcome counts as any other.

Invariants: while half-open one probe is under way, and no more; a probe that ends without a word, cancelled say, lets
the next one go at once; the pause is bounded, so that a peer that is back is found within `LONGEST_PAUSE`.
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

FAILURES = 3  # in a row: both connections of a peer break together when its process ends, and the dial after them fails
FIRST_PAUSE = 1.0  # a process that is restarted is back within a second or two
LONGEST_PAUSE = 8.0  # a probe costs one call its time; a peer that is back without a word is found this soon


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Admission(NamedTuple):
    """Whether a call that is not needed is to be made; `probe`: its number, when it is the one that tries; 0: none."""

    wanted: bool
    probe: int = 0


class Breaker:
    """Closed at first."""

    __slots__ = ("_due", "_pause", "_probe", "failures", "in_a_row", "opens", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.failures = 0
        """All that were told."""
        self.in_a_row = 0
        self.opens = 0
        """How often it went from closed to open."""
        self._due = -math.inf  # when open: from when on a probe is due
        self._pause = FIRST_PAUSE
        self._probe = 0

    def ready(self, now: float) -> bool:
        """Whether a call that could go elsewhere may go here: closed, or a probe is due."""
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.OPEN and now >= self._due)

    def begin(self, now: float) -> Admission:
        """A call is about to be made; the first one after the pause becomes the probe."""
        if self.state is BreakerState.CLOSED:
            return Admission(True)
        if not self.ready(now):
            return Admission(False)
        self.state = BreakerState.HALF_OPEN
        self._probe += 1
        return Admission(True, self._probe)

    def answered(self) -> None:
        """The peer answered something."""
        self.state = BreakerState.CLOSED
        self.in_a_row = 0
        self._pause = FIRST_PAUSE

    def failed(self, now: float, *, silent: bool = False) -> None:
        """A dial or call failed, or a connection broke; `silent`: the peer owed answers and gave no sign of life,
        which says as much as several failures.
        """
        self.failures += 1
        self.in_a_row += 1
        if self.state is BreakerState.HALF_OPEN:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._open(now + self._pause)
        elif self.state is BreakerState.CLOSED and (silent or self.in_a_row >= FAILURES):
            self.opens += 1
            self._open(now + self._pause)

    def probed(self, admission: Admission, now: float) -> None:
        """The call ended, in whatever way."""
        if self.state is BreakerState.HALF_OPEN and admission.probe == self._probe:
            self._open(now)

    def seen(self, now: float) -> None:
        """Somebody else heard from the peer: a probe is due."""
        self._due = min(self._due, now)

    def _open(self, due: float) -> None:
        self.state = BreakerState.OPEN
        self._due = due
