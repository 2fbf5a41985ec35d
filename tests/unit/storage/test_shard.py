"""Rows of a shard replica: apply if newer, sums and counts, healing."""

from __future__ import annotations

import random

import pytest

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.replication.merkle import LEAVES, MerkleTree, leaf_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage.kv import Corrupt, StorageError, WriteFailed
from vectron_p2p.storage.outcomes import Applied
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk

NODE = NodeId("00000000-0000-4000-8000-000000000001")


def row(point_id: PointId, stamp: int, vector: bytes | None = b"vvvv", payload: bytes | None = b"\x80") -> Row:
    return Row(point_id, make_version(stamp, NODE, b"\x00" * 16), vector, payload if vector is not None else None)


def anything(stamp: int, held: int) -> bool:
    return True


def expected_root(rows: list[Row]) -> bytes:
    tree = MerkleTree()
    for item in rows:
        tree.add(encode_point_id(item.id), item.version)
    return tree.root()


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(random.Random(7))


@pytest.fixture
def store(disk: SimDisk) -> ShardStore:
    return ShardStore(disk.open("s"))


def test_only_newer_rows_are_written(store: ShardStore) -> None:
    first, second, older = row(1, 10), row(1, 20), row(1, 15)
    assert store.apply([first], anything) == [Applied(first.version, True)]
    assert store.apply([second], anything) == [Applied(second.version, True)]
    assert store.apply([older], anything) == [Applied(second.version, False)]
    assert store.apply([second], anything) == [Applied(second.version, False)]
    assert store.get([1, 2]) == [second, None]
    assert store.versions([1, 2]) == [second.version, None]


def test_of_one_id_twice_in_a_batch_the_highest_wins(store: ShardStore) -> None:
    low, high = row("x", 1), row("x", 2)
    for batch in ([low, high], [high, low], [high, low, high]):
        results = store.apply(batch, anything)
        assert all(result.held == high.version for result in results)
        assert sum(result.written for result in results) == (1 if batch == [low, high] else 0)
    assert store.live == 1
    assert store.merkle_root() == expected_root([high])


def test_a_refused_stamp_changes_nothing(store: ShardStore) -> None:
    asked: list[tuple[int, int]] = []

    def admit(stamp: int, held: int) -> bool:
        asked.append((stamp, held))
        return stamp < 100

    store.apply([row(1, 5)], admit)
    far, fine = row(1, 500), row(2, 50)
    assert store.apply([far, fine], admit) == [Applied(None, False), Applied(fine.version, True)]
    assert asked == [(5, 0), (500, 5), (50, 0)]
    assert store.versions([1]) == [row(1, 5).version]


def test_what_is_held_already_is_not_refused(store: ShardStore) -> None:
    far = row(1, 500)
    store.apply([far], anything)
    assert store.apply([far, row(1, 400)], lambda stamp, held: False) == [Applied(far.version, False)] * 2


def test_deletes_are_rows_too(store: ShardStore) -> None:
    store.apply([row(1, 1), row(2, 1)], anything)
    gone = row(1, 2, vector=None)
    store.apply([gone, row(3, 1, vector=None)], anything)
    assert (store.live, store.tombstones) == (1, 2)
    assert store.get([1]) == [gone]
    store.apply([row(1, 3)], anything)
    assert (store.live, store.tombstones) == (2, 1)
    assert store.merkle_root() == expected_root([row(1, 3), row(2, 1), row(3, 1, vector=None)])


def test_reopening_counts_and_sums_the_same(disk: SimDisk, store: ShardStore) -> None:
    rows = [row(i, i, vector=None if i % 3 == 0 else b"v") for i in range(200)]
    store.apply(rows, anything)
    root, live, dead = store.merkle_root(), store.live, store.tombstones
    store.close()
    again = ShardStore(disk.open("s"))
    assert (again.merkle_root(), again.live, again.tombstones) == (root, live, dead)
    assert sorted(again.load(), key=lambda item: int(item.id)) == rows


