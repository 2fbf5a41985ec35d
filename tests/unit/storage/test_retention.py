"""Records of floors and of learning; collected and dropped rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.replication.floors import Floors, Path
from vectron_p2p.replication.learners import Learner
from vectron_p2p.replication.merkle import LEAVES, MerkleTree, leaf_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage.kv import Corrupt, WriteFailed
from vectron_p2p.storage.outcomes import Applied
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk

NODE = NodeId("00000000-0000-4000-8000-000000000001")
ALL = range(LEAVES)


def row(point_id: PointId, stamp: int, vector: bytes | None = b"vvvv") -> Row:
    return Row(point_id, make_version(stamp, NODE, bytes(16)), vector, None if vector is None else b"\x80")


def anything(stamp: int, held: int) -> bool:
    return True


def leaf(point_id: PointId) -> int:
    return leaf_of(encode_point_id(point_id))


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(random.Random(7))


@pytest.fixture
def store(disk: SimDisk) -> ShardStore:
    return ShardStore(disk.open("s"))


def reopened(disk: SimDisk, *, power: bool = True) -> ShardStore:
    disk.crash(power=power)
    return ShardStore(disk.open("s"))


def both(store: ShardStore, disk: SimDisk) -> Iterator[ShardStore]:
    """As it is, and after a power cut."""
    yield store
    yield reopened(disk)


def one(store: ShardStore, item: Row, path: Path = Path.WRITE) -> Applied:
    return store.apply([item], anything, paths=[path])[0]


# --- floors -----------------------------------------------------------------------------------------------------------


def test_a_floor_refuses_old_writes_and_outlives_a_power_cut(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(1, 5)], anything)
    store.raise_floor(100)
    store.raise_floor(50)
    for each in both(store, disk):
        assert each.floors == Floors(100)
        assert each.refuse_below == 100
        assert one(each, row(1, 100)) == Applied(None, False)
        assert one(each, row(2, 100)) == Applied(None, False)
        assert one(each, row(1, 5)) == Applied(row(1, 5).version, False)  # held: nothing to refuse
    again = reopened(disk)
    assert one(again, row(1, 99), Path.COPY).written  # repair may still copy
    assert one(again, row(2, 99), Path.COPY).written
    assert one(again, row(1, 101)).written


def test_rows_of_one_batch_are_judged_each_by_its_path(store: ShardStore) -> None:
    store.raise_floor(100)
    rows = [row(1, 50), row(1, 40), row(2, 50)]
    assert store.apply(rows, anything, paths=[Path.WRITE, Path.COPY, Path.LEARN]) == [
        Applied(None, False),
        Applied(rows[1].version, True),
        Applied(rows[2].version, True),
    ]


def test_collecting_drops_the_tombstones_and_nothing_else(disk: SimDisk, store: ShardStore) -> None:
    rows = [row(i, 10 + i, None if i % 2 else b"v") for i in range(40)]
    store.apply(rows, anything)
    store.raise_floor(30)
    scan = store.scan_floor(30)
    expected = MerkleTree()
    for item in rows[:21]:
        expected.add(encode_point_id(item.id), item.version)
    assert scan.sums == expected.leaves()
    assert scan.leaves == sorted({leaf(i) for i in range(1, 21, 2)})
    assert store.collect(30, scan.leaves) == 10
    kept = [item for item in rows if item.live or int(item.id) > 20]
    tree = MerkleTree()
    for item in kept:
        tree.add(encode_point_id(item.id), item.version)
    for each in both(store, disk):
        assert (each.live, each.tombstones) == (20, 10)
        assert each.merkle_root() == tree.root()
        assert each.get([1, 3, 21]) == [None, None, rows[21]]
        assert [each.floors.collected_at(leaf(i)) for i in (1, 3)] == [30, 30]
        assert each.floors.floor == 30


def test_what_was_collected_is_refused_by_every_path_but_learning(store: ShardStore) -> None:
    store.apply([row(1, 10, None)], anything)
    store.raise_floor(30)
    assert store.collect(30, [leaf(1)]) == 1
    assert one(store, row(1, 9)) == Applied(None, False)
    assert one(store, row(1, 9), Path.COPY) == Applied(None, False)
    assert one(store, row(1, 10, None), Path.COPY) == Applied(row(1, 10, None).version, False)  # it holds, in effect
    assert store.tombstones == 0
    elsewhere = next(i for i in range(2, 100) if leaf(i) != leaf(1))
    assert one(store, row(elsewhere, 9), Path.COPY).written  # its leaf was not settled
    assert one(store, row(1, 31)).written
    assert one(store, row(1, 32, None)).written
    assert store.collect(30, [leaf(1)]) == 0
    assert one(store, row(77, 9), Path.LEARN).written


def test_a_collection_that_fails_to_be_written_is_done_or_not_after_healing(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(i, 10, None) for i in range(5)], anything)
    store.raise_floor(30)
    disk.fail_writes()
    with pytest.raises(WriteFailed):
        store.collect(30, ALL)
    assert (store.tombstones, store.floors.highest) == (5, 0)
    with pytest.raises(WriteFailed):
        store.raise_floor(40)
    store.heal()
    again = reopened(disk)
    assert again.merkle_root() == store.merkle_root()
    assert (again.tombstones, again.floors) == (store.tombstones, store.floors)
    store = again
    store.collect(30, ALL)
    assert store.tombstones == 0


def test_damaged_records_are_found(disk: SimDisk, store: ShardStore) -> None:
    store.close()
    handle = disk.open("s")
    handle.write([(b"m/floors", b"nonsense")], sync=True)
    handle.close()
    with pytest.raises(Corrupt, match="floors"):
        ShardStore(disk.open("s"))


def test_a_moves_copy_ends_by_taking_the_sources_floors(disk: SimDisk, store: ShardStore) -> None:
    source = Floors(30).settled([leaf(1)], 20)
    assert one(store, row(1, 5), Path.LEARN).written
    store.take_floors(source)
    again = reopened(disk)
    assert again.floors == source
    assert one(again, row(2, 30)) == Applied(None, False)


# --- learners ---------------------------------------------------------------------------------------------------------


def test_the_flag_is_kept_through_restarts_and_refuses_for_good(disk: SimDisk, store: ShardStore) -> None:
    assert store.learner is None
    store.set_learner("quarantined", 100)
    store.set_learner("something later", 90)
    for each in both(store, disk):
        assert each.learner == Learner("quarantined")
        assert each.refuse_below == 100
        assert one(each, row(1, 100)) == Applied(None, False)
    again = reopened(disk)
    assert one(again, row(1, 100), Path.COPY).written
    assert one(again, row(1, 101)).written
    again.clear_learner(Floors(40).settled([1], 40))
    for each in both(again, disk):
        assert each.learner is None
        assert one(each, row(2, 100)) == Applied(None, False)
        assert each.floors == Floors(40).settled([1], 40)
    last = reopened(disk)
    last.clear_learner(refuse_below=60)  # by a clock that is right
    assert last.refuse_below == 60


def test_a_flag_that_cannot_be_written_holds_and_is_written_when_the_disk_is_well(
    disk: SimDisk, store: ShardStore
) -> None:
    disk.fail_writes()
    with pytest.raises(WriteFailed):
        store.apply([row(1, 1)], anything)
    with pytest.raises(WriteFailed):
        store.set_learner("a write failed", 100)
    assert store.learner == Learner("a write failed")
    store.heal()
    assert reopened(disk).learner == Learner("a write failed")


def test_only_a_learner_drops_rows_and_only_in_the_version_named(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(1, 1), row(2, 2), row(3, 3, None)], anything)
    with pytest.raises(ValueError, match="learner"):
        store.drop([(1, row(1, 1).version)])
    store.set_learner("test", 0)
    assert store.drop([(1, row(1, 1).version), (2, row(2, 1).version), (9, row(9, 1).version)]) == 1
    assert store.drop([(3, row(3, 3).version)]) == 1
    for each in both(store, disk):
        assert (each.live, each.tombstones) == (1, 0)
        assert each.get([1, 2, 3]) == [None, row(2, 2), None]


def test_collected_tombstones_that_came_with_a_copy_go_again(store: ShardStore) -> None:
    store.raise_floor(30)
    store.collect(30, ALL)
    store.apply([row(1, 10, None), row(2, 10)], anything, paths=[Path.LEARN] * 2)
    assert store.forget_collected() == 1
    assert (store.live, store.tombstones) == (1, 0)


# --- lives ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "machine", "orderly", "learns"),
    [
        (True, "boot-2", False, True),
        (True, "boot-1", False, False),  # the process died, the system lives on
        (True, "boot-2", True, False),
        (False, "boot-2", False, False),
    ],
)
def test_an_unclean_restart_of_the_machine_makes_a_learner(
    disk: SimDisk, interval: bool, machine: str, orderly: bool, learns: bool
) -> None:
    store = ShardStore(disk.open("s"))
    assert not store.begin_life("boot-1", 100, interval=interval)
    store.apply([row(1, 1)], anything, sync=not interval)
    if orderly:
        store.close()
    else:
        disk.crash(power=machine != "boot-1")
    for later in (True, False):  # whatever the durability is now
        again = ShardStore(disk.open("s"))
        assert again.begin_life(machine, 200, interval=later) is (learns and later)
        assert (again.learner is not None) is learns
        assert again.refuse_below == (200 if learns else 0)
        again.close()
