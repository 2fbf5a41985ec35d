"""Damaged shard stores: kept aside, replaced by learners that learn from the other owners, and said so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import collection, live, rested, rows
from vectron_p2p.model.errors import Learning, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.replica import kv_name
from vectron_p2p.node.replicas import FAILING_FOR
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.hlc import MAX_SKEW_MS, stamp_of
from vectron_p2p.replication.version import content_digest, make_version
from vectron_p2p.storage.standing import SEQUENCE
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.nodes import ReplicaInfo
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster

COUNT = 30


async def fill(db: SimClient, *, replicas: int = 3) -> None:
    docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1, replicas=replicas)
    await docs.upsert(ids=range(COUNT), vectors=[[n] for n in range(COUNT)], consistency="all")


def store_name(cluster: Cluster) -> str:
    return kv_name(ShardId(collection(cluster).id, 0))


def shard(cluster: Cluster) -> ShardId:
    return ShardId(collection(cluster).id, 0)


async def replica(cluster: Cluster, name: str) -> ReplicaInfo:
    async with cluster.client(name) as db:
        info = await db.cluster()
        return next(each for each in info.shards[0].replicas if each.node == cluster.node(name).identity.node)


async def learned(cluster: Cluster, name: str) -> None:
    """Until the replica of `name` is no learner, and has all."""
    await cluster.until(
        lambda: bool(cluster.node(name).replicas.all()) and not cluster.node(name).replicas.learners,
        within=60.0,
        what="it has learned",
    )
    await rested(cluster)
    assert live(cluster, name, range(COUNT)) == [True] * COUNT


def stop_learning(cluster: Cluster, name: str) -> None:
    async def nothing(*_: object) -> None:
        await trio.sleep_forever()

    cluster.node(name).upkeep.learning._learn = nothing  # type: ignore[assignment,method-assign]


async def test_a_store_that_is_damaged_when_it_is_opened_is_put_aside_and_learned_anew() -> None:
    async with open_cluster(seed=1) as cluster, cluster.client("n1") as db:
        await fill(db)
        cluster.kill("n3")
        disk = cluster.hosts["n3"].disk
        disk.flip_bit(store_name(cluster))
        await cluster.start("n3")
        assert [name.startswith(f"quarantine/{store_name(cluster)}") for name in disk.quarantined] == [True]
        await learned(cluster, "n3")
        assert (await replica(cluster, "n3")).state == "active"
        async with cluster.client("n3") as here:
            assert len(await here.collection("docs").search([0], k=COUNT)) == COUNT


async def test_a_row_that_fails_its_checksum_on_a_read_gives_the_store_up() -> None:
    async with open_cluster(seed=2) as cluster, cluster.client("n1") as db:
        await fill(db)
        disk = cluster.hosts["n3"].disk
        disk._stores[store_name(cluster)].damaged.add(
            next(key for key in disk._stores[store_name(cluster)].table.pairs if key.startswith(b"r"))
        )
        async with cluster.client("n3") as here:
            for level in ("one", "quorum"):
                assert None not in await here.collection("docs").get(range(COUNT), consistency=level)
        await cluster.until(lambda: bool(disk.quarantined), within=10.0, what="put aside")
        await learned(cluster, "n3")
        assert not disk._stores[store_name(cluster)].damaged


async def test_a_store_that_refuses_all_writes_for_long_is_given_up_and_one_that_recovers_is_not() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client("n1") as db:
        await fill(db)
        disk, docs = cluster.hosts["n3"].disk, db.collection("docs")
        disk.fail_writes(8, name=store_name(cluster))
        for n in range(6):
            await docs.upsert(ids=[n], vectors=[[n]])
            await trio.sleep(1.0)
        await rested(cluster)
        await trio.sleep(FAILING_FOR)
        assert not disk.quarantined
        disk.fail_writes(1_000, name=store_name(cluster))
        for n in range(40):
            await docs.upsert(ids=[n % COUNT], vectors=[[n]])
            await trio.sleep(1.0)
            if disk.quarantined:
                disk._faults.clear()  # the new store lies elsewhere on the disk
        assert len(disk.quarantined) == 1
        await learned(cluster, "n3")


async def test_a_full_disk_gives_no_store_up() -> None:
    async with open_cluster(seed=4) as cluster, cluster.client("n1") as db:
        await fill(db)
        disk, docs = cluster.hosts["n3"].disk, db.collection("docs")
        disk.fail_writes(1_000, name=store_name(cluster), reason="No space left on device")
        for n in range(int(FAILING_FOR) + 10):
            await docs.upsert(ids=[n % COUNT], vectors=[[n]])
            await trio.sleep(1.0)
        assert not disk.quarantined
        disk._faults.clear()
        await rested(cluster)


@pytest.mark.parametrize("gone", ["all", "some"])
async def test_a_store_that_lacks_what_it_acknowledged_is_a_learner(gone: str) -> None:
    """Nothing says so but the node's own record: the store opens without a complaint."""
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        await fill(db)
        await trio.sleep(3.0)
        disk = cluster.hosts["n3"].disk
        old = dict(disk._stores[store_name(cluster)].table.pairs)
        await db.collection("docs").upsert(ids=range(10), vectors=[[n + 1] for n in range(10)], consistency="all")
        await trio.sleep(3.0)
        cluster.kill("n3")
        disk.destroy(store_name(cluster))
        if gone == "some":
            handle = disk.open(store_name(cluster))
            handle.write(list(old.items()), sync=True)
            handle.close()
        cluster.network.partition([["n3"]])
        await cluster.start("n3")
        (lost,) = cluster.node("n3").replicas.all()
        assert lost.figures()["state"] == "learner"
        cluster.network.heal()
        await learned(cluster, "n3")
        assert not disk.quarantined


