"""Replicas that may have forgotten rows answer nothing until they have learned (PROTOCOLS §5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cluster.looking import collection, dead_to_all, live, rested
from vectron_p2p.client.session import RetryPolicy
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import ConsistencyError, Learning
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.config import Limits
from vectron_p2p.node.replica import Replica, kv_name
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.testing.disk import _Store

LIMITS = Limits(swim=SwimConfig.sim())
NAMES = ("n1", "n2", "n3")


def replica(cluster: Cluster, name: str) -> Replica:
    return cluster.node(name).replicas.get(ShardId(collection(cluster).id, 0))


def learners(cluster: Cluster) -> list[str]:
    return [host.name for host in cluster.up if replica(cluster, host.name).learner is not None]


async def forget_all(cluster: Cluster, name: str) -> None:
    """`name` loses the shard's rows and starts as a learner, as after a quarantine."""
    disk, store = cluster.hosts[name].disk, kv_name(ShardId(collection(cluster).id, 0))
    cluster.kill(name)
    disk._stores[store] = _Store()
    handle = disk.open(store)
    handle.write([(b"m/learner", b"quarantined"), (b"m/refuse", bytes(8))], sync=True)
    handle.close()
    await cluster.start(name)


async def test_a_learner_never_answers_and_ends_as_a_full_replica() -> None:
    async with open_cluster(seed=1) as cluster, cluster.client("n1", "n3") as db, cluster.client("n3") as third:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        cluster.kill("n2")  # so that n3 cannot learn from two others
        await dead_to_all(cluster, "n2")
        await forget_all(cluster, "n3")
        await cluster.clock.sleep(20.0)
        assert learners(cluster) == ["n3"]
        info = await db.cluster()
        by_name = {node.id: node.name for node in info.nodes}
        states = {by_name[each.node]: (each.state, each.learner) for each in info.shards[0].replicas}
        assert states["n3"] == ("learner", "quarantined")
        assert any("learns from its other owners" in warning for warning in (await third.status()).warnings)
        assert {node.name: node.learners for node in (await db.status()).nodes if node.answered} == {"n1": 0, "n3": 1}
        for reader in (db.collection("docs"), third.collection("docs")):
            assert await reader.count() == 40
            assert len(await reader.search([0], k=50, exact=True)) == 40
            assert len((await reader.scroll(limit=100)).points) == 40
            assert None not in await reader.get(range(40), consistency="one")
        for names in (("n1", "n3"), ("n3",)):
            async with cluster.client(*names) as once:
                # Tried again it would be refused again, until the deadline comes first.
                once.session.retry = RetryPolicy(refusals=0)
                with pytest.raises(ConsistencyError):
                    # n1 alone is no quorum, and the learner is no part of one
                    await once.collection("docs").get([1])
        epoch, uuid = cluster.node("n1").catalog.state.epoch, collection(cluster).id
        service = cluster.node("n3")._replica_service
        for message in (
            m.FetchRows(uuid, 0, epoch, [1], False, False),
            m.ScrollShard(uuid, 0, epoch, b"", 10, None, False),
            m.MerkleLeaves(uuid, 0, epoch),
            m.LeafVersions(uuid, 0, epoch, [1]),
        ):
            with pytest.raises(Learning):
                await service.handle(message)
        assert (await service.handle(m.CountShards(uuid, [0], epoch, None))).counts == [-1]
        assert (await service.handle(m.MerkleRoots(epoch, [uuid], [0]))).roots == [None]
        await docs.upsert(ids=[100], vectors=[[1]])  # a learner takes new writes, and its acks count
        assert live(cluster, "n3", [100]) == [True]
        await cluster.start("n2")
        await cluster.until(lambda: not learners(cluster), within=30.0, what="n3 has learned")
        await rested(cluster)
        assert live(cluster, "n3", range(40)) == [True] * 40
        cluster.kill("n1")
        await dead_to_all(cluster, "n1")
        assert None not in await third.collection("docs").get([*range(40), 100])


async def test_a_learner_refuses_what_it_may_have_promised_and_takes_copies_of_it() -> None:
    async with open_cluster(seed=2) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(4), vectors=[[n] for n in range(4)], consistency="all")
        third = cluster.node("n3").replicas
        await replica(cluster, "n3").set_learner("test", third.refuse_below())
        wall = stamp_of(int(cluster.hosts["n3"].clock.wall() * 1000))
        assert stamp_of(490) <= replica(cluster, "n3").store.refuse_below - wall <= stamp_of(510)
        old = replica(cluster, "n1").store.get([1])[0]
        assert old is not None
        for kind, taken in (("write", False), ("hint", False), ("repair", True)):
            row = old._replace(id=f"new-{kind}")
            message = m.ApplyRows(
                collection(cluster).id, 0, 1, kind, [row.id], [row.version], [row.vector], [row.payload]
            )
            reply = await cluster.node("n3")._replica_service.handle(message)
            assert (reply.held == [row.version]) is taken, kind
        await cluster.until(lambda: not learners(cluster), within=30.0, what="n3 has learned")
        await docs.upsert(ids=[9], vectors=[[9]], consistency="all")


