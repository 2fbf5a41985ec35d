"""The per-point round (PROTOCOLS §4): CASPaxos (Rystsov 2018) over the owners of one point, without a leader.

Owns the rules by which one operation on one point is proposed, proposed again and answered. An attempt has a ballot:
`begin`, then `promised` or `refused` per owner; `propose` gives the row to have accepted; then `accepted` or
`outdone`; `conclude`. Without an outcome the caller begins again with a higher ballot. Must not know clocks, networks
or disks; what an operation does to a point is a function that the caller hands in.

Invariants:
- A row is proposed only on the highest version that a quorum of promises showed, with the steps that led to it.
- Nothing is answered that a quorum does not hold: not done, and no failed condition either.
- Once its effect was sent, an operation is done if its id is in the base, and is proposed again only where the base
  shows that it was not done; else its outcome is unknown, unless it may be done more than once (`rebase`).

What a base shows. Had the effect been chosen, every later base would come from it, by rounds (whose rows keep the last
steps) or over a plain write (whose rows keep none). So it was not chosen, and the higher ballot shuts it out, if the
base is of the very content version that it was proposed on; or if the steps of the base reach back to a change of that
version and its own id is not among them; or, whatever it was proposed on, if they reach back to the beginning, when
there never was any content (what was there before a floor is forgotten: so this is not for calls of ten minutes). The
same holds if every owner has refused it (each is asked at most once).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from vectron_p2p.model.errors import (
    ClockSkew,
    ConsistencyError,
    InvalidArgument,
    NotFound,
    Overloaded,
    ReadOnly,
    VectronError,
)
from vectron_p2p.replication.ballots import (
    NEVER,
    OPERATION_SIZE,
    STEPS,
    Mark,
    ballot_of,
    base_key,
    content_version,
    round_version,
    unpack_mark,
)
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.version import stamp

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId, PointId

PLAIN_REFUSALS = (InvalidArgument, NotFound, Overloaded, ReadOnly)  # of an owner; they say more than "too few answered"
SOMEWHERE = b"?"  # no content version: an earlier attempt, of which this one knows nothing, may have been proposed


class State(NamedTuple):
    """A row of one point as an owner holds it. `version` NEVER: none; `vector` None: deleted or none."""

    version: bytes
    vector: bytes | None = None
    payload: bytes | None = None
    mark: bytes = b""

    @property
    def live(self) -> bool:
        return self.vector is not None

    @property
    def content(self) -> bytes:
        """The content version; NEVER where there never was any content."""
        return content_version(self.version, self.mark)

    @property
    def steps(self) -> tuple[bytes, ...]:
        return unpack_mark(self.mark).steps if self.mark else ()


ABSENT = State(NEVER)
NOBODY = JointQuorum(())  # before the first attempt


class Change(NamedTuple):
    """The content that an operation gives a point; `vector` None deletes it."""

    vector: bytes | None
    payload: bytes | None


Decide: TypeAlias = Callable[[State], Change | VectronError | None]
"""What an operation does on a base: a change, nothing, or it fails with an error. A function of the content alone."""


class Kind(enum.Enum):
    DONE = "done"
    FAILED = "failed"
    """The condition does not hold; the base is held by a quorum."""
    UNKNOWN = "unknown"
    """It may have happened, or may yet: never to be done again."""
    REFUSED = "refused"
    """Nothing was proposed."""


class Outcome(NamedTuple):
    """`state`: what a quorum holds now (DONE and FAILED). `changed`: by this operation. `error`: of all but DONE."""

    kind: Kind
    state: State = ABSENT
    changed: bool = False
    error: VectronError | None = None


class _Sent(NamedTuple):
    """A proposal of the operation's effect."""

    on: bytes
    """The content version of its base."""
    open: set[NodeId | None]
    """Owners that may hold it, or may yet take it."""


