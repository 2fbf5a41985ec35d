"""What a shard store says of itself, and what its disk did to it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.ballots import make_ballot
from vectron_p2p.replication.learners import Learner
from vectron_p2p.replication.merkle import LEAVES
from vectron_p2p.replication.version import content_digest, make_version
from vectron_p2p.storage.folder import NOTE, LevelDisk
from vectron_p2p.storage.kv import Corrupt, StorageError, WriteFailed, out_of_space
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.storage.standing import SEQUENCE
from vectron_p2p.storage.watched import WatchedStore
from vectron_p2p.testing.disk import SimDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NODE = NodeId("00000000-0000-4000-8000-000000000001")


def row(number: int, stamp: int = 1) -> Row:
    return Row(number, make_version(stamp, NODE, content_digest(number, b"v", b"p")), b"v", b"p")


def anything(stamp: int, held: int) -> bool:
    return True


def disk() -> SimDisk:
    return SimDisk(Random(1))


def test_batches_are_counted_over_restarts() -> None:
    there = disk()
    store = ShardStore(there.open("s"))
    assert store.sequence == 0
    store.apply([row(1), row(2)], anything)
    store.apply([row(1)], anything)  # nothing new
    store.apply([row(1, 2)], anything)
    assert store.sequence == 2
    store.close()
    assert ShardStore(there.open("s")).sequence == 2


def test_a_batch_counts_when_it_is_on_disk() -> None:
    there = disk()
    store = ShardStore(there.open("s"))
    store.apply([row(1)], anything, sync=False)
    assert store.sequence == 0
    store.sync()
    assert store.sequence == 1
    there.fail_writes(1)
    with pytest.raises(WriteFailed):
        store.apply([row(2)], anything)
    assert store.sequence == 1
    store.heal()
    assert store.sequence == 2
    there.crash(power=True)
    assert ShardStore(there.open("s")).sequence == 2


def test_the_count_goes_on_above_another_stores() -> None:
    there = disk()
    store = ShardStore(there.open("s"))
    store.begin_above(41)
    store.begin_above(7)
    assert store.sequence == 41
    store.apply([row(1)], anything)
    store.close()
    assert ShardStore(there.open("s")).sequence == 42


def test_a_learner_is_one_until_it_has_learned_and_its_refusal_stays() -> None:
    there = disk()
    store = ShardStore(there.open("s"))
    assert (store.learner, store.refuse_below) == (None, 0)
    store.set_learner("torn", 100)
    store.set_learner("torn again", 50)
    assert (store.learner, store.refuse_below) == (Learner("torn"), 100)
    there.crash(power=True)
    store = ShardStore(there.open("s"))
    assert (store.learner, store.refuse_below) == (Learner("torn"), 100)
    store.clear_learner()
    there.crash(power=True)
    store = ShardStore(there.open("s"))
    assert (store.learner, store.refuse_below) == (None, 100)


def test_a_record_that_makes_no_sense_is_damage() -> None:
    kv = disk().open("s")
    kv.write([(SEQUENCE, b"\xc1")], sync=True)
    with pytest.raises(Corrupt):
        ShardStore(kv)


class Forgetful:
    """A store that loses an acknowledged row when it is reopened, without a word, as LevelDB does behind a torn log."""

    def __init__(self, kv: Any) -> None:
        self._kv = kv
        self.loses: bytes | None = None
        self.loses_last = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kv, name)

    def heal(self) -> None:
        self._kv.heal()
        if self.loses is not None and not self.loses_last:
            self._kv.write([(self.loses, None)], sync=True)

    def write(self, puts: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self._kv.write(puts, sync=sync)
        if puts and self.loses is not None and self.loses_last:
            self._kv.write([(self.loses, None)], sync=True)


def test_a_store_that_lost_an_acknowledged_row_by_a_failed_write_is_given_up() -> None:
    there = disk()
    kv = Forgetful(there.open("s"))
    store = WatchedStore(kv)
    store.apply([row(1), row(2)], anything)
    kv.loses = next(key for key, _ in kv.iterate(b"v", b"w"))
    there.fail_writes(1)
    with pytest.raises(WriteFailed):
        store.apply([row(3)], anything)
    for _ in range(2):
        with pytest.raises(Corrupt, match="acknowledged"):
            store.heal()
        assert store.broken
        with pytest.raises(WriteFailed):
            store.apply([row(4)], anything)
    assert store.damage is not None


@pytest.mark.parametrize(("lost", "match"), [(b"p", "promises"), (SEQUENCE, "batches")])
def test_a_store_that_lost_a_promise_or_its_count_by_a_failed_write_is_given_up(lost: bytes, match: str) -> None:
    there = disk()
    kv = Forgetful(there.open("s"))
    store = WatchedStore(kv)
    store.promise([(1, make_ballot(5, NODE))], anything)
    store.apply([row(2)], anything, sync=False)
    kv.loses = next(key for key, _ in kv.iterate(lost, lost + b"\xff"))
    kv.loses_last = True
    there.fail_writes(1)
    with pytest.raises(WriteFailed):
        store.sync()
    with pytest.raises(Corrupt, match=match):
        store.heal()
    assert store.broken
    assert store.damage is not None


def test_every_batch_that_failed_and_was_healed_leaves_a_store_that_is_whole() -> None:
    """Rows, promises, tombstones that are collected, rows that a learner drops, and what the store says of itself."""
    there = disk()
    store = WatchedStore(there.open("s"))
    gone = Row(3, make_version(2, NODE, content_digest(3, None, None)), None, None)
    store.apply([row(1), row(2), row(4), gone], anything)
    steps: list[Callable[[], object]] = [
        lambda: store.promise([(1, make_ballot(9, NODE)), (7, make_ballot(9, NODE))], anything),
        lambda: store.apply([row(1, 20), row(5, 20)], anything),
        lambda: store.raise_floor(10),
        lambda: store.collect(10, range(LEAVES)),
        lambda: store.set_learner("the test says so", 15),
        lambda: store.drop([(2, row(2).version)]),
        lambda: store.clear_learner(),
    ]
    for step in steps:
        there.fail_writes(1)
        with pytest.raises(WriteFailed):
            step()
        store.heal()
        assert not store.broken
        step()
        there.crash(power=True)
        again = WatchedStore(there.open("s"))
        assert again.merkle_root() == store.merkle_root()
        assert (again.live, again.tombstones, again.sequence) == (store.live, store.tombstones, store.sequence)
        assert again.open_promises() == store.open_promises()
        assert (again.learner, again.floors, again.refuse_below) == (store.learner, store.floors, store.refuse_below)
        store = again
    assert (store.live, store.tombstones, store.learner) == (3, 0, None)


def test_failures_in_a_row_are_counted_but_not_those_of_a_full_disk() -> None:
    there = disk()
    store = WatchedStore(there.open("s"))
    there.fail_writes(1, reason="input/output error")
    for count in (1, 2):
        with pytest.raises(WriteFailed):
            store.apply([row(1)], anything)
        assert store.failures == count
    store.heal()
    assert (store.failures, store.damage) == (0, None)
    there.fail_writes(1, reason="No space left on device")
    with pytest.raises(WriteFailed) as caught:
        store.apply([row(2)], anything)
    assert out_of_space(caught.value)
    assert store.failures == 0


@pytest.mark.parametrize("read", ["get", "versions", "scan", "leaf_versions", "apply"])
def test_whatever_meets_damage_remembers_it(read: str) -> None:
    there = disk()
    store = WatchedStore(there.open("s"))
    store.apply([row(1)], anything)
    there._stores["s"].damaged = set(there._stores["s"].table.pairs)
    calls: dict[str, Any] = {
        "get": lambda: store.get([1]),
        "versions": lambda: store.versions([1]),
        "scan": lambda: store.scan(b"", 10),
        "leaf_versions": lambda: store.leaf_versions(range(LEAVES)),
        "apply": lambda: store.apply([row(1, 2)], anything),
    }
    with pytest.raises(Corrupt) as caught:
        calls[read]()
    assert store.damage is caught.value


def test_a_quarantined_store_says_why_and_stays(tmp_path: Path) -> None:
    disk = LevelDisk(tmp_path / "x")
    disk.lock()
    disk.open("s").close()
    place = tmp_path / "x" / disk.quarantine("s", "a bit had flipped")
    assert (place / NOTE).read_text() == "a bit had flipped\n"
    assert (place / "kv" / "CURRENT").exists()
    disk.open("s").close()
    assert disk.quarantine("s") != str(place.relative_to(tmp_path / "x"))
    disk.unlock()


def test_a_store_without_its_first_file_is_no_new_store(tmp_path: Path) -> None:
    disk = LevelDisk(tmp_path / "x")
    disk.lock()
    kv = disk.open("s")
    kv.write([(b"k", b"v")], sync=True)
    kv.close()
    (tmp_path / "x" / "stores" / "s" / "kv" / "CURRENT").unlink()
    with pytest.raises(Corrupt, match="CURRENT is missing"):
        disk.open("s")
    disk.unlock()


@pytest.mark.parametrize("text", ["IO error: x: No space left on device", "Disk quota exceeded"])
def test_full_disks_are_told_from_broken_ones(text: str) -> None:
    assert out_of_space(StorageError(f"opening x: {text}"))
    assert not out_of_space(StorageError("opening x: Input/output error"))
