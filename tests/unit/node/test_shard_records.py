"""What a node remembers of its shard stores."""

from __future__ import annotations

from random import Random

import pytest

from vectron_p2p.node.shard_records import ShardRecords
from vectron_p2p.storage.kv import WriteFailed
from vectron_p2p.testing.disk import SimDisk
from vectron_p2p.testing.executor import StartsTasks


class Here(StartsTasks):
    """An executor that runs at once."""

    async def run(self, lane, fn, *args):
        assert lane == "system"
        return fn(*args)


async def test_records_survive_and_only_grow() -> None:
    kv = SimDisk(Random(1)).open("system")
    records = ShardRecords(kv, Here())
    await records.note(["b", "a"])
    assert records.names == ["a", "b"]
    fresh, puts = records.news({"a": 5, "b": 0})
    assert list(fresh) == ["a"]
    assert records.sequence("a") == 0  # not yet on disk
    kv.write(puts, sync=True)
    records.written(fresh)
    assert records.news({"a": 5}) == ({}, [])
    await records.note(["a"])
    again = ShardRecords(kv, Here())
    assert (again.sequence("a"), again.sequence("b"), again.sequence("c")) == (5, 0, 0)
    await again.forget("a")
    await again.forget("a")
    assert ShardRecords(kv, Here()).names == ["b"]


async def test_a_replacement_is_remembered_until_it_is_done() -> None:
    kv = SimDisk(Random(1)).open("system")
    records = ShardRecords(kv, Here())
    await records.replacing("a", "torn")
    fresh, puts = records.news({"a": 3})  # counters do not wipe it out
    kv.write(puts, sync=True)
    records.written(fresh)
    again = ShardRecords(kv, Here())
    assert (again.replaced_for("a"), again.sequence("a")) == ("torn", 3)
    await again.replaced("a")
    assert ShardRecords(kv, Here()).replaced_for("a") == ""


async def test_what_could_not_be_written_is_not_believed() -> None:
    disk = SimDisk(Random(1))
    records = ShardRecords(disk.open("system"), Here())
    disk.fail_writes(1)
    with pytest.raises(WriteFailed):
        await records.replacing("a", "torn")
    assert records.replaced_for("a") == ""
    await records.replacing("a", "torn")  # heals the store first
    assert records.replaced_for("a") == "torn"
