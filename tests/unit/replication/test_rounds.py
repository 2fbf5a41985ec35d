"""Per-point rounds: the rules one by one, then seeded schedules checked for linearizability, and broken variants that
the schedules must catch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.replication import moving_world
from tests.unit.replication.linearizable import Event, linearizable
from tests.unit.replication.moving_world import MovingWorld
from tests.unit.replication.round_world import At, World
from vectron_p2p.model.errors import ConsistencyError, NotFound, Overloaded
from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication import quorum, rounds
from vectron_p2p.replication.ballots import (
    NEVER,
    STEP_SIZE,
    STEPS,
    Mark,
    base_key,
    busy,
    content_version,
    is_busy,
    make_ballot,
    operation_key,
    passes,
    round_version,
    unpack_mark,
)
from vectron_p2p.replication.fencing import FenceRound
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.quorum import RowState, WriteOutcome, WriteRound
from vectron_p2p.replication.reads import ReadRound
from vectron_p2p.replication.rounds import ABSENT, SOMEWHERE, Change, Kind, PointRound, State, nothing
from vectron_p2p.replication.version import VERSION_SIZE, content_digest, make_version
from vectron_p2p.storage import shard

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = OWNERS = [NodeId(f"00000000-0000-4000-8000-{i:012x}") for i in range(1, 4)]
X = operation_key("x")


def step(operation: bytes, base: State) -> bytes:
    return operation + base_key(base.content)


STEP = X + bytes(STEP_SIZE - len(X))


def plain(stamp: int, vector: bytes | None = b"old") -> State:
    payload = None if vector is None else b"\x80"
    return State(make_version(stamp, A, content_digest(1, vector, payload)), vector, payload)


def ballot(stamp: int) -> bytes:
    return make_ballot(stamp, B)


def put(base: State) -> Change:
    return Change(b"new", b"\x80")


def promised(round_: PointRound, number: bytes, *states: State) -> State | None:
    round_.begin(number, JointQuorum.of(OWNERS, 2))
    for owner, state in zip(OWNERS, states, strict=False):
        round_.promised(number, owner, state)
    return round_.propose()


# --- ballots and marks ------------------------------------------------------------------------------------------------


def test_marks_come_apart_again() -> None:
    content = plain(5).version
    for mark in (Mark(None, ()), Mark(content, (STEP,)), Mark(NEVER, (STEP,) * STEPS)):
        assert unpack_mark(mark.pack()) == mark
    for bad in (b"", b"\x09", b"\x01" + content[:-1], b"\x00" + STEP[:-1], b"\x00" + STEP * (STEPS + 1)):
        with pytest.raises(ValueError, match="mark"):
            unpack_mark(bad)


def test_a_promise_is_above_all_rows_of_its_ballot_and_below_the_next() -> None:
    last = ballot(5) + b"\xff" * 16
    assert last < busy(ballot(5)) < ballot(6) + b"\x00" * 16
    assert is_busy(busy(ballot(5)))
    assert not is_busy(last)
    assert len(last) == VERSION_SIZE


def test_only_the_row_of_its_round_passes_a_promise_at_its_ballot() -> None:
    mark = Mark(None, (STEP,)).pack()
    at = round_version(ballot(5), 1, b"v", b"p", mark)
    assert passes(at, mark, ballot(5))
    assert not passes(at, b"", ballot(5))
    assert not passes(at, mark, ballot(6))
    assert passes(at, b"", ballot(4))


# --- one round --------------------------------------------------------------------------------------------------------


def test_the_highest_of_a_quorum_is_the_base_and_hands_its_operations_on() -> None:
    seen: list[State] = []

    def decide(base: State) -> Change:
        seen.append(base)
        return Change(b"new", b"\x80")

    older = plain(3)
    before = State(plain(4).version, b"old", b"\x80", Mark(None, (b"k" * STEP_SIZE,) * STEPS).pack())
    round_ = PointRound(1, decide, operation=X)
    row = promised(round_, ballot(9), older, before)
    assert row is not None
    assert seen == [before]
    assert row.steps == (*[b"k" * STEP_SIZE] * (STEPS - 1), step(X, before))
    assert row.content == row.version
    assert row.version[:24] == ballot(9)
    assert round_.conclude() is None
    round_.accepted(ballot(9), A)
    assert not round_.decided
    round_.accepted(ballot(9), A)  # twice is once
    assert round_.conclude() is None
    round_.accepted(ballot(9), C)
    outcome = round_.conclude()
    assert outcome is not None
    assert (outcome.kind, outcome.state, outcome.changed) == (Kind.DONE, row, True)


def test_too_few_promises_propose_nothing_and_say_what_to_go_above() -> None:
    round_ = PointRound(1, put, operation=X)
    round_.begin(ballot(5), JointQuorum.of(OWNERS, 2))
    round_.promised(ballot(5), A, ABSENT)
    assert not round_.decided
    round_.refused(ballot(5), B, busy(ballot(90)))
    round_.failed(ballot(5), C)
    assert round_.decided
    assert round_.propose() is None
    assert round_.above == 90
    with pytest.raises(ValueError, match="not above"):
        round_.begin(ballot(5), JointQuorum.of(OWNERS, 2))
    outcome = round_.give_up("no time")
    assert outcome.kind is Kind.REFUSED
    assert isinstance(outcome.error, ConsistencyError)
    assert (outcome.error.acked, outcome.error.retryable) == (0, True)


def test_answers_to_an_earlier_ballot_count_for_nothing() -> None:
    round_ = PointRound(1, put, operation=X)
    promised(round_, ballot(5), ABSENT, ABSENT)
    round_.begin(ballot(6), JointQuorum.of(OWNERS, 2))
    round_.promised(ballot(5), A, ABSENT)
    round_.accepted(ballot(5), B)
    assert round_.propose() is None
    promised(round_, ballot(7), ABSENT, ABSENT)
    round_.accepted(ballot(5), A)
    round_.accepted(ballot(5), B)
    assert round_.conclude() is None


def test_a_failed_condition_is_answered_only_after_the_base_is_accepted_again() -> None:
    round_ = PointRound(1, lambda base: NotFound("no"), operation=X)
    base = plain(3)
    row = promised(round_, ballot(9), ABSENT, base)
    assert row is not None
    assert round_.conclude() is None
    assert (row.vector, row.content, row.version[:24]) == (base.vector, base.version, ballot(9))
    round_.accepted(ballot(9), A)
    round_.accepted(ballot(9), B)
    outcome = round_.conclude()
    assert outcome is not None
    assert outcome.kind is Kind.FAILED
    assert isinstance(outcome.error, NotFound)


def test_an_identity_round_keeps_content_version_and_operations() -> None:
    made = State(plain(4).version, b"v", b"\x80", Mark(None, (STEP,)).pack())
    row = promised(PointRound(1, nothing), ballot(9), made, ABSENT)
    assert row is not None
    assert (row.content, row.steps, row.vector) == (made.version, (STEP,), b"v")
    again = promised(PointRound(1, nothing), ballot(10), row, made)
    assert again is not None
    assert (again.content, again.steps) == (made.version, (STEP,))
    never = promised(PointRound(1, nothing), ballot(9), ABSENT, ABSENT)
    assert never is not None
    assert (never.live, never.content, content_version(never.version, never.mark)) == (False, NEVER, NEVER)


def test_an_operation_is_proposed_again_only_where_the_base_shows_that_it_was_not_done() -> None:
    base = plain(3)
    round_ = PointRound(1, put, operation=X)
    promised(round_, ballot(9), base, ABSENT)
    kept = promised(PointRound(1, nothing), ballot(10), base, ABSENT)
    assert kept is not None
    again = promised(round_, ballot(11), kept, base)  # another round accepted it anew: still the same base
    assert again is not None
    assert again.vector == b"new"
    other = promised(round_, ballot(13), State(plain(12).version, b"other", b"\x80"), base)
    assert other is not None
    assert other.vector == b"other"  # only accepted anew
    round_.accepted(ballot(13), A)
    round_.accepted(ballot(13), B)
    outcome = round_.conclude()
    assert outcome is not None
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.error is not None
    assert not outcome.error.retryable


def test_what_every_owner_refused_was_not_done() -> None:
    round_ = PointRound(1, put, operation=X)
    base, other = plain(3), State(plain(12).version, b"other", b"\x80")
    promised(round_, ballot(9), base, ABSENT)
    round_.outdone(ballot(9), A, other.version)
    round_.outdone(ballot(9), B, busy(ballot(11)))
    unknown, known = promised(round_, ballot(13), other, other), None
    round_.outdone(ballot(9), C, other.version)  # late, and still worth something
    known = promised(round_, ballot(14), other, other)
    assert (unknown and unknown.vector, known and known.vector) == (b"other", b"new")


def test_a_base_whose_steps_lead_past_the_own_proposal_shows_that_it_was_not_done() -> None:
    base = plain(3)
    for steps, vector in (
        ((step(b"w" * 16, base), b"z" * STEP_SIZE), b"new"),  # someone else changed that base
        ((b"z" * STEP_SIZE,), b"other"),  # too long ago to tell
    ):
        round_ = PointRound(1, put, operation=X)
        promised(round_, ballot(9), base, base)
        other = State(plain(12).version, b"other", b"\x80", Mark(None, steps).pack())
        row = promised(round_, ballot(13), other, base)
        assert row is not None
        assert row.vector == vector


def test_whatever_it_was_proposed_on_a_base_that_is_known_from_the_beginning_shows_that_it_was_not_done() -> None:
    first = State(plain(4).version, b"other", b"\x80", Mark(None, (step(b"w" * 16, ABSENT),)).pack())
    later = State(plain(5).version, b"other", b"\x80", Mark(None, (step(b"w" * 16, plain(2)),)).pack())
    for base, vector in ((ABSENT, b"new"), (first, b"new"), (later, b"other"), (plain(4), b"old")):
        row = promised(PointRound(1, put, operation=X, proposed_on=SOMEWHERE), ballot(9), base, ABSENT)
        assert row is not None
        assert row.vector == vector


def test_its_id_in_the_base_means_done_but_not_before_a_quorum_holds_it() -> None:
    round_ = PointRound(1, put, operation=X, proposed_on=SOMEWHERE)
    theirs = State(plain(4).version, b"later", b"\x80", Mark(None, (STEP, b"y" * STEP_SIZE)).pack())
    row = promised(round_, ballot(9), theirs, ABSENT)
    assert row is not None
    assert row.vector == b"later"
    assert round_.conclude() is None
    round_.accepted(ballot(9), A)
    round_.accepted(ballot(9), C)
    outcome = round_.conclude()
    assert outcome is not None
    assert (outcome.kind, outcome.changed) == (Kind.DONE, True)


def test_only_what_is_at_least_once_takes_a_new_base() -> None:
    for rebase, vector in ((True, b"new"), (False, b"old")):
        row = promised(
            PointRound(1, put, operation=X, rebase=rebase, proposed_on=SOMEWHERE), ballot(9), plain(3), ABSENT
        )
        assert row is not None
        assert row.vector == vector
    assert PointRound(1, put, rebase=True, proposed_on=SOMEWHERE).give_up("x").error.retryable  # type: ignore[union-attr]


def test_giving_up_after_a_proposal_leaves_the_outcome_unknown() -> None:
    round_ = PointRound(1, put, operation=X)
    promised(round_, ballot(9), ABSENT, ABSENT)
    round_.accepted(ballot(9), A)
    outcome = round_.give_up("no time", Overloaded("later"))
    assert outcome.kind is Kind.UNKNOWN
    assert isinstance(outcome.error, ConsistencyError)
    assert outcome.error.acked == 1


# --- promises and the plain paths -------------------------------------------------------------------------------------


def test_a_busy_answer_is_no_acknowledgement_and_a_write_refused_everywhere_goes_above_it() -> None:
    version = plain(5).version
    write = WriteRound(JointQuorum.of(OWNERS, 2), [version])
    write.record(A, [busy(ballot(7))])
    write.record(B, [busy(ballot(8))])
    write.record(C, [plain(6).version])
    outcome = write.outcome()
    assert (outcome.states, outcome.above) == ([RowState.RESTAMP], [8])
    write = WriteRound(JointQuorum.of(OWNERS, 2), [version])
    write.record(A, [version])
    write.record(B, [busy(ballot(7))])
    write.record(C, [busy(ballot(7))])
    outcome = write.outcome()
    assert (outcome.states, outcome.mixed) == ([RowState.UNKNOWN], [0])
    assert outcome.error is not None


def test_mixed_rows_are_told_from_those_that_too_few_answered() -> None:
    version = plain(5).version
    write = WriteRound(JointQuorum.of(OWNERS, 2), [version, version])
    write.record(A, [version, version])
    write.record(B, [version, plain(6).version])
    write.record_failure(C)
    assert write.outcome().mixed == [1]
    write = WriteRound(JointQuorum.of(OWNERS, 2), [version])
    write.record(A, [version])
    write.record_failure(B)
    write.record_failure(C)
    assert write.outcome().mixed == []


def test_a_row_that_a_promise_keeps_from_being_written_back_is_busy() -> None:
    newest, older = plain(5).version, plain(3).version
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [newest])
    read.record(B, [older])
    (back,) = read.write_backs()
    read.record_write_back(B, back.rows, [busy(ballot(9))])
    assert (read.busy, read.again, read.complete) == ([0], [], False)
    read.record(C, [newest])  # confirmed after all
    assert (read.busy, read.complete) == ([], True)


# --- schedules --------------------------------------------------------------------------------------------------------


def test_the_checker_knows_a_register() -> None:
    def event(kind: str, began: float, ended: float, **fields: Any) -> Event:
        return Event(kind, began, ended=ended, outcome=fields.pop("outcome", "ok"), **fields)

    write = event("put", 0, 1, value="a")
    assert linearizable([write, event("read", 2, 3, result="a")])
    assert not linearizable([write, event("read", 2, 3, result=None)])
    assert linearizable([event("put", 0, 5, value="a"), event("read", 2, 3, result=None)])
    lost = [write, event("cas", 2, 4, value="b", expected="a"), event("cas", 3, 5, value="c", expected="a")]
    assert not linearizable(lost)
    assert linearizable([*lost[:2], event("cas", 3, 5, value="c", expected="a", outcome="failed", result="b")])
    unknown = event("insert", 0, float("inf"), value="u", outcome="unknown")
    assert linearizable([unknown, event("read", 5, 6, result=None), event("read", 7, 8, result="u")])
    assert not linearizable([unknown, event("read", 5, 6, result="u"), event("read", 7, 8, result=None)])


@pytest.mark.parametrize("block", range(4))
def test_schedules_are_linearizable(block: int) -> None:
    for seed in range(150 * block, 150 * (block + 1)):
        history = World(seed).run()
        assert linearizable(history), f"seed {seed}"


def _plain_rows_pass_promises(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shard, "passes", lambda version, mark, promise: not mark or passes(version, mark, promise))


def _accepts_pass_promises(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shard, "passes", lambda version, mark, promise: bool(mark) or passes(version, mark, promise))


def _conditions_fail_at_once(patch: pytest.MonkeyPatch) -> None:
    propose = PointRound.propose

    def mutant(self: PointRound) -> State | None:
        row = propose(self)
        if row is not None and self._verdict.kind is Kind.FAILED:
            self.outcome = self._verdict._replace(state=row)
            return None
        return row

    patch.setattr(PointRound, "propose", mutant)


def _any_base_will_do(patch: pytest.MonkeyPatch) -> None:
    init = PointRound.__init__

    def mutant(self: PointRound, *args: Any, **options: Any) -> None:
        init(self, *args, **{**options, "rebase": True})

    patch.setattr(PointRound, "__init__", mutant)


def _identity_is_a_new_content(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rounds, "content_version", lambda version, mark: version)


def _the_first_promise_is_the_base(patch: pytest.MonkeyPatch) -> None:
    propose = PointRound.propose

    def mutant(self: PointRound) -> State | None:
        if self._enough:
            self._promises = dict.fromkeys(self._promises, next(iter(self._promises.values())))
        return propose(self)

    patch.setattr(PointRound, "propose", mutant)


def _newer_is_an_ack(patch: pytest.MonkeyPatch) -> None:
    record = WriteRound.record

    def mutant(self: WriteRound, owner: NodeId, held: Any) -> None:
        record(
            self, owner, [version if answer else answer for answer, version in zip(held, self._versions, strict=True)]
        )

    patch.setattr(WriteRound, "record", mutant)


def _mixed_is_stamped_anew(patch: pytest.MonkeyPatch) -> None:
    outcome = WriteRound.outcome

    def mutant(self: WriteRound) -> WriteOutcome:
        found = outcome(self)
        if not found.mixed:
            return found
        return WriteOutcome([RowState.RESTAMP], [0], [self._highest[0]], None)

    patch.setattr(quorum.WriteRound, "outcome", mutant)


@pytest.mark.parametrize(
    "mutant",
    [
        _plain_rows_pass_promises,
        _accepts_pass_promises,
        _conditions_fail_at_once,
        _any_base_will_do,
        _identity_is_a_new_content,
        _the_first_promise_is_the_base,
        _newer_is_an_ack,
        _mixed_is_stamped_anew,
    ],
)
def test_schedules_catch_a_rule_left_out(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(not linearizable(World(seed).run()) for seed in range(1000))


# --- schedules with moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(4))
def test_every_schedule_with_moves_is_linearizable(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        assert linearizable(MovingWorld(seed).run()), f"seed {seed}"


def _those_that_are_read_are_enough(patch: pytest.MonkeyPatch) -> None:
    where = MovingWorld.route

    def mutant(self: MovingWorld, node: NodeId) -> At:
        at = where(self, node)
        return at._replace(quorum=JointQuorum.of(at.read, at.required))

    patch.setattr(MovingWorld, "route", mutant)


def _owners_take_requests_of_any_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MovingWorld, "refused", lambda self, owner, epoch: 0)


def _no_step_waits_for_its_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FenceRound, "complete", True)


def _a_promise_may_keep_a_row_out_of_the_copy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(moving_world, "is_busy", lambda held: False)


@pytest.mark.parametrize(
    "mutant",
    [
        _those_that_are_read_are_enough,
        _owners_take_requests_of_any_epoch,
        _no_step_waits_for_its_fence,
        _a_promise_may_keep_a_row_out_of_the_copy,
    ],
)
def test_schedules_with_moves_catch_a_rule_left_out(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(not linearizable(MovingWorld(seed).run()) for seed in range(1000))
