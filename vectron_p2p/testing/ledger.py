"""What a workload may expect: per point the state acknowledged last, and every other state that may still be read.

Each point has one writer, which waits for each answer. A quorum read must return the state last acknowledged, or one
whose outcome is unknown; what a quorum read returned once is acknowledged from then on (D1, D2, D3, D8).

A write of unknown outcome may win over a later, acknowledged one when its stamp was higher: coordinators' clocks
differ by up to the skew that replicas admit, plus the reserve that a restarted node begins at. Beyond that haze it
may not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vectron_p2p.replication.hlc import MAX_SKEW_MS, RESERVE_MS

ABSENT = -1  # the state of a point that was never written, or was deleted; otherwise a state is the number written
HAZE = (2 * MAX_SKEW_MS + RESERVE_MS) / 1000  # seconds: one coordinator ahead, the other behind, one just restarted
ONE_ATTEMPT = 0.2  # seconds: a write that took longer may have been sent twice, by two coordinators


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write: its state, and until when it may have been stamped."""

    state: int
    ended: float


@dataclass(slots=True)
class Entry:
    """One point: its settled state and the writes that may have replaced it."""

    settled: int = ABSENT
    possible: list[Attempt] = field(default_factory=list)


NEVER_WRITTEN = Entry()


class Ledger:
    """All points of a run."""

    def __init__(self) -> None:
        self.points: dict[int, Entry] = {}
        self.acknowledged = 0
        self.violations: list[str] = []

    def begin(self, point: int, state: int) -> None:
        """A write of `state` is being sent: from now on it may be seen."""
        self.points.setdefault(point, Entry()).possible.append(Attempt(state, float("inf")))

    def unknown(self, point: int, state: int, now: float) -> None:
        """It failed: it may have happened, or may yet."""
        self._replace(point, state, now)

    def acknowledge(self, point: int, state: int, began: float, now: float) -> None:
        """It was acknowledged: what was stamped well before it can not be seen any more."""
        self._replace(point, state, now)
        entry = self.points[point]
        entry.settled = state
        entry.possible = [
            attempt
            for attempt in entry.possible
            if attempt.ended + HAZE > began and (attempt.state != state or now - began > ONE_ATTEMPT)
        ]
        self.acknowledged += 1

    def may_be(self, point: int, state: int) -> bool:
        """Whether a quorum read may return `state` now."""
        entry = self.points.get(point, NEVER_WRITTEN)
        return state == entry.settled or any(attempt.state == state for attempt in entry.possible)

    def must_be(self, point: int) -> int | None:
        """The one state that a quorum read may return now; None: there are several."""
        entry = self.points.get(point, NEVER_WRITTEN)
        return entry.settled if all(attempt.state == entry.settled for attempt in entry.possible) else None

    def saw(self, point: int, state: int, where: str) -> bool:
        """A quorum read returned `state`: at a quorum it stays. Whether it may be so."""
        entry = self.points.setdefault(point, Entry())
        allowed = self.may_be(point, state)
        if not allowed:
            self.violations.append(
                f"{where}: point {point} reads {_word(state)}, acknowledged is {_word(entry.settled)}, "
                f"possible {[_word(each.state) for each in entry.possible]}"
            )
        entry.settled = state
        return allowed

    def _replace(self, point: int, state: int, now: float) -> None:
        entry = self.points[point]
        entry.possible = [
            Attempt(state, now) if attempt.state == state and attempt.ended == float("inf") else attempt
            for attempt in entry.possible
        ]


def _word(state: int) -> str:
    return "absent" if state == ABSENT else f"#{state}"
