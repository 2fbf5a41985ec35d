"""Quorums over two sets of owners, and what writes, reads and rounds make of them."""

from __future__ import annotations

import pytest

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import StaleEpoch, Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.ballots import make_ballot, operation_key
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.quorum import RowState, WriteRound
from vectron_p2p.replication.reads import ReadRound
from vectron_p2p.replication.rounds import ABSENT, Change, Kind, PointRound, State
from vectron_p2p.replication.version import content_digest, make_version

A, B, C, D = OWNERS = [NodeId(f"00000000-0000-4000-8000-{i:012x}") for i in range(1, 5)]
OLD, NEW = (A, B, C), (B, C, D)
JOINT = JointQuorum.at(Consistency.QUORUM, (OLD, NEW))


def version(stamp: int) -> bytes:
    return make_version(stamp, A, content_digest(1, b"v", b"\x80"))


V1, V2 = version(1), version(2)
STALE = StaleEpoch("moving", epoch=7)


def test_each_set_has_to_be_met_by_itself() -> None:
    assert JOINT.owners == (A, B, C, D)
    assert JOINT.met(JOINT.mask([B, C]))  # who is in both sets counts in both
    assert JOINT.met(JOINT.mask([A, B, D]))
    assert not JOINT.met(JOINT.mask([A, B]))
    assert not JOINT.met(JOINT.mask([C, D]))
    assert JOINT.lacking(JOINT.mask([A, B])) == set(NEW)
    assert JOINT.tally(JOINT.mask([A, B])) == (1, 2)
    every = JointQuorum.at(Consistency.ALL, (OLD, NEW))
    assert not every.met(every.mask(OLD))
    assert every.met(every.mask(OWNERS))
    one = JointQuorum.at(Consistency.ONE, ((A,), (D,)))
    assert not one.met(one.mask([A]))
    assert one.met(one.mask([A, D]))


def test_majorities_are_judged_set_by_set() -> None:
    assert JOINT.majority
    assert not JointQuorum([(OLD, 2), ((B, D), 1)]).majority
    with pytest.raises(ValueError, match="3 answers of 2 owners"):
        JointQuorum([((B, D), 3)])


def test_a_write_is_done_only_with_a_quorum_of_each_set() -> None:
    write = WriteRound(JOINT, [V1])
    write.record(A, [V1])
    write.record(B, [V1])
    assert not write.decided  # as far as the old owners go it would be done
    write.record(D, [V1])
    assert write.decided
    assert write.outcome().states == [RowState.DONE]


def test_a_write_that_the_new_set_lacks_is_unknown() -> None:
    write = WriteRound(JOINT, [V1])
    for owner in (A, B):
        write.record(owner, [V1])
    for owner in (C, D):
        write.record_failure(owner, Unavailable("gone"))
    outcome = write.outcome()
    assert outcome.states == [RowState.UNKNOWN]
    assert (outcome.error.acked, outcome.error.required) == (1, 2)  # type: ignore[union-attr]


def test_a_stale_refusal_applied_nothing_and_says_which_epoch() -> None:
    write = WriteRound(JOINT, [V1])
    for owner in OWNERS:
        write.record_stale(owner, STALE)
    assert write.stale == 7
    assert write.traces() == []
    outcome = write.outcome()
    assert outcome.states == [RowState.REFUSED]
    assert isinstance(outcome.error, Unavailable)  # an epoch is nothing to a client
    assert outcome.error.retryable
    assert write.owed() == ([], [])  # it is sent again, not hinted


def test_a_row_that_left_a_trace_is_never_stamped_anew() -> None:
    first = WriteRound(JointQuorum.of(OLD, 2), [V1, V1])
    first.record(A, [V1, V2])
    first.record_stale(B, STALE)
    first.record_stale(C, STALE)
    assert first.outcome().states == [RowState.UNKNOWN, RowState.RESTAMP]
    assert first.traces() == [0]
    again = WriteRound(JOINT, [V1, V1], traced=first.traces())
    for owner in OWNERS:
        again.record(owner, [V2, V2])
    assert again.outcome().states == [RowState.UNKNOWN, RowState.RESTAMP]
    assert again.outcome().mixed == [0]  # a round finishes it


def test_owners_that_have_not_answered_yet_are_a_trace() -> None:
    write = WriteRound(JointQuorum.of(OLD, 2), [V1])
    write.record_stale(B, STALE)
    write.record_stale(C, STALE)
    assert write.traces() == [0]


def test_a_read_is_confirmed_by_both_sets_or_written_back() -> None:
    read = ReadRound(OLD, 2, 2, confirm=JOINT)
    read.record(A, [V1, None])
    read.record(B, [V1, None])
    assert not read.complete  # the next step reads C and D, which may not have it
    assert read.confirmed(1)  # there is nothing to hold
    (back,) = read.write_backs()
    assert (back.owner, back.rows) == (D, [0])
    read.record_write_back(D, [0], [V1])
    assert read.complete


def test_owners_of_both_sets_need_no_write_back() -> None:
    read = ReadRound(OLD, 2, 1, confirm=JOINT)
    read.record(B, [V1])
    read.record(C, [V1])
    assert read.complete
    assert read.write_backs() == []


def test_a_read_whose_write_back_is_overtaken_is_read_again() -> None:
    read = ReadRound(OLD, 2, 1, confirm=JOINT)
    read.record(A, [V1])
    read.record(B, [V1])
    read.record_write_back(D, [0], [V2])
    assert read.again == [0]


def test_a_round_starts_from_the_highest_of_all_promises_and_needs_both_sets_twice() -> None:
    def put(_: State) -> Change:
        return Change(b"new", b"\x80")

    round_ = PointRound(1, put, operation=operation_key("x"))
    ballot = make_ballot(9, A)
    round_.begin(ballot, JOINT)
    old = State(V2, b"v", b"\x80")
    round_.promised(ballot, A, old)
    round_.promised(ballot, B, ABSENT)
    assert not round_.decided
    assert round_.propose() is None
    round_.promised(ballot, D, ABSENT)
    proposal = round_.propose()
    assert proposal is not None
    assert proposal.steps  # made of the row that only A showed
    for owner in (A, B):
        round_.accepted(ballot, owner)
    assert round_.conclude() is None
    round_.accepted(ballot, C)
    outcome = round_.conclude()
    assert outcome is not None
    assert outcome.kind is Kind.DONE
