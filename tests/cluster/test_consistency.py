"""What quorums promise while owners are cut off, dead or behind, and how replicas become equal again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.cluster.looking import (
    collection,
    dead_to_all,
    forget_hints,
    live,
    points,
    pushes_nothing,
    rested,
    rows,
    sees,
)
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import ConsistencyError, DeadlineExceeded, Unavailable, VectronError
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.config import Limits
from vectron_p2p.testing.cluster import open_cluster

LIMITS = Limits(swim=SwimConfig.sim())
HOUR = 3600.0
NO_REPAIR = replace(LIMITS, repair_interval=HOUR, startup_repair=0.0)
"""Rows travel by writes, reads and hints only, but for the one round after a peer came back."""
NO_HINTS_NO_REPAIR = replace(NO_REPAIR, hint_interval=HOUR)


# --- reads and searches -----------------------------------------------------------------------------------------------


async def test_a_quorum_read_through_any_node_sees_the_write_that_returned_before() -> None:
    async with open_cluster(seed=1) as cluster, cluster.client("n1") as first, cluster.client("n3") as third:
        await first.create_collection("docs", dimension=1, metric="l2", shards=4)
        cluster.network.set_delay(0.001, 0.05)
        cluster.network.set_loss(0.1)
        for n in range(20):
            writer, reader = (first, third) if n % 2 else (third, first)
            await writer.collection("docs").upsert(ids=[n % 3], vectors=[[n]], payloads=[{"n": n}])
            (point,) = await reader.collection("docs").get([n % 3])
            assert point is not None
            assert point.payload == {"n": n}
            hits = await reader.collection("docs").search([n], k=1, consistency="quorum")
            assert (hits[0].id, hits[0].score) == (n % 3, 0.0)


async def test_a_quorum_search_never_returns_what_a_stale_owner_still_holds_and_refills() -> None:
    async with open_cluster(seed=2, limits=NO_HINTS_NO_REPAIR) as cluster:
        async with cluster.client("n1") as db, cluster.client("n3") as stale:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
            await docs.upsert(ids=range(30), vectors=[[n] for n in range(30)], consistency="all")
            cluster.network.partition([["n3"]])
            await docs.delete(ids=range(20))  # before n3 is known to be away: only hints and repair could tell it
            await docs.upsert(ids=[20], vectors=[[500]])
            forget_hints(cluster)  # nobody may tell it
            assert live(cluster, "n3", range(3)) == [True] * 3
            pushes_nothing(cluster)
            cluster.network.heal()
            await cluster.until(cluster.agreed, within=60.0)
            assert live(cluster, "n3", range(3)) == [True] * 3
            for reader in (db, stale):
                hits = await reader.collection("docs").search([0], k=5, consistency="quorum")
                assert [hit.id for hit in hits] == [21, 22, 23, 24, 25]
                assert not hits.partial
                hits = await reader.collection("docs").search([20], k=3, consistency="quorum")
                assert [hit.id for hit in hits] == [21, 22, 23]
                assert (await reader.collection("docs").get([5, 20]))[0] is None


async def test_a_read_is_written_back_to_the_owner_that_trails() -> None:
    async with open_cluster(seed=3, limits=NO_HINTS_NO_REPAIR) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        cluster.network.partition([["n1", "client"]])
        await docs.upsert(ids=[1], vectors=[[2]], consistency="one")  # on n1's disk alone
        pushes_nothing(cluster)
        forget_hints(cluster)
        cluster.network.heal()
        (point,) = await docs.get([1], with_vector=True)
        assert point is not None
        assert float(point.vector[0]) == 2.0  # type: ignore[index]
        versions = [rows(cluster, name, [1])[0].version for name in ("n1", "n2", "n3")]  # type: ignore[union-attr]
        assert sum(version == versions[0] for version in versions) >= 2


async def test_get_at_all_needs_every_owner() -> None:
    async with open_cluster(seed=4) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        with pytest.raises(ConsistencyError) as caught:
            await docs.get([1], consistency="all")
        assert (caught.value.acked, caught.value.required) == (0, 3)
        assert (await docs.get([1]))[0] is not None


# --- shards without owners --------------------------------------------------------------------------------------------


async def test_shards_whose_owners_are_all_dead_are_named() -> None:
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)])
        collection = cluster.node("n1").catalog.state.collection("docs")
        assert collection is not None
        dead = cluster.node("n2").identity.node
        lost = [index for index, owners in enumerate(collection.placement) if owners == (dead,)]
        assert lost
        cluster.kill("n2")
        hits = await docs.search([0], k=100)  # at once, and when its death is known
        assert (hits.partial, hits.missing_shards) == (True, lost)
        assert 0 < len(hits) < 40
        await dead_to_all(cluster, "n2")
        one, quorum = await docs.search([0], k=100), await docs.search([0], k=100, consistency="quorum")
        for hits in (one, quorum):
            assert (hits.partial, hits.missing_shards) == (True, lost)
        for call in (docs.count, docs.scroll):
            with pytest.raises(Unavailable) as caught:
                await call()
            assert caught.value.missing_shards == lost
        await cluster.start("n2")
        await cluster.until(cluster.agreed, within=5.0, what="n2 is seen alive")
        hits = await docs.search([0], k=100)
        assert (len(hits), hits.partial) == (40, False)
        assert await docs.count() == 40


async def test_a_search_does_not_wait_for_an_owner_known_to_be_gone() -> None:
    async with open_cluster(seed=6) as cluster, cluster.client("n1", timeout=6.0) as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)])
        cluster.network.partition([["n2"]])  # nothing is refused, nothing answers
        await cluster.until(lambda: sees(cluster, "n1", "n2") is Liveness.DEAD, within=60.0)
        for _ in range(5):
            began = cluster.clock.now()
            hits = await docs.search([0], k=100)
            assert hits.partial
            assert cluster.clock.now() - began < 0.1
            with pytest.raises(Unavailable):
                await docs.count()
            await trio.sleep(7.0)  # longer than any pause between dials


async def test_with_every_owner_gone_a_search_raises() -> None:
    async with open_cluster(nodes=4, seed=6) as cluster:
        async with cluster.client() as db:
            await db.create_collection("docs", dimension=1, metric="l2", shards=1, replicas=1)
        await cluster.until(cluster.agreed, within=10.0)
        owner = cluster.node("n1").catalog.state.members[collection(cluster).placement[0][0]].name
        reader = "n2" if owner != "n2" else "n3"
        cluster.kill(owner)
        async with cluster.client(reader, timeout=3.0) as db:
            with pytest.raises((Unavailable, DeadlineExceeded)):  # nobody answers, and why is not known yet
                await db.collection("docs").search([0])
            await dead_to_all(cluster, owner)
            with pytest.raises(Unavailable) as caught:
                await db.collection("docs").search([0])
            assert caught.value.missing_shards == [0]


# --- writes -----------------------------------------------------------------------------------------------------------


async def test_a_quorum_known_to_be_out_of_reach_fails_at_once_and_writes_nothing() -> None:
    async with open_cluster(seed=7) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        cluster.kill("n2")
        cluster.kill("n3")
        await dead_to_all(cluster, "n2")
        await dead_to_all(cluster, "n3")
        began = cluster.clock.now()
        with pytest.raises(ConsistencyError) as caught:
            await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)])
        assert cluster.clock.now() - began < 3.0  # the client asks the dead nodes too, a second each; no ack is awaited
        assert (caught.value.acked, caught.value.required) == (0, 2)
        assert all(replica.store.live == 0 for replica in cluster.node("n1").replicas.all())
        assert cluster.node("n1").hints.book.count == 0
        await docs.upsert(ids=[1], vectors=[[1]], consistency="one")
        assert (await docs.get([1], consistency="one"))[0] is not None
        with pytest.raises(ConsistencyError):
            await docs.get([1])


async def test_of_a_write_of_unknown_outcome_either_all_or_nothing_is_read_later() -> None:
    async with open_cluster(seed=8) as cluster, cluster.client("n1", timeout=4.0) as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        cluster.network.partition([["n1", "client"]])
        with pytest.raises(VectronError) as caught:  # n1 applied it; that two are away is not known yet
            await docs.upsert(ids=[1], vectors=[[2]], payloads=[{"n": 2}])
        assert caught.value.retryable
        cluster.network.heal()
        await rested(cluster)
        async with cluster.client() as fresh:
            (point,) = await fresh.collection("docs").get([1], with_vector=True)
            assert point is not None
            assert (point.payload, float(point.vector[0])) == ({"n": 2}, 2.0)  # type: ignore[index]


async def test_a_write_succeeds_while_one_owner_is_cut_off() -> None:
    async with open_cluster(seed=9) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        cluster.network.partition([["n3"]])
        began = cluster.clock.now()
        for n in range(20):
            await docs.upsert(ids=[n], vectors=[[n]])
        assert cluster.clock.now() - began < 3.0
        with pytest.raises(VectronError):
            await docs.upsert(ids=[99], vectors=[[0]], consistency="all")
        cluster.network.heal()
        await rested(cluster)
        assert min(points(cluster, name) for name in cluster.hosts) >= 20


# --- healing ----------------------------------------------------------------------------------------------------------


async def test_hints_bring_a_returning_node_what_it_missed_before_any_repair() -> None:
    async with open_cluster(seed=10, limits=NO_REPAIR) as cluster, cluster.client("n1", "n2") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        cluster.kill("n3")
        await docs.upsert(ids=range(10, 20), vectors=[[n] for n in range(10)])  # while it is not known to be dead
        await dead_to_all(cluster, "n3")
        await docs.delete(ids=range(5))
        await docs.upsert(ids=[9], vectors=[[900]])
        pushes_nothing(cluster)
        node = await cluster.start("n3", wait=False)
        await cluster.until(lambda: node.serving, within=60.0)
        pushes_nothing(cluster)
        await cluster.until(
            lambda: live(cluster, "n3", range(20)) == [False] * 5 + [True] * 15, within=15.0, what="hints arrive"
        )
        await cluster.until(cluster.replicas_equal, within=5.0)
        assert [node.repair.pulled + node.repair.pushed for node in map(cluster.node, ("n1", "n2", "n3"))] == [0] * 3
        assert sum(cluster.node(name).hints.book.count for name in ("n1", "n2", "n3")) == 0


async def test_repair_alone_heals_when_the_hints_died_with_their_coordinator() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], consistency="all")
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        await docs.upsert(ids=range(10, 30), vectors=[[n] for n in range(20)])
        await docs.delete(ids=range(5))
        assert cluster.node("n1").hints.book.count > 0
        cluster.kill("n1")
        await cluster.start("n3")
        await cluster.until(
            lambda: cluster.replicas_equal() and points(cluster, "n3") == 25, within=60.0, what="n3 repaired by n2"
        )
        await cluster.start("n1")
        await rested(cluster)
        async with cluster.client("n3") as other:
            found = await other.collection("docs").get(range(30), consistency="all")
            assert [point is not None for point in found] == [False] * 5 + [True] * 25


async def test_deleted_points_do_not_come_back_from_a_node_that_was_long_away() -> None:
    async with open_cluster(seed=12) as cluster, cluster.client("n1", "n2") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")
        cluster.kill("n3")
        await docs.delete(ids=range(15))
        cluster.kill("n1")  # and with it the hints
        await cluster.start("n1")
        await cluster.until(lambda: sees(cluster, "n1", "n3") is Liveness.DEAD, within=60.0)
        began = cluster.clock.now()
        await cluster.clock.sleep(200.0)
        assert cluster.clock.now() - began >= 200.0
        await cluster.start("n3")
        await rested(cluster)
        assert await docs.count() == 5
        async with cluster.client("n3") as returned:
            assert {hit.id for hit in await returned.collection("docs").search([0], k=100)} == set(range(15, 20))
            assert await returned.collection("docs").get(range(15), consistency="all") == [None] * 15
