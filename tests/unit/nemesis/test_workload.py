"""What a client takes for a violation, and of which kind."""

from __future__ import annotations

import pytest

from simulations.nemesis.workload import Book
from vectron_p2p.testing.ledger import ABSENT, HAZE

LATER = HAZE + 1.0


def written(*writes: tuple[int, bool]) -> Book:
    """A book in which point 1 was written so, each write well after the one before: state, acknowledged."""
    book, now = Book(), 0.0
    for state, acknowledged in writes:
        book.ledger.begin(1, state)
        book.touch([1], now, now + 0.01, f"#{state}")
        if acknowledged:
            book.ledger.acknowledge(1, state, now, now + 0.01)
        else:
            book.ledger.unknown(1, state, now + 0.01)
        now += LATER
    return book


@pytest.mark.parametrize(
    ("writes", "state", "final", "kind"),
    [
        ([(7, True)], 7, False, ""),
        ([(7, True)], ABSENT, False, "stale"),
        ([(7, True)], ABSENT, True, "lost"),
        ([(7, True), (8, True)], 7, False, "stale"),
        ([(7, True), (8, True)], 7, True, "lost"),
        ([(7, True), (ABSENT, True)], 7, False, "resurrected"),
        ([(7, True), (ABSENT, True)], 7, True, "resurrected"),
        ([(7, True), (ABSENT, True)], ABSENT, True, ""),
        ([(7, True), (8, False)], 7, False, ""),
        ([(7, True), (8, False)], 8, False, ""),
        ([(7, False), (ABSENT, True)], 7, False, "resurrected"),
        ([], ABSENT, False, ""),
        ([], 7, False, "resurrected"),
    ],
)
def test_what_may_be_seen(writes: list[tuple[int, bool]], state: int, final: bool, kind: str) -> None:
    book = written(*writes)
    if not final:
        book.found(1, state, "search")
    book.saw(1, state, "read", final=final)
    times = 1 if final else 2
    assert [violation.kind for violation in book.violations] == ([kind] * times if kind else [])


def test_a_quorum_read_settles_an_unknown_outcome() -> None:
    book = written((7, True), (8, False))
    assert book.settled(1) is None
    book.saw(1, 8, "read")
    book.ledger.begin(1, 9)
    book.ledger.acknowledge(1, 9, 50.0, 50.01)
    assert book.settled(1) == 9
    book.saw(1, 8, "read")
    assert [violation.kind for violation in book.violations] == ["stale"]


def test_a_violation_tells_the_story_of_its_point() -> None:
    book = written((7, True), (8, True))
    book.mixed(1, "disk")
    (violation,) = book.violations
    assert violation.kind == "mixed"
    assert [touch.what for touch in violation.story] == ["#7", "#8"]
