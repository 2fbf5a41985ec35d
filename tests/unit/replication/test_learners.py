"""Learners: from whom to learn, what to copy, when it is enough."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.learners import Ending, Lesson, Source, plan_copy, sources_needed
from vectron_p2p.replication.version import make_version

ME, A, B, C, D = (NodeId(f"00000000-0000-4000-8000-00000000000{n}") for n in range(5))


def version(stamp: int) -> bytes:
    return make_version(stamp, A, bytes(16))


@pytest.mark.parametrize(("owners", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_any_so_many_others_hold_every_acknowledged_row(owners: int, needed: int) -> None:
    assert sources_needed(owners) == needed


def test_a_learner_of_three_needs_both_others_and_keeps_what_it_has_merged() -> None:
    lesson = Lesson(ME, [ME, A, B])
    assert lesson.to_merge([A], []) == [Source(A, True)]
    lesson.merged(Source(A, True))
    assert lesson.to_merge([A], []) == []
    assert lesson.ending([A], []) is Ending.NOT_YET  # B is away
    assert lesson.to_merge([B], []) == [Source(B, True)]
    lesson.merged(Source(B, True))
    assert lesson.ending([], []) is Ending.LEARNED


def test_of_five_three_others_are_enough() -> None:
    lesson = Lesson(ME, [A, B, C, D, ME])
    for node in (A, B, C):
        assert lesson.ending([A, B, C], []) is Ending.NOT_YET
        lesson.merged(Source(node, True))
    assert lesson.ending([A, B, C], []) is Ending.LEARNED


def test_learners_are_read_only_when_all_are_there_and_too_few_are_full() -> None:
    lesson = Lesson(ME, [ME, A, B])
    assert lesson.to_merge([], [A]) == []  # B may hold what these forgot
    assert lesson.to_merge([A], [B]) == [Source(A, True), Source(B, False)]
    lesson.merged(Source(A, True))
    lesson.merged(Source(B, False))
    assert lesson.ending([A], [B]) is Ending.SALVAGED
    assert lesson.ending([A], []) is Ending.NOT_YET
    assert lesson.to_merge([A, B], []) == [Source(B, True)]  # full now: it may know more than before


def test_enough_full_ones_make_the_learners_unread() -> None:
    lesson = Lesson(ME, [ME, A, B, C])
    assert lesson.to_merge([A, B], [C]) == [Source(A, True), Source(B, True)]


def test_a_single_owner_has_nobody_to_ask() -> None:
    assert Lesson(ME, [ME]).ending([], []) is Ending.SALVAGED


@pytest.mark.parametrize(
    ("theirs", "mine", "there", "here", "full", "take", "drop"),
    [
        ({1: 5}, {}, 0, 0, True, [1], []),
        ({1: 5}, {1: 5}, 0, 0, True, [], []),
        ({1: 5}, {1: 6}, 9, 0, True, [], []),
        ({}, {1: 5}, 0, 0, True, [], []),  # new here
        ({}, {1: 5}, 5, 0, True, [], [1]),  # deleted, and that is forgotten there
        ({}, {1: 6}, 5, 0, True, [], []),
        ({1: 5}, {}, 0, 5, True, [1], []),  # this one forgot it
        ({1: 5}, {}, 0, 5, False, [], []),  # the other one forgot the deletion
        ({1: 5}, {}, 5, 5, False, [1], []),  # it lived on when both collected
        ({1: 6}, {}, 0, 5, False, [1], []),
        ({}, {1: 5}, 5, 5, False, [], []),  # the same from this side
        ({}, {1: 5}, 5, 0, False, [], [1]),
    ],
)
def test_what_is_copied_and_dropped(
    theirs: dict[int, int], mine: dict[int, int], there: int, here: int, full: bool, take: list[int], drop: list[int]
) -> None:
    copying = plan_copy(
        {point: version(stamp) for point, stamp in theirs.items()},
        {point: version(stamp) for point, stamp in mine.items()},
        collected_there=lambda point: there,
        collected_here=lambda point: here,
        full=full,
    )
    assert (copying.take, [point for point, _ in copying.drop]) == (take, drop)