def test_scan_pages_in_the_order_of_id_keys(store: ShardStore) -> None:
    ids: list[PointId] = [2**64 - 1, 0, 7, "b", "a", "ab", "é"]
    store.apply([row(point_id, 1) for point_id in ids], anything)
    in_order = sorted(ids, key=encode_point_id)
    seen: list[PointId] = []
    after = b""
    while page := store.scan(after, 3):
        assert len(page) <= 3
        seen += [item.id for item in page]
        after = encode_point_id(page[-1].id)
    assert seen == in_order


def test_leaves_name_their_rows(store: ShardStore) -> None:
    rows = [row(i, i + 1, vector=None if i % 5 == 0 else b"v") for i in range(300)]
    store.apply(rows, anything)
    leaves = [0, 5, 6, 900, LEAVES - 1]
    wanted = {(item.id, item.version) for item in rows if leaf_of(encode_point_id(item.id)) in leaves}
    assert set(store.leaf_versions(leaves)) == wanted
    assert len(store.leaf_versions(range(LEAVES))) == 300
    for bad in (-1, LEAVES):
        with pytest.raises(InvalidArgument):
            store.leaf_versions([bad])


def test_a_load_shows_one_moment(store: ShardStore) -> None:
    store.apply([row(i, 1) for i in range(1000)], anything)
    walk = store.load()
    first = next(walk)
    store.apply([row(i, 2) for i in range(2000)], anything)
    assert {item.version for item in [first, *walk]} == {row(0, 1).version}


def test_a_failed_write_blocks_until_healed_and_then_shows(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(1, 1)], anything)
    disk.fail_writes()
    with pytest.raises(WriteFailed):
        store.apply([row(1, 2), row(2, 2)], anything)
    assert store.broken
    assert (store.live, store.merkle_root()) == (1, expected_root([row(1, 1)]))
    with pytest.raises(WriteFailed):
        store.apply([row(3, 3)], anything)
    assert store.heal() == [row(1, 2), row(2, 2)]
    assert not store.broken
    assert store.live == 2
    assert store.get([1, 2, 3]) == [row(1, 2), row(2, 2), None]
    assert store.merkle_root() == expected_root([row(1, 2), row(2, 2)])
    assert store.heal() == []


def test_healing_may_fail_again_and_again(disk: SimDisk, store: ShardStore) -> None:
    disk.fail_writes(3)
    with pytest.raises(WriteFailed):
        store.apply([row(1, 1)], anything)
    for _ in range(2):
        with pytest.raises(WriteFailed):
            store.heal()
        assert store.broken
    assert store.heal() == [row(1, 1)]


def test_a_full_disk_heals_when_there_is_space(disk: SimDisk, store: ShardStore) -> None:
    disk.set_free(0)
    with pytest.raises(WriteFailed, match="no space"):
        store.apply([row(1, 1)], anything)
    with pytest.raises(StorageError, match="no space"):
        store.heal()
    disk.set_free(10**9)
    assert store.heal() == [row(1, 1)]


def test_unsynced_rows_survive_a_failing_disk(disk: SimDisk) -> None:
    for seed in range(20):
        disk = SimDisk(random.Random(seed))
        store = ShardStore(disk.open("s"))
        rows = [row(i, 1) for i in range(5)]
        for item in rows:
            store.apply([item], anything, sync=False)
        disk.fail_writes()
        with pytest.raises(WriteFailed):
            store.sync()
        assert store.heal() == []
        assert store.get(range(5)) == rows
        disk.crash()
        assert list(ShardStore(disk.open("s")).load()) == rows


def test_sync_makes_the_rows_before_it_durable(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(1, 1)], anything, sync=False)
    store.sync()
    store.sync()
    disk.crash()
    with pytest.raises(StorageError):
        store.get([1])
    assert ShardStore(disk.open("s")).live == 1


def test_closing_syncs(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(1, 1)], anything, sync=False)
    store.close()
    disk.crash()
    assert ShardStore(disk.open("s")).live == 1


def test_damage_is_found(disk: SimDisk, store: ShardStore) -> None:
    store.apply([row(i, 1) for i in range(10)], anything)
    store.close()
    disk.flip_bit("s")
    with pytest.raises(Corrupt):
        list(ShardStore(disk.open("s")).load())
