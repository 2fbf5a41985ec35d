"""Read rounds: a row is returned only when enough owners hold exactly that version."""

from __future__ import annotations

import pytest

from vectron_p2p.model.errors import ConsistencyError, Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.reads import ReadRound, WriteBack

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
OWNERS = [A, B, C]
V1, V2, V3 = b"\x01" * 40, b"\x02" * 40, b"\x03" * 40


def test_two_equal_answers_confirm() -> None:
    read = ReadRound(OWNERS, 2, 2)
    read.record(A, [V1, None])
    assert not read.complete
    read.record(B, [V1, None])
    assert read.complete
    assert read.newest(0) == V1
    assert read.source(0) == A
    assert read.newest(1) is None
    assert read.source(1) is None or read.source(1) == A
    assert read.write_backs() == []


def test_a_stale_owner_is_written_back_to_before_the_row_is_returned() -> None:
    read = ReadRound(OWNERS, 2, 2)
    read.record(A, [V1, V1])
    read.record(B, [V2, V1])
    assert not read.complete
    assert read.newest(0) == V2
    assert read.source(0) == B
    assert read.unconfirmed == [0]
    assert read.write_backs() == [WriteBack(A, [0])]
    assert read.write_backs() == []  # each only once
    read.record_write_back(A, [0], [V2])
    assert read.complete


def test_an_owner_that_never_saw_the_row_is_written_back_to() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [None])
    read.record(C, [V1])
    assert read.write_backs() == [WriteBack(A, [0])]


def test_a_third_answer_confirms_without_write_back() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [V1])
    read.record(B, [V2])
    read.record(C, [V2])
    assert read.complete
    assert read.newest(0) == V2


def test_a_third_answer_that_is_newer_still_takes_the_confirmation_away() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [V1])
    read.record(B, [V1])
    assert read.complete
    read.record(C, [V2])
    assert not read.complete
    assert read.write_backs() == [WriteBack(A, [0]), WriteBack(B, [0])]
    read.record_write_back(A, [0], [V2])
    assert read.complete


def test_newer_at_write_back_means_read_again() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [V1])
    read.record(B, [V2])
    read.write_backs()
    read.record_write_back(A, [0], [V3])
    assert not read.complete
    assert read.again == [0]
    assert read.write_backs() == []


def test_a_refused_write_back_confirms_nothing() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [V1])
    read.record(B, [V2])
    read.write_backs()
    read.record_write_back(A, [0], [None])
    assert read.unconfirmed == [0]
    assert read.again == []


def test_too_few_answers_fail_with_the_reason() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record(A, [V1])
    read.record_failure(B, Unavailable("gone"))
    assert not read.failed
    read.record_failure(C)
    assert read.failed
    assert not read.complete
    error = read.error()
    assert isinstance(error, ConsistencyError)
    assert "gone" in error.message


def test_level_all_wants_every_owner() -> None:
    read = ReadRound(OWNERS, 3, 1)
    read.record(A, [V1])
    read.record(B, [V1])
    assert not read.complete
    assert not read.failed
    read.record_failure(C)
    assert read.failed


def test_late_words_are_ignored_and_wrong_ones_refused() -> None:
    read = ReadRound(OWNERS, 2, 1)
    read.record_failure(A)
    read.record(A, [V1])
    assert read.newest(0) is None
    with pytest.raises(ValueError):
        read.record(B, [V1, V1])
    with pytest.raises(ValueError):
        ReadRound(OWNERS, 4, 1)
