"""Write rounds: what counts as acknowledged, what may be stamped anew, what is unknown."""

from __future__ import annotations

import pytest

from vectron_p2p.model.errors import ClockSkew, ConsistencyError, NotFound, ReadOnly, Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.quorum import RowState, WriteRound
from vectron_p2p.replication.version import make_version

A, B, C = (NodeId(f"00000000-0000-4000-8000-00000000000{x}") for x in "abc")
OWNERS = [A, B, C]


def version(stamp: int) -> bytes:
    return make_version(stamp, A, b"\x00" * 16)


OLD, SENT, NEWER, NEWEST = version(5), version(10), version(20), version(30)


def round_of(rows: int = 1, required: int = 2) -> WriteRound:
    return WriteRound(JointQuorum.of(OWNERS, required), [SENT] * rows)


def test_a_quorum_that_applied_it_is_enough() -> None:
    write = round_of(rows=2)
    write.record(A, [SENT, SENT])
    assert not write.decided
    write.record(C, [SENT, SENT])
    assert write.decided
    assert write.outcome().states == [RowState.DONE, RowState.DONE]
    assert write.outcome().error is None
    assert write.pending == [B]


def test_newer_is_no_acknowledgement() -> None:
    write = round_of()
    write.record(A, [SENT])
    write.record(B, [NEWER])
    assert not write.decided
    write.record(C, [NEWER])
    outcome = write.outcome()
    assert outcome.states == [RowState.UNKNOWN]
    assert outcome.restamp == []
    assert isinstance(outcome.error, ConsistencyError)
    assert (outcome.error.acked, outcome.error.required) == (1, 2)
    assert "unknown" in outcome.error.message


def test_what_may_have_been_applied_is_never_reported_as_not_written() -> None:
    """Clients take `acked` 0 for "nothing was written": then nothing is waited for, and the write is over at once."""
    lost = Unavailable("the connection broke")
    write = round_of()
    for owner in (A, B, C):
        write.record_failure(owner, lost)
    outcome = write.outcome()
    assert outcome.states == [RowState.UNKNOWN]
    assert isinstance(outcome.error, ConsistencyError)
    assert outcome.error.acked == 1
    assert outcome.error.message.startswith("0 of 2 owners acknowledged")
    undecided = round_of().outcome()
    assert isinstance(undecided.error, ConsistencyError)
    assert undecided.error.acked == 1


def test_a_mixed_outcome_is_known_before_the_last_answer() -> None:
    write = round_of(required=3)
    write.record(A, [SENT])
    write.record(B, [NEWER])
    assert write.decided
    assert write.outcome().states == [RowState.UNKNOWN]


def test_newer_everywhere_is_stamped_anew_above_the_highest() -> None:
    write = WriteRound(JointQuorum.of(OWNERS, 2), [SENT, SENT])
    write.record(A, [NEWER, SENT])
    write.record(B, [NEWEST, SENT])
    assert not write.decided  # C may still have applied row 0
    write.record(C, [NEWER, SENT])
    outcome = write.outcome()
    assert outcome.states == [RowState.RESTAMP, RowState.DONE]
    assert (outcome.restamp, outcome.above) == ([0], [30])
    assert outcome.error is None


def test_an_owner_that_gave_no_answer_may_have_applied_it() -> None:
    write = round_of()
    write.record(A, [NEWER])
    write.record(B, [NEWER])
    write.record_failure(C)
    outcome = write.outcome()
    assert outcome.states == [RowState.UNKNOWN]
    assert outcome.restamp == []


def test_an_owner_that_was_not_sent_it_has_not_applied_it() -> None:
    write = round_of()
    write.record_unsent(C)
    write.record(A, [NEWER])
    write.record(B, [NEWER])
    assert write.outcome().states == [RowState.RESTAMP]
    assert write.owed() == ([C], [])


