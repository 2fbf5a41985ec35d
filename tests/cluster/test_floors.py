"""Tombstones are forgotten only when no owner can bring the point back (PROTOCOLS §7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cluster.looking import collection, dead_to_all, live, pushes_nothing, rested
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import ClockSkew, Learning, Unavailable
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.config import Limits
from vectron_p2p.node.replica import Replica, kv_name
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.storage.memory import MemoryTable
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.testing.disk import _Store

HOUR = 3600.0
LIMITS = Limits(swim=SwimConfig.sim(), floor_age=5.0, floor_interval=2.0)
BY_HAND = replace(LIMITS, floor_interval=HOUR)
QUIET = replace(BY_HAND, repair_interval=HOUR, startup_repair=0.0, hint_interval=HOUR)
NAMES = ("n1", "n2", "n3")


def replica(cluster: Cluster, name: str) -> Replica:
    return cluster.node(name).replicas.get(ShardId(collection(cluster).id, 0))


def tombstones(cluster: Cluster) -> list[int]:
    return [replica(cluster, name).store.tombstones for name in NAMES]


async def fill(db: object, *, points: int = 40, deleted: int = 20) -> object:
    docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)  # type: ignore[attr-defined]
    await docs.upsert(ids=range(points), vectors=[[n] for n in range(points)], consistency="all")
    await docs.delete(ids=range(deleted), consistency="all")
    return docs


def owners(cluster: Cluster) -> list[str]:
    return sorted(collection(cluster).placement[0])


async def agree(cluster: Cluster, floor: int) -> None:
    """All owners agree to `floor`, as the protocol's first step has it."""
    for name in NAMES:
        node = cluster.node(name)
        message = m.AgreeFloor(collection(cluster).id, 0, node.catalog.state.epoch, owners(cluster), floor)
        await node.upkeep.floors.handle(message)


def order(cluster: Cluster, floor: int) -> m.CollectFloor:
    epoch = cluster.node("n1").catalog.state.epoch
    return m.CollectFloor(collection(cluster).id, 0, epoch, owners(cluster), floor, list(range(1024)))


def now(cluster: Cluster) -> int:
    return stamp_of(int(cluster.hosts["n1"].clock.wall() * 1000))


