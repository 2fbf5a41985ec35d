"""Stores and shard replicas against plain dicts, over drawn histories with crashes and failing disks."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.replication.merkle import MerkleTree, leaf_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage.folder import LevelDisk
from vectron_p2p.storage.kv import KeyValue, StorageError, WriteFailed
from vectron_p2p.storage.memory import MemoryDisk
from vectron_p2p.storage.records import Row, decode_row, encode_row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk

NODE = NodeId("00000000-0000-4000-8000-000000000001")
keys = st.binary(min_size=1, max_size=3)
ids: st.SearchStrategy[PointId] = st.one_of(st.integers(0, 2**64 - 1), st.text(min_size=1, max_size=10))


@given(ids, st.binary(min_size=40, max_size=40), st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=50))
def test_rows_come_back(point_id: PointId, version: bytes, vector: bytes | None, payload: bytes | None) -> None:
    row, key = Row(point_id, version, vector, payload), encode_point_id(point_id)
    assert decode_row(key, encode_row(row, key)) == row


# --- key-value stores -------------------------------------------------------------------------------------------------

batches = st.lists(st.lists(st.tuples(keys, st.none() | st.binary(max_size=5)), max_size=6), max_size=12)
ranges = st.lists(st.tuples(keys, keys, st.booleans()), min_size=1, max_size=4)


def check_like_dict(kv: KeyValue, drawn: list[Any], asked: list[Any]) -> None:
    model: dict[bytes, bytes] = {}
    for puts in drawn:
        kv.write(puts, sync=False)
        for key, value in puts:
            model.pop(key, None)
            if value is not None:
                model[key] = value
        for start, stop, reverse in asked:
            expected = sorted(pair for pair in model.items() if start <= pair[0] < stop)
            assert list(kv.iterate(start, stop, reverse=reverse)) == (expected[::-1] if reverse else expected)
            assert kv.get(start) == model.get(start)


@given(batches, ranges)
def test_memory_is_an_ordered_dict(drawn: list[Any], asked: list[Any]) -> None:
    check_like_dict(MemoryDisk().open("x"), drawn, asked)


@given(batches, ranges)
def test_the_simulated_store_is_an_ordered_dict(drawn: list[Any], asked: list[Any]) -> None:
    check_like_dict(SimDisk(random.Random(0)).open("x"), drawn, asked)


@settings(max_examples=25)  # each makes a LevelDB
@given(batches, ranges)
def test_leveldb_is_an_ordered_dict(drawn: list[Any], asked: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk = LevelDisk(Path(folder) / "data")
        disk.lock()
        kv = disk.open("x")
        try:
            check_like_dict(kv, drawn, asked)
        finally:
            kv.close()
            disk.unlock()


@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.sampled_from(["write", "sync", "fail", "kill", "power"]), st.integers(0, 3)), max_size=30),
)
def test_after_any_fault_a_store_holds_a_beginning_of_its_history(seed: int, steps: list[tuple[str, int]]) -> None:
    disk = SimDisk(random.Random(seed))
    kv = disk.open("x")
    states: list[dict[bytes, bytes]] = [{}]  # after each batch since the last sync
    for number, (kind, key) in enumerate(steps):
        pair = (b"%d" % key, b"%d" % number)
        later = {**states[-1], pair[0]: pair[1]}
        if kind in ("write", "sync"):
            kv.write([pair], sync=kind == "sync")
            states = [later] if kind == "sync" else [*states, later]
            continue
        if kind == "fail":
            disk.fail_writes()
            try:
                kv.write([pair], sync=True)
                raise AssertionError("the write should have failed")
            except WriteFailed:
                kv.heal()
            allowed = [*states, later]
        else:
            disk.crash(power=kind == "power")
            try:
                kv.get(b"0")
                raise AssertionError("the handle should be dead")
            except StorageError:
                kv = disk.open("x")
            allowed = states if kind == "power" else states[-1:]
        found = dict(kv.iterate(b"", b"\xff"))
        assert found in allowed
        # A killed process leaves its un-synced writes to the system: they may still go with the power.
        states = states if kind == "kill" else [found]


# --- shard replicas ---------------------------------------------------------------------------------------------------

row_drawn = st.tuples(st.integers(0, 5), st.integers(1, 9), st.booleans())
shard_steps = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.lists(row_drawn, max_size=5)),
        st.tuples(st.just("fail"), st.lists(row_drawn, min_size=1, max_size=5)),
        st.tuples(st.just("crash"), st.booleans()),
        st.tuples(st.just("heal"), st.none()),
    ),
    max_size=25,
)


def make_row(point_id: int, stamp: int, live: bool) -> Row:
    # Stamp and life decide the version, as the content's digest does in earnest.
    version = make_version(stamp, NODE, bytes([live]) * 16)
    return Row(point_id, version, b"v%d" % stamp if live else None, b"p" if live else None)


@given(st.integers(0, 10**6), shard_steps)
@example(1, [("fail", [(1, 1, False)]), ("crash", False), ("apply", [(1, 1, False)]), ("crash", True)])
def test_acknowledged_rows_stay_and_sums_tell_the_truth(seed: int, steps: list[tuple[str, Any]]) -> None:
    disk = SimDisk(random.Random(seed))
    store = ShardStore(disk.open("s"))
    acknowledged: dict[PointId, bytes] = {}
    for kind, what in steps:
        if kind == "crash":
            disk.crash(power=what)
            store = ShardStore(disk.open("s"))
        elif kind == "heal":
            store.heal()
        else:
            rows = [make_row(*drawn) for drawn in what]
            if kind == "fail":
                disk.fail_writes()
            try:
                for row, result in zip(rows, store.apply(rows, lambda stamp, held: True), strict=True):
                    assert result.held is not None
                    assert result.held >= row.version
                    acknowledged[row.id] = max(acknowledged.get(row.id, b""), result.held)
            except WriteFailed:
                assert store.broken or kind == "fail"
            if kind == "fail":
                disk._faults.clear()  # a batch without a newer row writes nothing, and leaves the fault for later
        if store.broken:
            continue
        held = {row.id: row for row in store.load()}
        for point_id, version in acknowledged.items():
            assert held[point_id].version >= version
        tree = MerkleTree()
        for row in held.values():
            tree.add(encode_point_id(row.id), row.version)
        assert store.merkle_root() == tree.root()
        assert store.live == sum(row.live for row in held.values())
        assert store.tombstones == len(held) - store.live
        assert store.versions(list(held)) == [row.version for row in held.values()]
        leaves = sorted({leaf_of(encode_point_id(point_id)) for point_id in held})
        assert dict(store.leaf_versions(leaves)) == {row.id: row.version for row in held.values()}


@given(st.lists(row_drawn, max_size=20), st.data())
def test_replicas_that_saw_the_same_rows_are_equal(drawn: list[Any], data: st.DataObject) -> None:
    rows = [make_row(*item) for item in drawn]
    roots = set()
    for order in (rows, data.draw(st.permutations(rows)), rows * 2):
        store = ShardStore(MemoryDisk().open("s"))
        while order:
            size = data.draw(st.integers(1, len(order)))
            store.apply(order[:size], lambda stamp, held: True)
            order = order[size:]
        roots.add(store.merkle_root())
    assert len(roots) == 1
