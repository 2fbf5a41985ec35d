"""Floors: what is refused, what may be collected, what another owner's floors mean."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.floors import (
    Adoption,
    FloorRound,
    Floors,
    Path,
    choose_floor,
    old_enough,
    refuses,
    to_adopt,
)
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.replication.merkle import LEAVES, SUM_SIZE

A, B, C = (NodeId(f"00000000-0000-4000-8000-00000000000{n}") for n in (1, 2, 3))


def sums(**leaves: int) -> bytes:
    values = [leaves.get(f"l{leaf}", 0) for leaf in range(LEAVES)]
    return b"".join(value.to_bytes(SUM_SIZE, "big") for value in values)


@pytest.mark.parametrize(
    ("path", "stamp", "held", "expected"),
    [
        (Path.WRITE, 100, True, True),  # at the floor
        (Path.WRITE, 101, True, False),
        (Path.WRITE, 101, False, False),
        (Path.COPY, 100, True, False),  # repair may still copy
        (Path.COPY, 100, False, False),
        (Path.COPY, 50, True, False),
        (Path.COPY, 50, False, True),  # of an id whose tombstone was collected
        (Path.COPY, 51, False, False),
        (Path.LEARN, 1, False, False),
    ],
)
def test_what_a_floor_refuses(path: Path, stamp: int, held: bool, expected: bool) -> None:
    assert refuses(path, stamp, held=held, floor=100, collected=50) is expected


def test_without_floors_nothing_is_refused() -> None:
    assert not any(refuses(path, 0, held=False, floor=0, collected=0) for path in Path)


def test_floors_only_rise_and_survive_bytes() -> None:
    floors = Floors().raised(10).raised(5)
    assert floors == Floors(10)
    floors = floors.settled([3, 7], 10).settled([3], 4)
    assert [floors.collected_at(leaf) for leaf in (2, 3, 7)] == [0, 10, 10]
    assert floors.highest == 10
    other = Floors(20).settled([7], 20)
    assert floors.merged(other) == other.merged(floors) == Floors(20).settled([3], 10).settled([7], 20)
    for each in (Floors(), Floors(10), floors, floors.merged(other)):
        assert Floors.from_bytes(each.to_bytes()) == each
    assert Floors().to_bytes() == b""
    with pytest.raises(ValueError, match="bytes"):
        Floors.from_bytes(b"x")


def test_only_leaves_that_all_owners_hold_alike_may_be_collected() -> None:
    round_ = FloorRound([A, B, C], 10)
    round_.record(A, sums(l1=5, l2=6, l3=7))
    round_.record(B, sums(l1=5, l2=6, l3=8))
    assert not round_.complete
    assert round_.equal([1, 2, 3]) == []
    round_.record(C, sums(l1=5, l2=9, l3=7))
    assert round_.complete
    assert round_.equal([1, 2, 3, 4]) == [1, 4]
    with pytest.raises(ValueError, match="sums"):
        round_.record(A, b"short")


def test_a_stranger_counts_for_nobody() -> None:
    round_ = FloorRound([A, B], 10)
    round_.record(A, sums())
    round_.record(C, sums())
    assert not round_.complete


def test_what_another_owner_has_collected_is_collected_here_if_it_was_agreed_to() -> None:
    mine = Floors(100).settled([1], 90)
    assert to_adopt(mine, mine) == Adoption({}, forgotten=False)
    assert to_adopt(mine, Floors(100).settled([1, 2], 80).settled([3], 100)) == Adoption(
        {80: [2], 100: [3]}, forgotten=False
    )
    assert to_adopt(mine, Floors(500)) == Adoption({}, forgotten=False)  # agreed to, nothing collected
    assert to_adopt(mine, Floors(101).settled([1], 101)) == Adoption({}, forgotten=True)


def test_a_floor_is_ten_minutes_old_by_every_owners_clock() -> None:
    wall = 1_700_000_000_000
    floor = choose_floor(wall, 600.0)
    assert floor == stamp_of(wall - 600_000)
    assert old_enough(floor, wall, 600.0)
    assert old_enough(floor, wall - 1000, 600.0)  # clocks that follow a quorum are so much apart
    assert not old_enough(floor, wall - 1001, 600.0)
    assert choose_floor(5, 600.0) == 0
