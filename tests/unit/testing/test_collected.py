"""Points that are held although they were collected elsewhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vectron_p2p.model.ids import CollectionId, NodeId, ShardId, encode_point_id
from vectron_p2p.replication.floors import Path
from vectron_p2p.replication.merkle import leaf_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage.memory import MemoryDisk
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.checks.collected import unforgotten

SHARD = ShardId(CollectionId("c"), 0)
NODE = "ad01a4dd-161f-4e03-9cc1-2ed15a4ec227"
LEAF = leaf_of(encode_point_id(7))


def store(name: str, disk: MemoryDisk) -> ShardStore:
    return ShardStore(disk.open(name))


def node(name: str, store: ShardStore) -> Any:
    replica = SimpleNamespace(shard=SHARD, store=store, learner=store.learner)
    return SimpleNamespace(identity=SimpleNamespace(name=name), replicas=SimpleNamespace(all=lambda: [replica]))


def put(store: ShardStore, stamp: int, *, live: bool) -> None:
    row = Row(7, make_version(stamp, NodeId(NODE), b"d" * 16), b"vector" if live else None, b"" if live else None)
    store.apply([row], lambda stamp, held: True, paths=[Path.LEARN])


def test_a_point_that_another_owner_has_collected_is_found() -> None:
    disk = MemoryDisk()
    one, other = store("one", disk), store("other", disk)
    nodes = [node("n1", one), node("n2", other)]
    for each in (one, other):
        put(each, 10, live=False)
        each.raise_floor(20)
        each.collect(20, [LEAF])
    assert unforgotten(nodes) == []
    put(one, 21, live=True)
    assert unforgotten(nodes) == [], "above the floor it only has not come to the other yet"
    put(other, 22, live=True)
    third = store("third", disk)
    put(third, 15, live=True)
    assert unforgotten([*nodes, node("n3", third)]) == [], "the others hold something newer"
    fourth = store("fourth", disk)
    fourth.raise_floor(20)
    fourth.collect(20, [LEAF])
    found = unforgotten([node("n3", third), node("n4", fourth)])
    assert found == ["shard 0: n3 holds 7 at 15, which n4 has collected up to 20"]


def test_tombstones_wait_for_the_order_to_collect_and_learners_for_their_lesson() -> None:
    disk = MemoryDisk()
    one, other = store("one", disk), store("other", disk)
    put(one, 10, live=False)
    put(other, 10, live=False)
    other.collect(20, [LEAF])
    assert unforgotten([node("n1", one), node("n2", other)]) == []
    learner = store("learner", disk)
    put(learner, 10, live=True)
    assert len(unforgotten([node("n1", learner), node("n2", other)])) == 1
    learner.set_learner("test", 0)
    assert unforgotten([node("n1", learner), node("n2", other)]) == []