def test_refused_stamps_are_named() -> None:
    write = round_of()
    for owner in OWNERS:
        write.record(owner, [None])
    outcome = write.outcome()
    assert outcome.states == [RowState.REFUSED]
    assert isinstance(outcome.error, ClockSkew)
    assert outcome.error.retryable


def test_what_was_refused_leaves_no_hint() -> None:
    """Else it appears when the owner that was away comes back, over all that was written since the refusal."""
    write = WriteRound(JointQuorum.of(OWNERS, 2), [SENT, SENT, SENT])
    write.record_unsent(C)
    write.record(A, [None, SENT, SENT])
    write.record(B, [None, SENT, None])
    assert write.outcome().states == [RowState.REFUSED, RowState.DONE, RowState.UNKNOWN]
    assert write.owed() == ([C], [1, 2])


def test_nothing_is_owed_to_an_owner_that_will_never_take_it() -> None:
    write = round_of()
    write.record(A, [SENT])
    write.record(B, [SENT])
    write.record_unsent(C, NotFound("no such collection"))
    assert write.owed() == ([], [])


def test_refused_by_some_and_outdone_by_others_is_stamped_anew() -> None:
    write = round_of()
    write.record(A, [None])
    write.record(B, [NEWER])
    write.record(C, [None])
    assert write.outcome().states == [RowState.RESTAMP]


def test_nothing_sent_says_so() -> None:
    write = round_of()
    for owner in OWNERS:
        write.record_unsent(owner)
    assert write.decided
    error = write.outcome().error
    assert isinstance(error, Unavailable)
    assert "nothing was written" in error.message


def test_one_common_refusal_is_handed_on() -> None:
    write = round_of()
    for owner in OWNERS:
        write.record_unsent(owner, ReadOnly("disk full"))
    assert isinstance(write.outcome().error, ReadOnly)


def test_reasons_of_failures_are_told() -> None:
    write = round_of()
    write.record(A, [SENT])
    write.record_failure(B, ReadOnly("disk full"))
    write.record_failure(C, ReadOnly("disk full"))
    error = write.outcome().error
    assert isinstance(error, ConsistencyError)
    assert "disk full" in error.message


def test_failures_of_a_minority_change_nothing_but_ask_for_hints() -> None:
    write = round_of()
    write.record_failure(B)
    write.record(A, [SENT])
    write.record(C, [SENT])
    assert write.outcome().error is None
    assert write.owed() == ([B], [0])


def test_only_the_first_word_of_an_owner_counts() -> None:
    write = round_of()
    write.record(A, [SENT])
    write.record(A, [SENT])
    write.record_failure(A)
    assert not write.decided
    assert write.owed() == ([], [])


def test_rows_are_judged_one_by_one() -> None:
    write = WriteRound(JointQuorum.of(OWNERS, 2), [SENT, SENT, SENT])
    write.record(A, [SENT, NEWER, SENT])
    write.record(B, [SENT, NEWER, NEWER])
    write.record(C, [SENT, NEWER, NEWER])
    assert write.outcome().states == [RowState.DONE, RowState.RESTAMP, RowState.UNKNOWN]
    assert isinstance(write.outcome().error, ConsistencyError)


def test_an_answer_below_what_was_sent_is_no_answer() -> None:
    write = round_of()
    for owner in OWNERS:
        write.record(owner, [OLD])
    assert write.outcome().states == [RowState.UNKNOWN]
    assert write.owed() == (OWNERS, [])


def test_undecided_rows_are_unknown_when_time_runs_out() -> None:
    write = round_of()
    write.record(A, [SENT])
    assert not write.decided
    assert write.outcome().states == [RowState.UNKNOWN]


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError):
        WriteRound(JointQuorum.of(OWNERS, 4), [SENT])
    with pytest.raises(ValueError):
        WriteRound(JointQuorum.of(OWNERS, 0), [SENT])
    with pytest.raises(ValueError):
        round_of().record(A, [SENT, SENT])