class PointRound:
    """One operation on one point. `outcome` is None until it has one."""

    def __init__(
        self,
        point: PointId,
        decide: Decide,
        *,
        operation: bytes | None = None,
        rebase: bool = False,
        proposed_on: bytes | None = None,
    ) -> None:
        """`operation`: its id as rows keep it; None for an identity round. `rebase`: it is at-least-once.

        `proposed_on`: the content version of the base on which an earlier attempt may have been proposed elsewhere,
        `SOMEWHERE` when that could be any.
        """
        self.point = point
        self.ballot = b""
        self.outcome: Outcome | None = None
        self._decide = decide
        self._operation = operation
        self._rebase = rebase
        self._sent: dict[bytes, _Sent] = {}
        if proposed_on is not None:
            self._sent[b""] = _Sent(proposed_on, {None})
        self._above = 0
        self._promise_quorum = self._accept_quorum = NOBODY
        self._pending: set[NodeId] = set()
        self._promises: dict[NodeId, State] = {}
        self._accepted: set[NodeId] = set()
        self._proposal: State | None = None
        self._verdict = Outcome(Kind.REFUSED)
        self._errors: list[VectronError] = []
        self._skewed = False
        self._asked: list[NodeId] = []

    # --- an attempt -------------------------------------------------------------------------------------------------

    @property
    def above(self) -> int:
        """The next ballot's stamp has to be greater."""
        return self._above

    def begin(self, ballot: bytes, promises: JointQuorum, accepts: JointQuorum | None = None) -> None:
        """A new attempt: who is to promise, and who (default: the same) to accept; both of the same owners."""
        if not promises.majority or ballot <= self.ballot:
            raise ValueError("the quorum is no majority, or the ballot is not above the last")
        self.ballot = ballot
        self._above = max(self._above, stamp(ballot))
        self._promise_quorum, self._accept_quorum = promises, accepts or promises
        self._asked = list(promises.owners)
        self._pending = set(promises.owners)
        self._promises = {}
        self._accepted = set()
        self._proposal = None

    def promised(self, ballot: bytes, owner: NodeId, held: State) -> None:
        """`owner` promised to take nothing below `ballot`, and holds `held`."""
        if ballot == self.ballot and self._proposal is None and owner in self._pending:
            self._pending.discard(owner)
            self._promises[owner] = held

    def unpromised(self, ballot: bytes, owner: NodeId) -> None:
        """`owner` refused to be asked for a promise; of what may be proposed later this says nothing."""
        if ballot == self.ballot and self._proposal is None:
            self._pending.discard(owner)

    def accepted(self, ballot: bytes, owner: NodeId) -> None:
        """`owner` holds exactly the row proposed under `ballot`."""
        if ballot == self.ballot and self._proposal is not None and owner in self._pending:
            self._pending.discard(owner)
            self._accepted.add(owner)

    def refused(self, ballot: bytes, owner: NodeId, above: bytes | None) -> None:
        """`owner` holds or has promised `above`; None: it takes no such stamp."""
        if above is None:
            self._skewed = True
        else:
            self._above = max(self._above, stamp(above))
        if ballot == self.ballot:
            self._pending.discard(owner)

    def outdone(self, ballot: bytes, owner: NodeId, above: bytes | None) -> None:
        """`owner` did not take the row proposed under `ballot`; as `refused`."""
        if above is not None and ballot_of(above) > ballot:
            self._not_at(ballot, owner)
        self.refused(ballot, owner, above)

    def failed(self, ballot: bytes, owner: NodeId, error: VectronError | None = None) -> None:
        """`owner` gave no answer; without `error`: it was not asked."""
        if error is None:
            self._not_at(ballot, owner)
        else:
            self._errors.append(error)
        if ballot == self.ballot:
            self._pending.discard(owner)

    def _not_at(self, ballot: bytes, owner: NodeId) -> None:
        """`owner` does not hold what was proposed under `ballot`, and never will."""
        if ballot in self._sent:
            self._sent[ballot].open.discard(owner)

    @property
    def decided(self) -> bool:
        """Whether further answers of this phase change nothing."""
        quorum, got = self._tally()
        return quorum.met(got) or not quorum.met(got | quorum.mask(self._pending))

    def _tally(self) -> tuple[JointQuorum, int]:
        """What this phase needs, and who has said so."""
        if self._proposal is None:
            return self._promise_quorum, self._promise_quorum.mask(self._promises)
        return self._accept_quorum, self._accept_quorum.mask(self._accepted)

    @property
    def _needed(self) -> int:
        """For messages: how many were needed, of the set that lacks most."""
        quorum, got = self._tally()
        return quorum.tally(got)[1] if quorum.owners else 0

    @property
    def _enough(self) -> bool:
        quorum, got = self._tally()
        return quorum.met(got)

    def propose(self) -> State | None:
        """The row to have accepted by all owners, or None: too few have promised."""
        if self._proposal is not None or not self._enough:
            return None
        base = max(self._promises.values(), key=lambda state: state.version)
        self._verdict, change = self._judge(base)
        if change is None:
            mark = Mark(base.content, base.steps)
            row = (base.vector, base.payload)
        else:
            step = (self._operation or bytes(OPERATION_SIZE)) + base_key(base.content)
            mark = Mark(None, (*base.steps, step)[-STEPS:])
            row = (change.vector, change.payload)
            self._sent[self.ballot] = _Sent(base.content, set(self._asked))
        packed = mark.pack()
        self._proposal = State(round_version(self.ballot, self.point, *row, packed), *row, packed)
        self._pending = set(self._asked)
        return self._proposal

    def _judge(self, base: State) -> tuple[Outcome, Change | None]:
        """What to answer once `base`, or the change of it that is returned, is accepted."""
        steps = base.steps
        if self._operation is not None and any(step[:OPERATION_SIZE] == self._operation for step in steps):
            return Outcome(Kind.DONE, changed=True), None
        proposed_on = self._proposed_on()
        if proposed_on and not self._rebase and base.content not in proposed_on:
            changed = {step[OPERATION_SIZE:] for step in steps}
            from_the_beginning = base.content == NEVER or base_key(NEVER) in changed
            if not from_the_beginning and not any(base_key(content) in changed for content in proposed_on):
                return self._unknown("another write came between two attempts"), None
        decision = self._decide(base)
        if isinstance(decision, VectronError):
            return Outcome(Kind.FAILED, error=decision), None
        return Outcome(Kind.DONE, changed=decision is not None), decision

    @property
    def uncertain(self) -> bool:
        """Whether its effect was sent and may be somewhere: the base has to be looked at before it has gone far."""
        return bool(self._proposed_on())

    def _proposed_on(self) -> set[bytes]:
        """Content versions on which it may have been proposed with effect."""
        return {sent.on for sent in self._sent.values() if sent.open}

    def conclude(self) -> Outcome | None:
        """The outcome, once enough have accepted; None: begin again."""
        if self.outcome is None and self._proposal is not None and self._enough:
            self.outcome = self._verdict._replace(state=self._proposal)
        return self.outcome

    def give_up(self, why: str, error: VectronError | None = None) -> Outcome:
        """The outcome when there is no further attempt; `error`: what kept it from one."""
        if self.outcome is None:
            if self._proposed_on():
                self.outcome = self._unknown(why if error is None else error.message)
            else:
                self.outcome = Outcome(Kind.REFUSED, error=error or self._nothing_written(why))
        return self.outcome

    def _unknown(self, why: str) -> Outcome:
        because = f": {self._errors[0].message}" if self._errors else ""
        error = ConsistencyError(
            f"point {self.point!r}: {why}; the outcome is unknown: the write may appear later{because}",
            acked=max(1, len(self._accepted)),
            required=self._needed,
            retryable=self._rebase,
        )
        return Outcome(Kind.UNKNOWN, error=error)

    def _nothing_written(self, why: str) -> VectronError:
        if self._skewed and not self._errors:
            return ClockSkew("the owners refused the ballot: this node's clock is ahead of theirs; nothing was written")
        if self._errors and all(isinstance(error, PLAIN_REFUSALS) for error in self._errors):
            return self._errors[0]
        because = f": {self._errors[0].message}" if self._errors else ""
        return ConsistencyError(
            f"point {self.point!r}: {why}; nothing was written: retry{because}", acked=0, required=self._needed
        )


def nothing(state: State) -> None:
    """The operation of an identity round: the base is accepted again, at a higher ballot."""
