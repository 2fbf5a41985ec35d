"""Whole clusters whose nodes come, drain, die and are removed: the shards follow by themselves, under writes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.looking import dead_to_all, rested
from tests.cluster.test_moves import identity, state, writing
from vectron_p2p.client.recovery import recover
from vectron_p2p.model.errors import InvalidArgument, NotFound, PermissionDenied
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster

POINTS = range(1, 101)


async def docs_with_points(db: SimClient, **options: Any) -> AsyncCollection:
    docs = await db.create_collection("docs", dimension=1, metric="l2", **{"shards": 4, "replicas": 3, **options})
    await docs.upsert(ids=list(POINTS), vectors=[[number] for number in POINTS])
    return docs


async def all_there(docs: AsyncCollection) -> None:
    for consistency in ("quorum", "all"):
        assert all(await docs.get(list(POINTS), consistency=consistency))
    assert await docs.count() >= len(POINTS)


def counts(cluster: Cluster) -> dict[str, int]:
    """Replicas by name of their node, as the catalog says."""
    found = state(cluster)
    load = Counter({found.members[node].name: 0 for node in found.current()})
    load.update({found.members[node].name: number for node, number in found.load().items()})
    return dict(sorted(load.items()))


async def balanced(cluster: Cluster, expected: dict[str, int], *, within: float = 120.0) -> None:
    await cluster.until(
        lambda: counts(cluster) == expected and not state(cluster).moves,
        within=within,
        what=f"{expected}: {counts(cluster)}, moves {list(state(cluster).moves.values())}",
    )
    await rested(cluster)


def shards_moved(cluster: Cluster) -> int:
    """Shards that ever moved, by the fences that they left."""
    return sum(fence > 0 for each in state(cluster).collections.values() for fence in each.fences)


async def test_a_node_that_joins_gets_its_share_by_itself_and_no_more_is_moved() -> None:
    async with open_cluster(nodes=3, seed=1) as cluster, cluster.client() as db:
        docs = await docs_with_points(db)
        cluster.add_host("n4")
        async with writing(docs) as writer:
            await cluster.start("n4")
            await balanced(cluster, {"n1": 3, "n2": 3, "n3": 3, "n4": 3})
        assert writer.errors == []
        await writer.check_all()
        assert shards_moved(cluster) == 3
        assert (await db.rebalance()).settled
        assert await docs.count() >= 80


async def test_a_drained_node_gives_all_away_leaves_and_its_process_ends() -> None:
    async with open_cluster(nodes=4, seed=2) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db)
        reports: list[MovesReport] = []
        n4 = cluster.node("n4")
        async with writing(docs) as writer:
            report = await db.drain("n4", on_progress=reports.append)
        assert writer.errors == []
        await writer.check_all()
        assert (report.state, report.shards) == ("left", 0)
        assert reports[0].state == "draining"
        assert reports[0].shards == 3
        await cluster.until(lambda: n4.ended.is_set(), within=30, what="the process ends")
        assert n4.left
        assert cluster.hosts["n4"].failures == []
        assert len(state(cluster).voters) == 3
        await balanced(cluster, {"n1": 4, "n2": 4, "n3": 4})
        assert (await db.drain("n4")).state == "left"  # again: nothing to do
        with pytest.raises(BaseExceptionGroup) as caught:
            await cluster.start("n4")
        assert caught.group_contains(PermissionDenied, match="left")
        cluster.hosts["n4"].failures.clear()
        cluster.reinstall("n4")
        cluster.hosts["n4"].node_name = "n4"  # its name is free again
        await cluster.start("n4")
        await balanced(cluster, {"n1": 3, "n2": 3, "n3": 3, "n4": 3})


async def test_a_drain_that_is_cancelled_gives_nothing_more_away() -> None:
    async with open_cluster(nodes=4, seed=3) as cluster, cluster.client() as db:
        docs = await docs_with_points(db)
        assert (await db.drain("n4", wait=False)).state == "draining"
        report = await db.drain("n4", cancel=True)
        assert report.state == "active"
        await balanced(cluster, {"n1": 3, "n2": 3, "n3": 3, "n4": 3})
        await all_there(docs)
        with pytest.raises(NotFound, match="no node 'n9'"):
            await db.drain("n9")


async def test_what_a_drain_or_a_removal_would_cost_is_refused() -> None:
    async with open_cluster(nodes=3, seed=4) as cluster, cluster.client("n1") as db:
        await docs_with_points(db)
        with pytest.raises(InvalidArgument, match="'docs' asks for 3 replicas, and 2 active nodes would be left"):
            await db.drain("n3")
        with pytest.raises(InvalidArgument, match="n3 is alive"):
            await db.remove("n3")
        with pytest.raises(InvalidArgument, match="n1 is alive"):
            await db.remove(identity(cluster, "n1"))
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        single = await db.create_collection("single", dimension=1, metric="l2", shards=4, replicas=1)
        assert single.name == "single"
        with pytest.raises(InvalidArgument, match="would lose rows"):
            await db.remove("n3")
        await db.delete_collection("single")
        assert (await db.remove("n3")).state == "removed"


async def test_a_dead_node_keeps_what_it_owns_until_it_is_removed_then_all_is_rebuilt() -> None:
    async with open_cluster(nodes=4, seed=5) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db)
        cluster.kill("n4", power=True)
        await dead_to_all(cluster, "n4")
        epoch = state(cluster).epoch
        await cluster.until(lambda: True, within=1)
        await cluster.clock.sleep(60)
        assert state(cluster).epoch == epoch  # nothing was moved
        async with writing(docs) as writer:
            report = await db.remove("n4")
            assert report.settled
        assert writer.errors == []
        await writer.check_all()
        assert counts(cluster) == {"n1": 4, "n2": 4, "n3": 4}
        await rested(cluster)
        assert len(state(cluster).voters) == 3
        with pytest.raises(BaseExceptionGroup) as caught:
            await cluster.start("n4")
        assert caught.group_contains(PermissionDenied, match="removed")


async def test_of_two_replicas_one_dies_and_is_rebuilt_from_the_other() -> None:
    async with open_cluster(nodes=3, seed=10) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db, replicas=2)
        cluster.kill("n3", power=True)
        await dead_to_all(cluster, "n3")
        await db.remove("n3")
        await balanced(cluster, {"n1": 4, "n2": 4})
        await all_there(docs)


async def test_replicas_more_and_fewer() -> None:
    async with open_cluster(nodes=3, seed=6) as cluster, cluster.client() as db:
        docs = await docs_with_points(db, replicas=1)
        assert (await db.set_replicas("docs", 3)).replicas == 3
        await db.rebalance()
        await balanced(cluster, {"n1": 4, "n2": 4, "n3": 4})
        await all_there(docs)
        await db.set_replicas("docs", 2)
        await db.rebalance()
        assert sum(counts(cluster).values()) == 8
        assert max(counts(cluster).values()) - min(counts(cluster).values()) <= 1
        await rested(cluster)
        await all_there(docs)
        with pytest.raises(InvalidArgument):
            await db.set_replicas("docs", 0)
        with pytest.raises(NotFound):
            await db.set_replicas("other", 2)


async def test_whoever_starts_moves_may_die_and_two_may_believe_that_it_is_their_turn() -> None:
    async with open_cluster(nodes=4, seed=7) as cluster, cluster.client() as db:
        docs = await docs_with_points(db, shards=8)
        for host in cluster.up:  # all do
            cluster.node(host.name).upkeep.balancer._my_turn = lambda state: True  # type: ignore[method-assign]
        cluster.add_host("n5")
        await cluster.start("n5")
        await cluster.until(lambda: bool(state(cluster).moves), within=60, what="moves begin")
        first = min((member.node, member.name) for member in state(cluster).active())[1]
        cluster.kill(first)
        await cluster.clock.sleep(3)
        await cluster.start(first)
        await cluster.until(
            lambda: not state(cluster).moves and set(counts(cluster).values()) == {4, 5},
            within=120,
            what="every node has its share",
        )
        await rested(cluster)
        await all_there(docs)


async def test_zones_get_one_replica_each() -> None:
    async with open_cluster(nodes=2, seed=8) as cluster, cluster.client() as db:
        docs = await docs_with_points(db)
        assert state(cluster).under_replicated() == 4
        for name in ("n3", "n4"):
            cluster.add_host(name, zone="other")
            await cluster.start(name)
        await db.rebalance()
        found = state(cluster)
        for owners in next(iter(found.collections.values())).placement:
            assert len(owners) == 3
            assert {found.members[owner].zone for owner in owners} == {"default", "other"}
        assert set(counts(cluster).values()) == {3}
        await rested(cluster)
        await all_there(docs)


async def test_two_nodes_drained_at_once() -> None:
    async with open_cluster(nodes=5, seed=9) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db)
        await db.drain("n4", wait=False)
        await db.drain("n5")
        await cluster.until(
            lambda: cluster.hosts["n4"].node is None and cluster.hosts["n5"].node is None, within=60, what="both end"
        )
        assert [member.state for member in state(cluster).members.values()].count(NodeState.LEFT) == 2
        await balanced(cluster, {"n1": 4, "n2": 4, "n3": 4})
        await all_there(docs)


async def test_a_shard_that_no_move_can_mend_is_given_up_by_force_though_most_voters_are_there() -> None:
    async with open_cluster(nodes=3, seed=11) as cluster, cluster.client("n1") as db:
        docs = await docs_with_points(db, replicas=1)
        cluster.kill("n3", power=True)
        await dead_to_all(cluster, "n3")
        with pytest.raises(InvalidArgument, match="would lose rows"):
            await db.remove("n3")
        async with cluster.client("n1") as one:
            found = await one.run(recover(one.session, force=True))
        assert found.recovered
        assert {each.left == [] for each in found.hurt} == {True}
        await db.rebalance()
        assert set(counts(cluster)) == {"n1", "n2"}
        assert 0 < await docs.count() < len(POINTS)


async def test_what_a_dead_node_owns_waits_for_it_and_nothing_else_does() -> None:
    async with open_cluster(nodes=4, seed=12) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db, shards=16)
        cluster.kill("n4")
        await dead_to_all(cluster, "n4")
        cluster.add_host("n5")
        await cluster.start("n5")
        await cluster.until(
            lambda: counts(cluster)["n5"] > 0 and not state(cluster).moves, within=60, what="shards without it move"
        )
        await cluster.clock.sleep(20)
        assert not state(cluster).moves
        assert identity(cluster, "n4") in state(cluster).current()
        await cluster.start("n4")
        await db.rebalance()
        assert set(counts(cluster).values()) == {9, 10}
        await rested(cluster)
        await all_there(docs)


async def test_a_node_that_dies_while_it_drains_goes_on_when_it_is_back() -> None:
    async with open_cluster(nodes=4, seed=13) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db, shards=8)
        await db.drain("n4", wait=False)
        await cluster.until(lambda: bool(state(cluster).moves), within=60, what="it has begun")
        cluster.kill("n4")
        await cluster.clock.sleep(5)
        await cluster.start("n4")
        report = await db.drain("n4")  # asked for again: the same drain
        assert report.state == "left"
        await balanced(cluster, {"n1": 8, "n2": 8, "n3": 8})
        await all_there(docs)


async def test_a_node_that_dies_while_it_drains_can_be_removed() -> None:
    async with open_cluster(nodes=4, seed=14) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_with_points(db, shards=8)
        await db.drain("n4", wait=False)
        await cluster.until(lambda: bool(state(cluster).moves), within=60, what="it has begun")
        cluster.kill("n4", power=True)
        await dead_to_all(cluster, "n4")
        assert (await db.remove("n4")).state == "removed"
        await balanced(cluster, {"n1": 8, "n2": 8, "n3": 8})
        await all_there(docs)
