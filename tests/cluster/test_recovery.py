"""Forced recovery: three of five nodes are lost for ever, the other two go on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import collection, dead_to_all, sees
from vectron_p2p.catalog.recovery import number
from vectron_p2p.client.recovery import recover as flow
from vectron_p2p.model.errors import InvalidArgument, PermissionDenied, Unavailable, VectronError
from vectron_p2p.model.nodes import Liveness, NodeState
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.recovery import RecoveryInfo
    from vectron_p2p.testing.cluster import Cluster

LOST = ("n3", "n4", "n5")


async def recover(cluster: Cluster, at: str, *, force: bool = True, lost: tuple[str, ...] = ()) -> RecoveryInfo:
    async with cluster.client(at) as db:
        return await db.run(flow(db.session, force=force, lost=lost))


async def lose(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.kill(name)
    await dead_to_all(cluster, *names)


def kinds(failures: list[BaseException]) -> set[type[BaseException]]:
    found: set[type[BaseException]] = set()
    for failure in failures:
        found |= kinds(list(failure.exceptions)) if isinstance(failure, BaseExceptionGroup) else {type(failure)}
    return found


async def fill(cluster: Cluster, *, shards: int = 16) -> None:
    async with cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=shards, replicas=3)
        await docs.upsert(ids=range(60), vectors=[[n] for n in range(60)], consistency="all")


async def test_the_drill() -> None:
    async with open_cluster(nodes=5, seed=1) as cluster:
        await fill(cluster)
        placement = collection(cluster).placement
        ids = {name: cluster.node(name).identity.node for name in cluster.hosts}
        await lose(cluster, *LOST)
        async with cluster.client("n1", timeout=4.0) as db:
            with pytest.raises(Unavailable):
                await db.create_collection("more", dimension=1)
        looked = await recover(cluster, "n1", force=False)
        assert not looked.recovered
        assert cluster.node("n1").catalog.state.generation == 0
        done = await recover(cluster, "n1")
        assert done.recovered
        assert (done.lost, done.survivors, done.generation) == (list(LOST), ["n1", "n2"], 1)
        assert done.hurt == looked.hurt
        left = [[name for name in ("n1", "n2") if ids[name] in owners] for owners in placement]
        assert {(each.shard, tuple(each.left)) for each in done.hurt} == {
            (index, tuple(each)) for index, each in enumerate(left) if len(each) < 2
        }
        await cluster.until(cluster.agreed, within=30.0, what="both survivors are in the new generation")
        await cluster.until(lambda: len(cluster.node("n2").catalog.state.voters) == 2, within=30.0, what="both vote")
        state = cluster.node("n2").catalog.state
        assert number(state.generation) == 1
        assert {state.members[ids[name]].state for name in LOST} == {NodeState.REMOVED}
        gone = {index for index, each in enumerate(left) if not each}
        held = sum(
            replica.store.live
            for index, each in enumerate(left)
            if each
            for replica in cluster.node(each[0]).replicas.all()
            if (replica.shard.collection, replica.shard.index) == (collection(cluster).id, index)
        )
        assert 0 < held <= 60
        assert gone or held == 60
        for through in ("n1", "n2"):
            async with cluster.client(through) as db:
                docs = db.collection("docs")
                kept = [n for n, point in enumerate(await docs.get(range(60))) if point is not None]
                assert len(kept) == (held if through == "n1" else 60)
                assert not (await docs.search([0], k=60)).partial
                await docs.upsert(ids=range(60), vectors=[[n] for n in range(60)])
                await db.create_collection(f"from-{through}", dimension=1)
                assert len((await db.cluster()).nodes) == 5
        async with cluster.client("n2") as db:
            assert None not in await db.collection("docs").get(range(60), consistency="all")
            await db.delete_collection("from-n1")


async def test_a_lost_node_that_comes_back_stops_and_joins_with_an_empty_folder() -> None:
    async with open_cluster(nodes=5, seed=2) as cluster:
        await fill(cluster)
        await lose(cluster, *LOST)
        await recover(cluster, "n2")
        await cluster.until(cluster.agreed, within=30.0)
        host = cluster.hosts["n4"]
        with pytest.raises(BaseExceptionGroup):
            await cluster.start("n4")
        assert kinds(host.failures) == {PermissionDenied}
        host.failures.clear()
        host.disk.crash()
        for name in host.disk.names():
            host.disk.destroy(name)
        await cluster.start("n4", join=[cluster.hosts["n1"].address])
        await cluster.until(cluster.agreed, within=30.0)
        assert len(cluster.node("n1").catalog.state.current()) == 3


async def test_the_lost_ones_that_were_only_cut_off_stop_when_they_meet_the_others() -> None:
    """They are a majority of the old generation and went on in it: what they acknowledged meanwhile is given up."""
    async with open_cluster(nodes=5, seed=3) as cluster:
        await fill(cluster)
        cluster.network.partition([["n1", "n2", "client"]])
        await cluster.until(
            lambda: all(sees(cluster, name, other) is Liveness.DEAD for name in ("n1", "n2") for other in LOST),
            within=60.0,
        )
        await recover(cluster, "n1")
        await cluster.until(lambda: number(cluster.node("n2").catalog.state.generation) == 1, within=30.0)
        assert all(number(cluster.node(name).catalog.state.generation) == 0 for name in LOST)
        cluster.network.heal()
        await cluster.until(
            lambda: all(cluster.hosts[name].node is None for name in LOST), within=60.0, what="they end"
        )
        for name in LOST:
            assert kinds(cluster.hosts[name].failures) == {PermissionDenied}, name
        await cluster.until(cluster.agreed, within=30.0)
        async with cluster.client("n1") as db:
            await db.create_collection("more", dimension=1)


async def test_two_recoveries_stop_all_and_say_so() -> None:
    async with open_cluster(nodes=5, seed=4) as cluster:
        await fill(cluster)
        await lose(cluster, *LOST)
        for at, other in (("n1", "n2"), ("n2", "n1")):
            cluster.network.partition([[at, "client"]])
            await cluster.until(lambda: sees(cluster, at, other) is Liveness.DEAD, within=60.0)  # noqa: B023
            assert (await recover(cluster, at)).survivors == [at]
        cluster.network.heal()
        await cluster.until(lambda: not cluster.up, within=90.0, what="both stop")
        said = [text(failure) for name in ("n1", "n2") for failure in cluster.hosts[name].failures]
        assert all("recovered by force twice" in each for each in said), said
        assert len(said) == 2


def text(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return " ".join(text(each) for each in failure.exceptions)
    return str(failure)


async def test_what_is_refused() -> None:
    async with open_cluster(nodes=3, seed=5) as cluster:
        with pytest.raises(InvalidArgument, match="nothing has to be forced"):
            await recover(cluster, "n1")
        await lose(cluster, "n3")
        with pytest.raises(InvalidArgument, match="nothing has to be forced"):
            await recover(cluster, "n1")
        await lose(cluster, "n2")
        for lost, why in ((("n2",), "n3 does not answer"), (("n2", "n3", "n1"), "n1 is alive"), (("x",), "no member")):
            with pytest.raises(InvalidArgument, match=why):
                await recover(cluster, "n1", lost=lost)
        async with cluster.client("n1", "n2") as db:
            with pytest.raises(InvalidArgument, match="the one node"):
                await db.run(flow(db.session, force=True))
        assert cluster.node("n1").catalog.state.generation == 0
        done = await recover(cluster, "n1", lost=("n2", str(cluster_id(cluster, "n3"))))
        assert done.lost == ["n2", "n3"]


def cluster_id(cluster: Cluster, name: str) -> str:
    return next(each.node for each in cluster.node("n1").catalog.state.members.values() if each.name == name)


async def test_the_newest_state_of_the_survivors_is_gone_on_from() -> None:
    """n1 missed the last change, which n2 has; it opens the generation all the same."""
    async with open_cluster(nodes=5, seed=6) as cluster:
        await fill(cluster, shards=1)
        cluster.network.partition([["n1"]])
        async with cluster.client("n2") as db:
            await trio.sleep(1.0)
            cluster.network.partition([["n1"], ["n2", "n3", "n4", "n5", "client"]])
            await db.create_collection("late", dimension=1)
        for name in LOST:
            cluster.kill(name)
        cluster.network.heal()
        await dead_to_all(cluster, *LOST)
        await recover(cluster, "n1")
        assert cluster.node("n1").catalog.state.collection("late") is not None


async def test_a_change_that_a_survivor_voted_for_is_made_first() -> None:
    """The lost majority may have decided it, and its client may know."""
    async with open_cluster(nodes=5, seed=7) as cluster:
        host = cluster.hosts["n2"]
        async with trio.open_nursery() as nursery, cluster.client("n3", timeout=3.0) as db:

            async def create() -> None:
                with contextlib.suppress(VectronError):
                    await db.create_collection("voted", dimension=1)

            for name in ("n4", "n5", "n1"):
                cluster.network.pause(name)
            nursery.start_soon(create)
            with trio.move_on_after(10.0):
                while host.node is None or host.node.catalog.accepted is None:
                    cluster.network.resume("n4")
                    await trio.sleep(0.0005)
            assert host.node is not None
            voted = host.node.catalog.accepted is not None
            for name in LOST:
                cluster.kill(name)
            cluster.network.resume("n1")
            nursery.cancel_scope.cancel()
        if not voted:
            pytest.fail("n2 never voted")
        await dead_to_all(cluster, *LOST)
        await recover(cluster, "n1")
        assert cluster.node("n1").catalog.state.collection("voted") is not None


async def test_a_crash_right_after_the_recovery_loses_nothing_of_it() -> None:
    async with open_cluster(nodes=5, seed=8) as cluster:
        await fill(cluster)
        await lose(cluster, *LOST)
        cluster.network.partition([["n1", "client"], ["n2"]])
        cluster.network.heal()
        await recover(cluster, "n1")
        cluster.kill("n1", power=True)
        await cluster.start("n1")
        assert number(cluster.node("n1").catalog.state.generation) == 1
        await cluster.until(cluster.agreed, within=30.0)
        async with cluster.client("n2") as db:
            await db.create_collection("after", dimension=1)
