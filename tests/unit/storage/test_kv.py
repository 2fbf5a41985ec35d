"""What every key-value store promises, tried on all of them."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from vectron_p2p.storage.folder import LevelDisk
from vectron_p2p.storage.kv import Disk, KeyValue, StorageError
from vectron_p2p.storage.memory import MemoryDisk
from vectron_p2p.testing.disk import SimDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["leveldb", "memory", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "memory":
        yield MemoryDisk()
    elif request.param == "simulated":
        yield SimDisk(random.Random(1))
    else:
        folder = LevelDisk(tmp_path / "data")
        folder.lock()
        yield folder
        folder.unlock()


@pytest.fixture
def kv(disk: Disk) -> Iterator[KeyValue]:
    store = disk.open("one")
    yield store
    store.close()


def fill(kv: KeyValue, count: int) -> list[tuple[bytes, bytes]]:
    pairs = [(b"k%06d" % i, b"v%d" % i * 50) for i in range(count)]
    kv.write(pairs, sync=True)
    return pairs


def test_a_batch_is_applied_in_order(kv: KeyValue) -> None:
    kv.write([(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"a", b"3"), (b"b", None)], sync=True)
    assert kv.get(b"a") == b"3"
    assert kv.get(b"b") is None
    assert kv.get_many([b"b", b"a", b"c"]) == [None, b"3", None]


def test_ranges_are_half_open_in_key_order_both_ways(kv: KeyValue) -> None:
    pairs = fill(kv, 1000)
    assert list(kv.iterate(b"", b"\xff")) == pairs
    assert list(kv.iterate(pairs[10][0], pairs[900][0])) == pairs[10:900]
    assert list(kv.iterate(pairs[10][0], pairs[900][0], reverse=True)) == pairs[10:900][::-1]
    assert list(kv.iterate(b"k", b"k")) == []
    assert list(kv.iterate(b"z", b"a")) == []


def test_deleted_and_rewritten_keys_are_seen_once(kv: KeyValue) -> None:
    pairs = fill(kv, 50)
    assert len(list(kv.iterate(b"", b"\xff"))) == 50
    kv.write([(key, None) for key, _ in pairs[:25]], sync=False)
    kv.write([(pairs[3][0], b"back"), (pairs[3][0], None), (pairs[3][0], b"again")], sync=False)
    assert list(kv.iterate(b"", b"\xff")) == [(pairs[3][0], b"again"), *pairs[25:]]


def test_a_snapshot_shows_one_moment(kv: KeyValue) -> None:
    pairs = fill(kv, 600)
    snapshot = kv.snapshot()
    walk = snapshot.iterate(b"", b"\xff")
    first = next(walk)
    kv.write([(key, b"new") for key, _ in pairs] + [(b"k0000005", b"x")], sync=True)
    assert [first, *walk] == pairs
    assert snapshot.get(pairs[5][0]) == pairs[5][1]
    assert snapshot.get_many([b"k0000005"]) == [None]
    snapshot.close()
    snapshot.close()
    with pytest.raises(StorageError):
        snapshot.get(b"a")
    assert kv.get(pairs[5][0]) == b"new"


def test_an_iteration_survives_writes(kv: KeyValue) -> None:
    pairs = fill(kv, 1000)
    seen = []
    for key, _ in kv.iterate(b"", b"\xff"):
        seen.append(key)
        kv.write([(key, None)], sync=False)
    assert seen == [key for key, _ in pairs]
    assert list(kv.iterate(b"", b"\xff")) == []


def test_everything_is_there_after_reopening(disk: Disk, kv: KeyValue) -> None:
    pairs = fill(kv, 300)
    assert kv.approximate_size() > 0
    with pytest.raises(StorageError):
        disk.open("one")
    kv.close()
    kv.close()
    again = disk.open("one")
    assert list(again.iterate(b"", b"\xff")) == pairs
    again.close()


def test_a_closed_store_refuses_everything(kv: KeyValue) -> None:
    fill(kv, 3)
    snapshot = kv.snapshot()
    kv.close()
    for call in (
        lambda: kv.get(b"a"),
        lambda: kv.get_many([b"a"]),
        lambda: list(kv.iterate(b"", b"\xff")),
        lambda: kv.write([(b"a", b"b")], sync=True),
        kv.snapshot,
    ):
        with pytest.raises(StorageError):
            call()
    snapshot.close()


def test_healing_a_sound_store_changes_nothing(kv: KeyValue) -> None:
    pairs = fill(kv, 10)
    assert not kv.broken
    kv.heal()
    assert list(kv.iterate(b"", b"\xff")) == pairs


def test_stores_come_and_go_by_name(disk: Disk) -> None:
    for name in ("system", "shards/b/0", "shards/a/1", "shards/a/0"):
        disk.open(name).close()
    assert disk.names() == ["shards/a/0", "shards/a/1", "shards/b/0", "system"]
    assert disk.names("shards/a/") == ["shards/a/0", "shards/a/1"]
    assert disk.exists("system")
    disk.destroy("shards/a/1")
    disk.destroy("shards/a/1")
    assert not disk.exists("shards/a/1")
    store = disk.open("shards/a/1")
    assert list(store.iterate(b"", b"\xff")) == []
    with pytest.raises(StorageError):
        disk.open("shards/a/1")
    store.close()


def test_a_quarantined_store_is_out_of_the_way(disk: Disk) -> None:
    places = set()
    for _ in range(2):
        store = disk.open("bad")
        store.write([(b"a", b"1")], sync=True)
        store.close()
        places.add(disk.quarantine("bad"))
        assert not disk.exists("bad")
    assert len(places) == 2
    assert disk.names() == []


@pytest.mark.parametrize("name", ["", "/", "a//b", "../x", "a/../b", ".hidden", "a b", "a+b", "é"])
def test_odd_names_are_refused(disk: Disk, name: str) -> None:
    with pytest.raises(ValueError):
        disk.open(name)


def test_space_is_told(disk: Disk) -> None:
    assert 0 < disk.free_bytes() <= disk.total_bytes()


def test_readers_and_a_writer_and_closing_get_along(kv: KeyValue) -> None:
    pairs = fill(kv, 500)
    wrong: list[BaseException] = []
    started = threading.Barrier(5)

    def read() -> None:
        started.wait()
        try:
            while True:
                assert len(kv.get_many([key for key, _ in pairs])) == 500
                assert len(list(kv.iterate(b"k", b"l"))) == 500
        except StorageError:
            pass  # closed
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    for i in range(30):
        kv.write([(key, b"%d" % i) for key, _ in pairs], sync=False)
    kv.close()
    for thread in threads:
        thread.join(30)
    assert not wrong