async def test_nobody_reads_from_a_learner_and_it_acknowledges_only_what_is_new() -> None:
    async with open_cluster(seed=6) as cluster, cluster.client("n1") as db:
        await fill(db)
        cluster.kill("n3")
        cluster.hosts["n3"].disk.flip_bit(store_name(cluster))
        await cluster.start("n3", wait=False)
        await cluster.until(lambda: bool(cluster.hosts["n3"].up), within=30.0)
        stop_learning(cluster, "n3")
        node = cluster.node("n3")
        node.replicas.all()[0].store.set_learner("the test says so", 0)
        where, epoch = (shard(cluster).collection, 0), node.catalog.state.epoch
        for message in (
            m.FetchRows(*where, epoch, [1], True, True),
            m.ScrollShard(*where, epoch, b"", 10, None, False),
            m.MerkleLeaves(*where, epoch),
            m.LeafVersions(*where, epoch, [1]),
        ):
            with pytest.raises(Learning, match="ask another"):
                await node._serve_peer(message)
        assert (await node._serve_peer(m.MerkleRoots(epoch, [where[0]], [0]))).roots == [None]
        assert (await node._serve_peer(m.CountShards(where[0], [0], epoch, None))).counts == [-1]
        me, wall_ms = node.identity.node, int(cluster.hosts["n3"].clock.wall() * 1000)
        node.replicas.all()[0].store.set_learner("the test says so", stamp_of(wall_ms + MAX_SKEW_MS))

        async def apply(ms: int, kind: str, point: int) -> bool:
            version = make_version(stamp_of(ms), me, content_digest(point, None, None))
            message = m.ApplyRows(*where, epoch, kind, [point], [version], [None], [None])
            return (await node._serve_peer(message)).held == [version]

        for kind in ("write", "hint"):
            assert not await apply(wall_ms, kind, 100)
        assert await apply(wall_ms, "repair", 100)
        assert await apply(wall_ms, "write_back", 102)  # as repair does, it copies what others hold
        await trio.sleep(1.0)
        assert await apply(wall_ms + MAX_SKEW_MS + 10, "write", 101)
        docs = db.collection("docs")
        assert await docs.count() == COUNT
        assert not (await docs.search([0], k=COUNT, consistency="quorum")).partial
        assert None not in await docs.get(range(COUNT))
        await docs.upsert(ids=[1], vectors=[[5]])


async def test_a_learner_is_one_until_enough_owners_that_are_none_were_merged() -> None:
    async with open_cluster(seed=7) as cluster, cluster.client("n1") as db:
        await fill(db)
        cluster.kill("n3")
        cluster.kill("n2")
        cluster.hosts["n3"].disk.flip_bit(store_name(cluster))
        await cluster.start("n3")
        await trio.sleep(30.0)
        assert cluster.node("n3").replicas.learners  # one of the two that are needed
        assert live(cluster, "n3", range(COUNT)) == [True] * COUNT
        cluster.kill("n3", power=True)
        await cluster.start("n3")  # it knows still
        assert cluster.node("n3").replicas.learners
        await cluster.start("n2")
        await learned(cluster, "n3")
        assert cluster.node("n3").replicas.all()[0].store.refuse_below  # what it had promised is gone for good


async def test_rows_of_a_minority_are_merged_from_whoever_has_them() -> None:
    """Acknowledged by n2 and n3; then n3 loses its files while n1 has never seen the row."""
    async with open_cluster(seed=8) as cluster, cluster.client("n2") as db:
        await fill(db)
        cluster.kill("n1")
        await trio.sleep(10.0)
        await db.collection("docs").upsert(ids=["late"], vectors=[[1]])
        cluster.kill("n3")
        cluster.kill("n2")
        cluster.hosts["n3"].disk.flip_bit(store_name_of(cluster, "n3"))
        await cluster.start("n1")
        await cluster.start("n3")
        await trio.sleep(20.0)
        async with cluster.client("n1", timeout=4.0) as other:
            other.session.retry = type(other.session.retry)(refusals=0)
            with pytest.raises(VectronError):  # not None: nobody who may answer has forgotten it
                await other.collection("docs").get(["late"])
        await cluster.start("n2")
        await learned(cluster, "n3")
        (found,) = rows(cluster, "n3", ["late"])
        assert found is not None