async def test_a_machine_that_restarts_uncleanly_in_interval_mode_makes_learners() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client("n1") as db:
        await restart_all(cluster, "interval")
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        cluster.kill("n2")  # from now on n3 cannot end what it begins
        await dead_to_all(cluster, "n2")
        cluster.kill("n3")  # only the process: the system still writes what it has
        await cluster.start("n3")
        assert learners(cluster) == []
        await cluster.stop("n3")  # in order, then the machine restarts
        cluster.hosts["n3"].boots += 1
        await cluster.start("n3")
        assert learners(cluster) == []
        cluster.kill("n3", power=True)
        await cluster.start("n3")
        assert learners(cluster) == ["n3"]
        cluster.kill("n3")  # the flag outlives restarts
        await cluster.start("n3")
        assert learners(cluster) == ["n3"]
        await cluster.start("n2")
        await cluster.until(lambda: not learners(cluster), within=30.0, what="n3 has learned")
        await rested(cluster)


async def test_with_fsync_a_power_cut_makes_no_learner() -> None:
    async with open_cluster(seed=4) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        cluster.kill("n2")
        cluster.kill("n3", power=True)
        await cluster.start("n3")
        assert learners(cluster) == []


async def restart_all(cluster: Cluster, durability: str) -> None:
    for name in cluster.hosts:
        await cluster.stop(name)
        cluster.hosts[name].durability = durability
    for name in cluster.hosts:
        await cluster.start(name, wait=False)
    await cluster.until(lambda: len(cluster.up) == 3 and cluster.agreed(), within=60.0, what="all are back")


async def test_when_all_owners_are_learners_their_copies_are_merged_and_that_is_reported() -> None:
    async with open_cluster(seed=5) as cluster, cluster.client() as db:
        await restart_all(cluster, "interval")
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        await cluster.clock.sleep(2.0)  # on disk by now
        for name in NAMES:
            cluster.kill(name, power=True)
        for name in ("n1", "n2"):
            await cluster.start(name, wait=False)
        await cluster.until(lambda: len(cluster.up) == 2, within=60.0, what="two are back")
        await cluster.clock.sleep(20.0)
        assert learners(cluster) == ["n1", "n2"]  # not all are present: the third may hold what these forgot
        await cluster.start("n3")
        await cluster.until(lambda: not learners(cluster), within=30.0, what="all have learned")
        await rested(cluster)
        assert None not in await docs.get(range(10), consistency="all")
        warnings = [warning for name in NAMES for warning in cluster.node(name).upkeep.learning.warnings()]
        assert any("may be lost" in warning for warning in warnings)


async def test_two_learners_of_three_do_not_wait_for_each_other_for_ever() -> None:
    async with open_cluster(seed=6) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        for name in ("n2", "n3"):
            await replica(cluster, name).set_learner("test", 0)
        await cluster.until(lambda: not learners(cluster), within=30.0, what="both have learned")
        await rested(cluster)


async def test_learning_is_taken_up_again_after_a_crash_of_either_side() -> None:
    limits = replace(LIMITS, repair_bytes_per_s=2_000.0, startup_repair=0.1)
    for victim in ("n1", "n3"):
        async with open_cluster(seed=7, limits=limits) as cluster, cluster.client("n2") as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
            await docs.upsert(ids=range(600), vectors=[[n] for n in range(600)], consistency="all")
            await forget_all(cluster, "n3")
            await cluster.until(
                lambda: 0 < replica(cluster, "n3").store.live < 600, within=60.0, what="learning is under way"
            )
            cluster.kill(victim)
            await cluster.clock.sleep(3.0)
            await cluster.start(victim)
            await cluster.until(lambda: not learners(cluster), within=300.0, what="n3 has learned")
            assert replica(cluster, "n3").store.live == 600


async def test_a_single_owner_that_forgot_goes_on_and_says_so() -> None:
    async with open_cluster(nodes=1, seed=8) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]])
        await replica(cluster, "n1").set_learner("test", 0)
        await cluster.until(lambda: not learners(cluster), within=10.0)
        assert await docs.count() == 1
        assert any("may be lost" in warning for warning in (await db.status()).warnings)
