"""Promises and marked rows of a shard replica: what they keep out, what ends them, what a power cut leaves of them."""

from __future__ import annotations

import random

import pytest

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.replication.ballots import Mark, ballot_of, busy, make_ballot, round_version
from vectron_p2p.replication.hlc import MAX_SKEW_MS, admit, stamp_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage.kv import Corrupt, WriteFailed
from vectron_p2p.storage.outcomes import Applied, Promised
from vectron_p2p.storage.records import Row, decode_row, encode_row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk

NODE = NodeId("00000000-0000-4000-8000-000000000001")
MARK = Mark(None, (b"s" * 24,)).pack()


def plain(point: PointId, stamp: int) -> Row:
    return Row(point, make_version(stamp, NODE, b"\x00" * 16), b"vvvv", b"\x80")


def marked(point: PointId, stamp: int, mark: bytes = MARK) -> Row:
    version = round_version(ballot(stamp), point, b"wwww", b"\x80", mark)
    return Row(point, version, b"wwww", b"\x80", mark)


def ballot(stamp: int) -> bytes:
    return make_ballot(stamp, NODE)


def anything(stamp: int, held: int) -> bool:
    return True


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(random.Random(7))


@pytest.fixture
def store(disk: SimDisk) -> ShardStore:
    return ShardStore(disk.open("s"))


def test_marked_rows_come_back_and_damage_to_the_mark_is_found() -> None:
    key = encode_point_id(5)
    for row in (marked(5, 3), plain(5, 3), marked(5, 3)._replace(vector=None, payload=None)):
        value = encode_row(row, key)
        assert decode_row(key, value) == row
    value = encode_row(marked(5, 3), key)
    for bad in (value[:-1], value[:-1] + bytes([value[-1] ^ 1]), value + b"\x00"):
        with pytest.raises(Corrupt):
            decode_row(key, bad)
    with pytest.raises(Corrupt, match="format 9"):
        decode_row(key, b"\x09" + value[1:])


def test_a_promise_shows_what_is_held_and_is_given_once(store: ShardStore) -> None:
    store.apply([plain(1, 10)], anything)
    assert store.promise([(1, ballot(20)), (2, ballot(20))], anything) == [
        Promised(True, plain(1, 10)),
        Promised(True, None),
    ]
    assert store.promise([(1, ballot(20)), (1, ballot(19))], anything) == [
        Promised(False, above=busy(ballot(20))),
        Promised(False, above=busy(ballot(20))),
    ]
    assert store.promise([(1, ballot(21)), (1, ballot(21)), (1, ballot(22))], anything) == [
        Promised(True, plain(1, 10)),
        Promised(False, above=busy(ballot(21))),
        Promised(True, plain(1, 10)),
    ]
    store.apply([plain(3, 50)], anything)
    assert (
        store.promise([(3, ballot(50)), (3, ballot(40))], anything) == [Promised(False, above=plain(3, 50).version)] * 2
    )
    assert store.open_promises() == [(1, ballot(22)), (2, ballot(20))]
    assert (store.live, store.tombstones) == (2, 0)


def test_a_lower_row_is_busy_and_a_higher_one_ends_the_promise(store: ShardStore) -> None:
    for point in (1, 2):
        store.promise([(point, ballot(20))], anything)
    low = [plain(1, 19), marked(1, 19), plain(1, 20)]  # the last has the promised ballot, and is not of its round
    assert store.apply(low, anything) == [Applied(busy(ballot(20)), False)] * 3
    assert store.get([1]) == [None]
    accepted, above = marked(1, 20), plain(2, 21)
    assert store.apply([accepted, above], anything) == [Applied(accepted.version, True), Applied(above.version, True)]
    assert store.open_promises() == []
    assert store.apply([accepted], anything) == [Applied(accepted.version, False)]  # asked again: held
    assert store.apply([marked(2, 20)], anything) == [Applied(above.version, False)]


def test_of_one_batch_the_row_of_the_round_wins_over_busy_ones(store: ShardStore) -> None:
    store.promise([(1, ballot(20))], anything)
    accepted = marked(1, 20)
    assert store.apply([plain(1, 5), accepted, plain(1, 6)], anything) == [
        Applied(accepted.version, False),
        Applied(accepted.version, True),
        Applied(accepted.version, False),
    ]


def test_a_ballot_too_far_ahead_is_refused_and_a_promise_counts_as_held(store: ShardStore) -> None:
    wall = 1_000

    def admitted(stamp: int, held: int) -> bool:
        return admit(stamp, wall, held)

    near, far = stamp_of(wall + MAX_SKEW_MS), stamp_of(wall + MAX_SKEW_MS + 1)
    assert store.promise([(1, ballot(far))], admitted) == [Promised(False)]
    assert store.promise([(1, ballot(near))], admitted) == [Promised(True, None)]
    assert store.promise([(1, ballot(far))], admitted) == [Promised(True, None)]
    assert store.apply([plain(1, stamp_of(wall + 2 * MAX_SKEW_MS))], admitted)[0].written


def test_promises_and_marked_rows_survive_a_power_cut_whatever_the_durability() -> None:
    for seed in range(30):
        disk = SimDisk(random.Random(seed))
        store = ShardStore(disk.open("s"))
        store.apply([plain(1, 10)], anything, sync=False)
        store.promise([(1, ballot(20)), (2, ballot(20))], anything)
        disk.crash(power=True)
        store = ShardStore(disk.open("s"))
        assert store.open_promises() == [(1, ballot(20)), (2, ballot(20))]
        assert store.get([1]) == [plain(1, 10)]  # what was shown with a promise is as durable
        assert store.apply([plain(2, 19)], anything) == [Applied(busy(ballot(20)), False)]
        store.apply([marked(2, 20)], anything, sync=False)
        disk.crash(power=True)
        store = ShardStore(disk.open("s"))
        assert store.get([2]) == [marked(2, 20)]
        assert store.open_promises() == [(1, ballot(20))]


def test_a_promise_whose_write_failed_may_hold_after_healing(disk: SimDisk, store: ShardStore) -> None:
    disk.fail_writes()
    with pytest.raises(WriteFailed):
        store.promise([(1, ballot(20))], anything)
    with pytest.raises(WriteFailed):
        store.promise([(1, ballot(21))], anything)
    assert store.heal() == []
    assert store.open_promises() == [(1, ballot(20))]
    disk.fail_writes()
    with pytest.raises(WriteFailed):
        store.apply([marked(1, 20)], anything)
    assert store.heal() == [marked(1, 20)]
    assert store.open_promises() == []


def test_a_damaged_promise_is_found(disk: SimDisk) -> None:
    kv = disk.open("s")
    kv.write([(b"p" + encode_point_id(1), ballot(3)[:-1])], sync=True)
    with pytest.raises(Corrupt, match="promise"):
        ShardStore(kv)
    assert ballot_of(busy(ballot(3))) == ballot(3)
