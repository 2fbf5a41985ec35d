"""Write rounds: what the answers of a shard's owners make of each row of one write.

Owns the rule that an acknowledgement means "this owner holds exactly this version", never "it holds a newer one" (a
promise given to a round counts as newer: `ballots.busy`).
What is required is counted out of all owners that the catalog names, dead or alive, and while a shard is being moved in
its old and its new set of owners. Invariants: a row is DONE only with as many owners of each set that said so; RESTAMP
only if no owner at all can have applied it, so a new stamp can bring nothing back; a hint is owed only of a row that
some owner acknowledged.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import ClockSkew, ConsistencyError, StaleEpoch, Unavailable, VectronError
from vectron_p2p.replication.version import stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.replication.joint import JointQuorum


class RowState(enum.Enum):
    PENDING = "pending"
    DONE = "done"
    """Acknowledged."""
    RESTAMP = "restamp"
    """Applied nowhere, since every owner that was sent it holds something newer: stamp it higher and send it again."""
    REFUSED = "refused"
    """Applied nowhere; the error says why."""
    UNKNOWN = "unknown"
    """Too few acknowledged, but some did or may have: it may appear later. Never stamp it anew."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """States of all rows. `error` is of the worst row, None if all are DONE or RESTAMP."""

    states: list[RowState]
    restamp: list[int]
    """Rows to stamp anew, above `above[i]` for row `restamp[i]`."""
    above: list[int]
    error: VectronError | None
    mixed: list[int] = field(default_factory=list)
    """Rows of unknown outcome because newer ones were met; with these finished by a round there is no `error`."""


class WriteRound:
    """One write of rows to the owners of one shard.

    Tell it the fate of each owner once: `record` an answer, `record_failure` for one that was sent the rows and gave no
    answer, `record_unsent` for one that was not, `record_stale` for one that refused them for the sender's old epoch.
    It is `decided` as soon as later answers change nothing.
    """

    def __init__(self, quorum: JointQuorum, versions: Sequence[bytes], *, traced: Collection[int] = ()) -> None:
        """`traced`: rows that were sent in this version before, in a round over other owners, and may be somewhere."""
        self._quorum = quorum
        self._versions = list(versions)
        self._pending = set(quorum.owners)
        self._missed: set[NodeId] = set()
        self._silent = 0
        self._errors: list[VectronError] = []
        self._acked = [0] * len(versions)
        self._newer = [False] * len(versions)
        self._skewed = [False] * len(versions)
        self._highest = [0] * len(versions)
        self._traced = [False] * len(versions)
        for i in traced:
            self._traced[i] = True
        self._undone = len(versions)
        self.stale = 0
        """The epoch that owners want to see; 0: none refused the rows for the sender's."""

    def record(self, owner: NodeId, held: Sequence[bytes | None]) -> None:
        """`owner` answered: the version it holds of each row, None where it refused the stamp."""
        if len(held) != len(self._versions):
            raise ValueError(f"{len(held)} answers for {len(self._versions)} rows")
        if not self._settle(owner):
            return
        bit, met = self._quorum.bit(owner), self._quorum.met
        for i, (version, answer) in enumerate(zip(self._versions, held, strict=True)):
            if answer == version:
                before = self._acked[i]
                self._acked[i] = before | bit
                if met(before | bit) and not met(before):
                    self._undone -= 1
            elif answer is None:
                self._skewed[i] = True
            elif answer > version:
                self._newer[i] = True
                self._highest[i] = max(self._highest[i], stamp(answer))
            else:  # an owner that holds less than it was sent has not applied it: as good as no answer
                self._silent += 1
                self._missed.add(owner)

    def record_failure(self, owner: NodeId, error: VectronError | None = None) -> None:
        """`owner` was sent the rows, and whether it applied them is unknown."""
        if self._settle(owner):
            self._silent += 1
            self._note_miss(owner, error)

    def record_unsent(self, owner: NodeId, error: VectronError | None = None) -> None:
        """`owner` was not sent the rows, or refused them all before applying any."""
        if self._settle(owner):
            self._note_miss(owner, error)

    def record_stale(self, owner: NodeId, error: StaleEpoch) -> None:
        """`owner` refused them all for the sender's epoch: they are to be sent again by a newer one, not hinted."""
        if self._settle(owner):
            self._errors.append(error)
            self.stale = max(self.stale, error.epoch)

    def _settle(self, owner: NodeId) -> bool:
        """Whether this is the first word on `owner`."""
        if owner not in self._pending:
            return False
        self._pending.discard(owner)
        return True

    def _note_miss(self, owner: NodeId, error: VectronError | None) -> None:
        if error is not None:
            self._errors.append(error)
        if error is None or error.retryable:  # else it will never take them: its collection is gone, say
            self._missed.add(owner)

    @property
    def pending(self) -> list[NodeId]:
        """Owners of whom nothing is known yet."""
        return [owner for owner in self._quorum.owners if owner in self._pending]

    def owed(self) -> tuple[list[NodeId], list[int]]:
        """Who may lack rows, and which rows are to reach them by hints; ask when nobody is pending.

        Only rows that some owner acknowledged, so that a hint just copies what is there already. One that was refused
        everywhere must not appear later (its writer was told so and may have written something else since), and one of
        unknown outcome is not sent once more after the call.
        """
        owners = [owner for owner in self._quorum.owners if owner in self._missed]
        return owners, [i for i, acked in enumerate(self._acked) if acked] if owners else []

    @property
    def decided(self) -> bool:
        if not self._pending or not self._undone:
            return True
        return all(self._state(i) is not RowState.PENDING for i in range(len(self._versions)))

    def traces(self) -> list[int]:
        """Rows that some owner has in this version, or may have or get yet."""
        somewhere = bool(self._silent or self._pending)
        return [i for i, acked in enumerate(self._acked) if acked or somewhere or self._traced[i]]

    def _state(self, row: int) -> RowState:
        acked = self._acked[row]
        if self._quorum.met(acked):
            return RowState.DONE
        traced = acked or self._silent or self._traced[row]
        if self._pending:
            if self._quorum.met(acked | self._quorum.mask(self._pending)):
                return RowState.PENDING
            # Out of reach. With a trace of it somewhere no later answer helps; without, it may still turn out RESTAMP.
            return RowState.UNKNOWN if traced else RowState.PENDING
        if traced:
            return RowState.UNKNOWN
        return RowState.RESTAMP if self._newer[row] else RowState.REFUSED

    def outcome(self) -> WriteOutcome:
        """The result once `decided`; before that, what it is if no further answer comes (undecided rows UNKNOWN)."""
        states = [self._state(i) for i in range(len(self._versions))]
        states = [RowState.UNKNOWN if state is RowState.PENDING else state for state in states]
        restamp = [i for i, state in enumerate(states) if state is RowState.RESTAMP]
        error = self._error(states)
        return WriteOutcome(states, restamp, [self._highest[i] for i in restamp], error, self._mixed(states))

    def _mixed(self, states: list[RowState]) -> list[int]:
        if RowState.REFUSED in states:
            return []
        unknown = [i for i, state in enumerate(states) if state is RowState.UNKNOWN]
        return unknown if all(self._newer[i] for i in unknown) else []

    def _error(self, states: list[RowState]) -> VectronError | None:
        unknown = [i for i, state in enumerate(states) if state is RowState.UNKNOWN]
        why = f": {self._errors[0].message}" if self._errors else ""
        if unknown:
            acked, required = min(self._quorum.tally(self._acked[i]) for i in unknown)
            newer = any(self._newer[i] for i in unknown)
            cause = "a concurrent write won on some" if newer and not why else "too few answered"
            return ConsistencyError(
                f"{acked} of {required} owners acknowledged, {cause}; the outcome is unknown:"
                f" the write may appear later{why}",
                acked=max(1, acked),  # 0 says that nothing was written, and clients believe it
                required=required,
            )
        refused = [i for i, state in enumerate(states) if state is RowState.REFUSED]
        if not refused:
            return None
        if any(self._skewed[i] for i in refused):
            return ClockSkew(
                "the owners refused the stamp: this node's clock is not theirs, or they have only just begun to learn "
                "what they may have forgotten; nothing was written"
            )
        kinds = {type(error) for error in self._errors}
        if len(kinds) == 1 and StaleEpoch not in kinds:
            return self._errors[0]
        return Unavailable(f"no owner of the shard could be sent the write; nothing was written{why}")
