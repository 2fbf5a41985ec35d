"""Anti-entropy by its schedule, and repair on demand with a report."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.cluster.looking import dead_to_all, forget_hints, points, pushes_nothing, rested
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import NotFound
from vectron_p2p.model.repair import RepairReport
from vectron_p2p.node.config import Limits
from vectron_p2p.testing.cluster import Cluster, open_cluster

LIMITS = Limits(swim=SwimConfig.sim())
HOUR = 3600.0
NO_REPAIR = replace(LIMITS, repair_interval=HOUR, startup_repair=0.0, hint_interval=HOUR)


async def miss_writes(cluster: Cluster, docs: object, count: int) -> None:
    """n3 misses `count` writes, and nobody tells it."""
    cluster.kill("n3")
    await dead_to_all(cluster, "n3")
    for start in range(0, count, 1000):
        ids = range(start, min(start + 1000, count))
        await docs.upsert(ids=ids, vectors=[[n] for n in ids])  # type: ignore[attr-defined]
    forget_hints(cluster)
    pushes_nothing(cluster)
    await cluster.start("n3")
    await cluster.until(cluster.agreed, within=60.0)


async def test_a_repair_says_what_it_found_and_did() -> None:
    async with open_cluster(seed=1, limits=NO_REPAIR) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        await miss_writes(cluster, docs, 300)
        seen: list[RepairReport] = []
        report = await db.repair("n3", on_progress=seen.append)
        assert seen[-1] == report
        (node,) = report.nodes
        assert (node.name, node.shards, node.compared) == ("n3", 8, 8)
        assert 4 <= node.differing <= 8  # both others are asked side by side: the second may find nothing left
        assert node.pulled >= 300
        assert (node.pushed, node.left, node.skipped, node.running) == (0, 0, [], False)
        assert node.bytes >= 300 * 4
        assert report.complete
        assert cluster.replicas_equal()
        again = await db.repair()
        assert again.complete
        assert (again.compared, again.copied, again.left) == (12, 0, 0)  # each pair once
        assert [each.name for each in again.nodes] == [
            member.name for _, member in sorted(cluster.node("n1").catalog.state.members.items())
        ]


async def test_a_repair_names_what_it_could_not_compare() -> None:
    async with open_cluster(seed=2, limits=NO_REPAIR) as cluster, cluster.client("n1") as db:
        await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        with pytest.raises(NotFound, match="no node 'n9'"):
            await db.repair("n9")
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        report = await db.repair()
        assert not report.complete
        silent = {each.name for each in report.nodes if not each.answered}
        assert silent == {"n3"}
        assert any("n3 is not alive" in why for each in (await db.repair("n1")).nodes for why in each.skipped)


async def test_rows_that_an_owner_refuses_are_counted_as_left() -> None:
    async with open_cluster(seed=3, limits=NO_REPAIR) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await miss_writes(cluster, docs, 5)
        cluster.hosts["n3"].clock.wall_offset = -HOUR  # what the others hold seems to be from the future
        report = await db.repair("n3")
        assert not report.complete
        assert [(n.left, n.skipped) for n in report.nodes] == [(10, [])]  # five rows, compared with two owners


async def test_a_second_asker_joins_the_pass_that_runs() -> None:
    limits = replace(NO_REPAIR, repair_bytes_per_s=2_000.0)
    async with (
        open_cluster(seed=4, limits=limits) as cluster,
        cluster.client("n1") as db,
        cluster.client("n2") as other,
    ):
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await miss_writes(cluster, docs, 400)
        reports: list[RepairReport] = []

        async def ask(client: object) -> None:
            reports.append(await client.repair("n3"))  # type: ignore[attr-defined]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, db)
            await cluster.clock.sleep(1.0)
            nursery.start_soon(ask, other)
        assert reports[0] == reports[1]
        assert reports[0].complete


async def test_missed_writes_are_found_without_hints_and_without_a_word_from_anybody() -> None:
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await miss_writes(cluster, docs, 1000)
        await cluster.until(cluster.replicas_equal, within=30.0, what="n3 has what it missed")
        assert points(cluster, "n3") == 1000


async def test_copying_keeps_to_its_budget() -> None:
    limits = replace(NO_REPAIR, repair_bytes_per_s=4_000.0)
    async with open_cluster(seed=6, limits=limits) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await miss_writes(cluster, docs, 600)
        began = cluster.clock.now()
        report = await db.repair("n3")
        assert report.complete
        assert cluster.clock.now() - began >= report.nodes[0].bytes / 4_000.0 - 2.0


async def test_while_nothing_differs_rounds_come_less_often() -> None:
    async with open_cluster(seed=7) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        await cluster.clock.sleep(300.0)
        pairs = [pair for host in cluster.up for pair in cluster.node(host.name).repair._pairs.values()]
        assert {pair.interval for pair in pairs} == {2 * LIMITS.repair_interval}
        await rested(cluster)
