"""The ledger that judges chaos runs: it must accept every legal outcome, and no illegal one."""

from __future__ import annotations

import pytest
from _ledger import Entry, Ledger

WRITE_1, WRITE_2, WRITE_3, DELETE_2, DELETE_3 = 1, 2, 3, -2, -3


def ledger(acked: int, *maybe: int) -> Ledger:
    return Ledger({"a": Entry(acked, list(maybe))})


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (ledger(0), None),
        (ledger(WRITE_1), WRITE_1),
        (ledger(DELETE_2), None),
        (ledger(WRITE_1, WRITE_2), WRITE_1),
        (ledger(WRITE_1, WRITE_2), WRITE_2),
        (ledger(WRITE_1, DELETE_2), None),
        (ledger(DELETE_2, WRITE_3), WRITE_3),
        (ledger(0, WRITE_1), None),
        (ledger(0, WRITE_1), WRITE_1),
    ],
)
def test_legal_states(state: Ledger, found: int | None) -> None:
    assert state.observe("a", found, "here")
    assert state.lost == state.returned == []


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (ledger(WRITE_1), None),
        (ledger(WRITE_2), WRITE_1),
        (ledger(WRITE_1, WRITE_2), None),
        (ledger(WRITE_1, WRITE_2), WRITE_3),
        (ledger(0), WRITE_1),
    ],
)
def test_a_lost_write_is_found(state: Ledger, found: int | None) -> None:
    assert not state.observe("a", found, "here")
    assert len(state.lost) == 1
    assert state.returned == []


@pytest.mark.parametrize("state", [ledger(DELETE_2), ledger(DELETE_2, WRITE_3)])
def test_a_deleted_point_that_comes_back_is_found(state: Ledger) -> None:
    assert not state.observe("a", WRITE_1, "here")
    assert len(state.returned) == 1
    assert state.lost == []


def test_what_was_read_at_quorum_stays() -> None:
    state = ledger(WRITE_1, WRITE_2, DELETE_3)
    assert state.observe("a", WRITE_2, "first read")
    assert not state.observe("a", WRITE_1, "second read")
    assert state.observe("a", None, "the later delete came through")
    assert not state.observe("a", WRITE_2, "and is not undone")


def test_an_acknowledgement_settles_earlier_doubts() -> None:
    state = ledger(WRITE_1)
    state.unknown("a", DELETE_2)
    state.acknowledged("a", WRITE_3)
    assert not state.observe("a", None, "here")
    assert state.observe("a", WRITE_3, "here")


def test_ids_never_heard_of_are_absent() -> None:
    state = Ledger()
    assert state.observe("b", None, "here")
    assert not state.observe("b", WRITE_1, "here")
