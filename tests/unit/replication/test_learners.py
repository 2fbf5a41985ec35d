"""Learners: from whom to learn, what to copy, when it is enough."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.ballots import NEVER, make_ballot
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.learners import Ending, Lesson, Source, plan_copy, sources_needed
from vectron_p2p.replication.rounds import Change, Decide, Kind, PointRound, State
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


# --- forgotten promises -----------------------------------------------------------------------------------------------


def put(value: bytes) -> Decide:
    return lambda base: Change(value, b"\x80")


@pytest.mark.parametrize(("settled_at", "read_at_the_end"), [(0.0, b"first"), (8.0, b"second")])
def test_a_round_that_has_a_promise_which_was_forgotten_is_over_before_its_owner_answers_again(
    settled_at: float, read_at_the_end: bytes
) -> None:
    """`second` compares and sets on a base that nobody may have seen replaced: with a learner that ends at once,
    `first` is read at a quorum, and `second` is done all the same.
    """
    start = State(version(1), b"start", b"\x80")
    held = dict.fromkeys((A, B, ME), start)
    arrives = 7.0  # the row of the second round, at its owners: within the time of a round
    first, second = (PointRound(1, put(value), operation=value * 3) for value in (b"first", b"second"))
    rows = []
    for round_, stamp, owners in ((first, 5, (A, ME)), (second, 9, (B, ME))):
        round_.begin(make_ballot(stamp, A), JointQuorum.of((A, B, ME), 2))
        for owner in owners:
            round_.promised(round_.ballot, owner, held[owner])
        row = round_.propose()
        assert row is not None
        rows.append(row)
    # ME loses its disk, and both promises with it. It refuses old ballots, so the first round gets no further than A.
    held[A], held[ME] = rows[0], State(NEVER)
    lesson, now, sent = Lesson(ME, (A, B, ME), settled_at=settled_at), 0.0, False
    read: bytes | None = None
    while not sent or read is None:
        for source in lesson.to_merge([A, B], [], now):
            held[ME] = max(held[ME], held[source.node], key=lambda state: state.version)
            lesson.merged(source, now)
        if read is None and lesson.ending([A, B], []) is Ending.LEARNED:
            assert held[ME] == held[A]  # a quorum of one version: what it holds is read
            read = held[A].vector
        now += 1.0
        if not sent and now >= arrives:
            sent = True
            for owner in (A, B):
                held[owner] = max(held[owner], rows[1], key=lambda state: state.version)
                second.accepted(second.ballot, owner)
    outcome = second.conclude()
    assert outcome is not None
    assert outcome.kind is Kind.DONE  # over `start`
    assert read == read_at_the_end


def test_what_is_merged_too_early_is_merged_again() -> None:
    lesson = Lesson(ME, [ME, A, B], settled_at=20.0)
    for now in (0.0, 19.0):
        for source in lesson.to_merge([A, B], [], now):
            lesson.merged(source, now)
        assert lesson.to_merge([A, B], [], now) == []  # once is enough for having less to do then
        assert lesson.ending([A, B], []) is Ending.NOT_YET
    assert lesson.to_merge([], [A, B], 19.0) == []
    assert lesson.to_merge([A, B], [], 20.0) == [Source(A, True), Source(B, True)]
    for node in (A, B):
        lesson.merged(Source(node, True), 20.0)
    assert lesson.ending([A, B], []) is Ending.LEARNED