def store_name_of(cluster: Cluster, host: str) -> str:
    (name,) = cluster.hosts[host].disk.names("shard-")
    return name


async def test_a_crash_at_any_step_of_the_replacement_leaves_a_learner() -> None:
    """The old store is aside, the new one not yet marked: without the node's record it would pass for a whole one."""
    for step in range(8):
        async with open_cluster(seed=9) as cluster, cluster.client("n1") as db:
            await fill(db)
            name = store_name(cluster)
            cluster.kill("n3")
            disk = cluster.hosts["n3"].disk
            disk.flip_bit(name)
            disk._stores["system"].apply([(b"shard/" + name.encode(), None)])  # as if lost within its first second
            cluster.network.partition([["n3"]])
            await cluster.start("n3", wait=False)
            await cluster.until(lambda: bool(disk.quarantined), within=30.0, what="put aside")  # noqa: B023
            await trio.sleep(0.002 * step)
            cluster.kill("n3", power=True)
            await cluster.start("n3")
            assert cluster.node("n3").replicas.learners, step
            cluster.network.heal()
            await learned(cluster, "n3")


async def test_the_count_of_batches_goes_on_in_the_store_that_takes_a_lost_ones_place() -> None:
    async with open_cluster(seed=10) as cluster, cluster.client("n1") as db:
        await fill(db)
        for _ in range(5):
            await db.collection("docs").upsert(ids=[1], vectors=[[1]], consistency="all")
        await trio.sleep(2.0)
        before = cluster.node("n3").replicas.all()[0].store.sequence
        cluster.kill("n3")
        cluster.hosts["n3"].disk.flip_bit(store_name(cluster))
        await cluster.start("n3")
        await learned(cluster, "n3")
        after = int.from_bytes(cluster.hosts["n3"].disk._stores[store_name(cluster)].table.pairs[SEQUENCE], "big")
        assert after > before


async def test_a_shard_that_was_dropped_while_it_was_damaged_leaves_nothing() -> None:
    async with open_cluster(nodes=1, seed=11) as cluster, cluster.client("n1") as db:
        await fill(db, replicas=1)
        name = store_name(cluster)
        cluster.kill("n1")
        cluster.hosts["n1"].disk.flip_bit(name)
        await cluster.start("n1")
        assert (await replica(cluster, "n1")).state == "failed"
        await db.delete_collection("docs")
        await cluster.until(lambda: not cluster.hosts["n1"].disk.names("shard-"), within=10.0)
        await fill(db, replicas=1)
        assert (await replica(cluster, "n1")).state == "active"


async def test_a_lone_replica_with_a_damaged_row_serves_the_others_and_says_so() -> None:
    async with open_cluster(nodes=1, seed=12) as cluster, cluster.client("n1", timeout=3.0) as db:
        await fill(db, replicas=1)
        disk = cluster.hosts["n1"].disk
        disk._stores[store_name(cluster)].damaged.add(
            min(key for key in disk._stores[store_name(cluster)].table.pairs if key.startswith(b"r"))
        )
        with pytest.raises(VectronError):
            await db.collection("docs").get([0], consistency="one")
        await trio.sleep(3.0)
        assert not disk.quarantined
        assert (await replica(cluster, "n1")).state == "damaged"
        assert any("no other node has a copy" in warning for warning in (await db.status()).warnings)
        assert None not in await db.collection("docs").get(range(1, COUNT))


async def test_data_that_the_nodes_own_records_are_too_old_to_know_of_are_kept() -> None:
    """The catalog on this disk is from before the collection: that is no word that the collection was dropped."""
    async with open_cluster(nodes=1, seed=13) as cluster:
        disk = cluster.hosts["n1"].disk
        old = dict(disk._stores["system"].table.pairs)
        async with cluster.client("n1") as db:
            await fill(db, replicas=1)
        name = store_name(cluster)
        cluster.kill("n1")
        held = dict(disk._stores[name].table.pairs)
        disk.destroy("system")
        handle = disk.open("system")
        handle.write(list(old.items()), sync=True)
        handle.close()
        await cluster.start("n1")
        (kept,) = disk.quarantined.values()
        assert kept.pairs == held
        async with cluster.client("n1") as db:
            assert await db.list_collections() == []


async def test_a_folder_without_its_identity_starts_no_new_node() -> None:
    async with open_cluster(nodes=1, seed=14) as cluster:
        async with cluster.client("n1") as db:
            await fill(db, replicas=1)
        cluster.kill("n1")
        disk = cluster.hosts["n1"].disk
        disk.destroy("system")
        with pytest.raises(BaseExceptionGroup) as caught:
            await cluster.start("n1")
        assert "whose they are" in str(caught.value.exceptions[0])
        assert disk.names("shard-")