async def test_deleted_points_are_forgotten_everywhere_and_stay_deleted() -> None:
    async with open_cluster(seed=1, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await fill(db)
        assert tombstones(cluster) == [20] * 3
        await cluster.until(lambda: tombstones(cluster) == [0] * 3, within=60.0, what="tombstones are collected")
        await rested(cluster)
        assert await docs.get(range(20), consistency="all") == [None] * 20  # type: ignore[attr-defined]
        assert await docs.count() == 20  # type: ignore[attr-defined]
        info = await db.cluster()
        assert all(each.floor_ms > 0 for each in info.shards[0].replicas)
        await docs.upsert(ids=[3], vectors=[[7]])  # type: ignore[attr-defined]  # the id is free again
        assert (await docs.get([3]))[0] is not None  # type: ignore[attr-defined]


async def test_nothing_is_forgotten_while_an_owner_is_away_and_it_brings_nothing_back() -> None:
    async with open_cluster(seed=2, limits=LIMITS) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        await docs.delete(ids=range(20))
        await cluster.clock.sleep(20 * LIMITS.floor_age)
        assert [replica(cluster, name).store.tombstones for name in ("n1", "n2")] == [20, 20]
        await cluster.start("n3")
        await cluster.until(lambda: tombstones(cluster) == [0] * 3, within=60.0, what="tombstones are collected")
        await rested(cluster)
        assert live(cluster, "n3", range(20)) == [False] * 20
        assert await docs.get(range(20), consistency="all") == [None] * 20


async def test_an_owner_that_missed_the_order_to_collect_finds_it_and_reads_do_not_fail_meanwhile() -> None:
    async with open_cluster(seed=3, limits=QUIET) as cluster, cluster.client("n3") as db:
        docs = await fill(db)
        await cluster.clock.sleep(10.0)
        floor = now(cluster) - stamp_of(6000)
        await agree(cluster, floor)
        for name in ("n1", "n2"):
            await cluster.node(name).upkeep.floors.handle(order(cluster, floor))
        assert tombstones(cluster) == [0, 0, 20]
        for level in ("one", "quorum", "all"):
            assert await docs.get(range(20), consistency=level) == [None] * 20  # type: ignore[attr-defined]
        assert tombstones(cluster) == [0, 0, 20]  # a copy of a collected tombstone is not taken again
        assert await cluster.node("n3").repair.run_once(cluster.node("n3")._peers)
        assert tombstones(cluster) == [0, 0, 0]
        assert cluster.replicas_equal()


async def test_rows_below_the_floor_are_refused_on_every_path_but_a_learners() -> None:
    async with open_cluster(seed=4, limits=QUIET) as cluster, cluster.client("n1") as db:
        await fill(db)
        old = [row for row in replica(cluster, "n1").store.get(range(20, 22)) if row is not None]
        stamps = [int.from_bytes(row.version[:8], "big") for row in old]
        revenants = [row._replace(id=n) for n, row in enumerate(old)]  # ids 0 and 1 were deleted after that
        await cluster.clock.sleep(10.0)
        floor = now(cluster) - stamp_of(6000)
        assert max(stamps) < floor
        await agree(cluster, floor)
        await cluster.node("n1").upkeep.floors.handle(order(cluster, floor))
        for kind in ("write", "hint", "write_back", "repair"):
            epoch = cluster.node("n1").catalog.state.epoch
            message = m.ApplyRows(
                collection(cluster).id, 0, epoch, kind, [0, 1], [row.version for row in revenants],
                [row.vector for row in revenants], [row.payload for row in revenants],
            )  # fmt: skip
            reply = await cluster.node("n1")._replica_service.handle(message)
            assert reply.held == [None, None], kind
        assert live(cluster, "n1", [0, 1]) == [False, False]


async def test_a_floor_is_refused_by_whom_it_would_hurt() -> None:
    async with open_cluster(seed=5, limits=QUIET) as cluster, cluster.client("n1") as db:
        await fill(db)
        node = cluster.node("n2")
        state = node.catalog.state
        young = m.AgreeFloor(collection(cluster).id, 0, state.epoch, owners(cluster), now(cluster))
        with pytest.raises(ClockSkew, match="too young"):
            await node.upkeep.floors.handle(young)
        await cluster.clock.sleep(10.0)
        fine = replace(young, floor=now(cluster) - stamp_of(8000))
        with pytest.raises(Unavailable, match="other owners"):
            await node.upkeep.floors.handle(replace(fine, owners=owners(cluster)[:2]))
        with pytest.raises(Unavailable, match="agreed to no such floor"):
            await node.upkeep.floors.handle(order(cluster, fine.floor))
        await replica(cluster, "n2").set_learner("test", 0)
        with pytest.raises(Learning):
            await node.upkeep.floors.handle(fine)
        assert replica(cluster, "n2").store.floors.floor == 0


async def test_a_clock_ahead_stops_no_writes() -> None:
    async with open_cluster(seed=6, limits=LIMITS) as cluster, cluster.client("n2", "n3") as db:
        docs = await fill(db)
        for host in cluster.hosts.values():
            node = host.node
            assert node is not None
            if node.identity.node == owners(cluster)[0]:
                host.clock.wall_offset = 3600.0  # of the one that proposes
        await cluster.clock.sleep(20.0)
        await docs.upsert(ids=[100], vectors=[[1]], consistency="quorum")  # type: ignore[attr-defined]
        for name in NAMES:
            assert replica(cluster, name).store.floors.floor < now(cluster)


async def test_an_owner_with_an_old_copy_of_its_shard_learns_and_brings_nothing_back() -> None:
    """Rolled back behind a floor that all had agreed to: its rows of deleted points must go, not come."""
    async with open_cluster(seed=7, limits=LIMITS) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        disk, name = cluster.hosts["n3"].disk, kv_name(ShardId(collection(cluster).id, 0))
        old = dict(disk._stores[name].table.pairs)
        await docs.delete(ids=range(20), consistency="all")
        await docs.upsert(ids=[50], vectors=[[1]], consistency="all")
        await cluster.until(lambda: tombstones(cluster) == [0] * 3, within=60.0, what="tombstones are collected")
        cluster.kill("n3")
        disk._stores[name] = _Store(MemoryTable(old))
        await cluster.start("n3")
        await cluster.until(
            lambda: replica(cluster, "n3").learner is None and cluster.replicas_equal(), within=60.0, what="it learned"
        )
        assert live(cluster, "n3", [*range(20), 50]) == [False] * 20 + [True]
        assert replica(cluster, "n3").store.floors.collected == replica(cluster, "n1").store.floors.collected
        assert await docs.get(range(20), consistency="all") == [None] * 20
        for reader in NAMES:
            async with cluster.client(reader) as each:
                hits = await each.collection("docs").search([0], k=100, exact=True, consistency="one")
                assert sorted(int(hit.id) for hit in hits) == [*range(20, 40), 50]


def alike(cluster: Cluster, dead: str) -> bool:
    """Whether the owners left have all collected, or none."""
    return len({replica(cluster, name).store.tombstones for name in NAMES if name != dead}) == 1


async def test_the_proposer_dies_between_the_orders() -> None:
    """Some owners have collected, others not: they find out, whoever tells them."""
    for seed in range(4):
        async with open_cluster(seed=seed, limits=LIMITS) as cluster, cluster.client() as db:
            docs = await fill(db)
            first = next(
                host.name for host in cluster.up if cluster.node(host.name).identity.node == owners(cluster)[0]
            )
            await cluster.until(lambda: 0 in tombstones(cluster), within=60.0, what="one has collected")
            cluster.kill(first, power=seed % 2 == 0)
            await cluster.until(lambda: alike(cluster, first), within=60.0, what="the others agree")  # noqa: B023
            await cluster.start(first)
            await cluster.until(lambda: tombstones(cluster) == [0] * 3, within=60.0, what="all have collected")
            await rested(cluster)
            assert await docs.get(range(20), consistency="all") == [None] * 20  # type: ignore[attr-defined]


async def test_collecting_goes_on_under_writes_to_other_points() -> None:
    async with open_cluster(seed=8, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await fill(db, points=60, deleted=30)
        pushes_nothing(cluster)
        for n in range(400):
            await docs.upsert(ids=[30 + n % 30], vectors=[[n]])  # type: ignore[attr-defined]
            await cluster.clock.sleep(0.1)
            if tombstones(cluster) == [0] * 3:
                return
        raise AssertionError(f"tombstones left: {tombstones(cluster)}")
