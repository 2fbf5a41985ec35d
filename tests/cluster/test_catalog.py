"""Collections and members as the nodes agree on them, through faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

from tests.cluster.looking import collection, dead_to_all, points, rested
from vectron_p2p.catalog import commands
from vectron_p2p.client.session import RetryPolicy
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import AlreadyExists, NotFound, Unavailable, VectronError
from vectron_p2p.model.ids import Address, CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.testing.cluster import Cluster, open_cluster


async def test_of_two_creations_of_one_name_exactly_one_wins() -> None:
    for seed in range(4):
        async with open_cluster(seed=seed) as cluster:
            cluster.network.set_delay(0.001, 0.03)
            outcomes: list[str] = []

            async def create(cluster: Cluster, node: str, outcomes: list[str]) -> None:
                async with cluster.client(node) as db:
                    try:
                        await db.create_collection("docs", dimension=int(node[1]), metric="l2")
                    except AlreadyExists as error:
                        outcomes.append(f"exists: {error.field}")
                    else:
                        outcomes.append(f"won {node[1]}")

            async with trio.open_nursery() as nursery:
                for node in ("n1", "n2", "n3"):
                    nursery.start_soon(create, cluster, node, outcomes)
            won = [outcome for outcome in outcomes if outcome.startswith("won")]
            assert len(won) == 1
            assert outcomes.count("exists: name") == 2
            await cluster.until(cluster.agreed, within=10.0)
            assert collection(cluster).options.dimension == int(won[0][-1])


async def test_a_retry_of_ones_own_creation_through_another_node_is_no_already_exists() -> None:
    async with open_cluster(seed=5) as cluster:
        command = commands.CreateCollection(
            OperationId("the-same"),
            CollectionId("11111111-1111-4111-8111-111111111111"),
            "docs",
            CollectionOptions(2, "l2", 1, 3, 16, 100),
            False,
        )
        first = await cluster.node("n1").catalog.propose(command, timeout=5.0)
        other = commands.CreateCollection(
            command.operation_id,
            CollectionId("22222222-2222-4222-8222-222222222222"),
            "docs",
            command.options,
            False,
        )
        again = await cluster.node("n3").catalog.propose(other, timeout=5.0)
        assert first == again
        assert len(cluster.node("n3").catalog.state.collections) == 1
        with pytest.raises(AlreadyExists):
            await cluster.node("n3").catalog.propose(
                commands.CreateCollection(OperationId("new"), other.collection_id, "docs", other.options, False),
                timeout=5.0,
            )


async def test_a_creation_whose_coordinator_dies_succeeds_once_through_the_clients_retry() -> None:
    for after in (0.0, 0.002, 0.004, 0.008, 0.012, 0.02, 0.03):
        async with open_cluster(seed=6) as cluster, trio.open_nursery() as nursery:
            cluster.network.set_delay(0.001, 0.003)
            async with cluster.client("n1", "n2", nursery=nursery) as db:
                db.session._preferred = cluster.hosts["n1"].address

                async def kill(cluster: Cluster = cluster, after: float = after) -> None:
                    await trio.sleep(after)
                    cluster.kill("n1")

                nursery.start_soon(kill)
                db.session.timeout = 60.0
                docs = await db.create_collection("docs", dimension=1, metric="l2")  # AlreadyExists would be a defect
                await docs.upsert(ids=[1], vectors=[[1]])
                assert len(cluster.node("n2").catalog.state.collections) == 1
            nursery.cancel_scope.cancel()


async def test_if_not_exists_returns_what_is_there() -> None:
    async with open_cluster(seed=7) as cluster, cluster.client("n1") as one, cluster.client("n2") as two:
        first = await one.create_collection("docs", dimension=2, metric="l2", if_not_exists=True)
        await first.upsert(ids=[1], vectors=[[1, 2]])
        again = await two.create_collection("docs", dimension=2, metric="l2", if_not_exists=True)
        assert await again.count() == 1
        assert len(await two.list_collections()) == 1


async def test_what_is_dropped_while_a_node_is_down_is_destroyed_there_and_never_shows_again() -> None:
    async with open_cluster(seed=8) as cluster, cluster.client("n1", "n2") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        gone = await db.create_collection("gone", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")
        await gone.upsert(ids=[1], vectors=[[1]], consistency="all")
        cluster.kill("n3")
        await db.delete_collection("docs")
        await db.delete_collection("gone")
        await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=[100], vectors=[[100]])
        cluster.network.set_delay(0.02, 0.06)  # so that it takes a while to learn what it missed
        node = await cluster.start("n3", wait=False)
        async with cluster.client("n3") as returned:  # while it is starting, too
            returned.session.retry = RetryPolicy(base_s=0.002, refusals=0)
            seen: list[set[object]] = []
            refused: list[VectronError] = []
            while not node.serving or len(seen) < 20:
                try:
                    seen.append({hit.id for hit in await returned.collection("docs").search([0], k=100)})
                except VectronError as error:
                    refused.append(error)
                await trio.sleep(0.001)
            assert all(ids <= {100} for ids in seen), seen
            assert all(error.retryable for error in refused), refused
            with pytest.raises(NotFound):
                await returned.collection("gone").get([1])
        await rested(cluster)
        kept = {f"shard-{collection(cluster).id}-{index}" for index in range(2)}
        await cluster.until(
            lambda: all(set(host.disk.names("shard-")) == kept for host in cluster.up),
            within=5.0,
            what="data destroyed",
        )


async def test_a_drop_that_falls_together_with_a_crash_leaves_nothing_on_the_disk() -> None:
    async with open_cluster(seed=9) as cluster, cluster.client("n1", "n2") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(5), vectors=[[n] for n in range(5)], consistency="all")
        host = cluster.hosts["n3"]
        epoch = cluster.node("n3").catalog.state.epoch
        await db.delete_collection("docs")
        await cluster.until(lambda: cluster.node("n3").catalog.state.epoch > epoch, within=5.0)
        cluster.kill("n3")  # it knows, and has not destroyed it yet
        await cluster.start("n3")
        assert host.disk.names("shard-") == []


async def test_without_a_voter_majority_the_catalog_stands_still_and_data_at_one_goes_on() -> None:
    async with open_cluster(seed=10) as cluster, cluster.client("n1", timeout=6.0) as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        cluster.kill("n2")
        cluster.kill("n3")
        for change in (
            lambda: db.create_collection("more", dimension=1),
            lambda: db.delete_collection("docs"),
        ):
            with pytest.raises(Unavailable) as caught:
                await change()
            assert caught.value.retryable
            assert "majority" in caught.value.message
        await dead_to_all(cluster, "n2", "n3")
        await docs.upsert(ids=[2], vectors=[[2]], consistency="one")
        await docs.delete(ids=[1], consistency="one")
        assert [point is not None for point in await docs.get([1, 2], consistency="one")] == [False, True]
        hits = await docs.search([2])
        assert ([hit.id for hit in hits], hits.partial) == ([2], False)
        assert await docs.count() == 1
        assert any("voters are alive" in warning for warning in (await db.status()).warnings)
        await cluster.start("n2")
        await cluster.start("n3")
        await rested(cluster)
        async with cluster.client() as fresh:
            names = {info.name for info in await fresh.list_collections()}
            assert names <= {"docs", "more"}  # what was given up on may still have been made
            await fresh.create_collection("after", dimension=1)


async def test_too_few_owners_are_reported_and_a_collection_made_after_joins_uses_all_nodes() -> None:
    async with open_cluster(nodes=1, seed=11) as cluster, cluster.client("n1") as db:
        old = await db.create_collection("old", dimension=1, metric="l2", shards=2, replicas=3)
        await old.upsert(ids=[1], vectors=[[1]], consistency="all")
        info = await old.info()
        assert (info.replicas, info.under_replicated) == (3, 2)
        status = await db.status()
        assert status.under_replicated == 2
        assert any("fewer owners" in warning for warning in status.warnings)
        for name in ("n2", "n3"):
            cluster.add_host(name)
            await cluster.start(name)
        await cluster.until(cluster.agreed, within=30.0)
        new = await db.create_collection("new", dimension=1, metric="l2", shards=4, replicas=3)
        await new.upsert(ids=range(8), vectors=[[n] for n in range(8)], consistency="all")
        assert (await new.info()).under_replicated == 0
        assert {len(owners) for owners in collection(cluster, "new").placement} == {3}
        assert points(cluster, "n3") == 8
        assert (await old.info()).under_replicated == 2
        cluster_info = await db.cluster()
        assert {node.state for node in cluster_info.nodes} == {"active"}
        assert len(cluster_info.shards) == 6


async def test_the_catalog_is_the_same_bytes_on_every_node() -> None:
    async with open_cluster(nodes=5, seed=12, zones=["a", "b", "c"]) as cluster, cluster.client() as db:
        for name in ("b", "a", "c"):
            await db.create_collection(name, dimension=2, shards=4)
        await db.delete_collection("a")
        await cluster.until(cluster.agreed, within=10.0)
        states = {cluster.node(name).catalog.state.to_bytes() for name in cluster.hosts}
        assert len(states) == 1
        for owners in collection(cluster, "c").placement:  # three zones, three replicas
            zones = {cluster.node("n1").catalog.state.members[owner].zone for owner in owners}
            assert zones == {"a", "b", "c"}


SAME = """
from vectron_p2p.testing.cluster import open_cluster
from vectron_p2p.testing.determinism import run_deterministic
import hashlib, trio
async def main():
    trace = hashlib.blake2b()
    async with open_cluster(nodes=3, seed=3, zones=["x", "y"]) as cluster, cluster.client("n1", "n3") as db:
        cluster.network.trace = lambda *happened: trace.update(repr(happened).encode())
        docs = await db.create_collection("docs", dimension=2, shards=4, metric="l2")
        cluster.network.set_loss(0.1)
        await docs.upsert(ids=[*range(20), "a", "b"], vectors=[[n, 1] for n in range(22)])
        cluster.kill("n2")
        await docs.delete(ids=["a", 3, 4])
        await cluster.start("n2")
        await trio.sleep(10)
        state = cluster.node("n1").catalog.state
        print(hashlib.blake2b(state.to_bytes()).hexdigest(), state.epoch, trace.hexdigest(), trio.current_time())
run_deterministic(1, main)
"""


def test_the_same_seed_gives_the_same_bytes_and_trace_whatever_the_hash_seed() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SAME],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    said = [process.communicate()[0] for process in running]
    assert said[0]
    assert said[0] == said[1]


async def test_a_crash_between_joining_and_becoming_active_is_made_good_by_the_next_start() -> None:
    async with open_cluster(seed=13) as cluster:
        cluster.add_host("n4")
        node = await cluster.start("n4", wait=False)
        cluster.hosts["n4"].executor.slow = 100.0  # type: ignore[union-attr]
        await cluster.until(
            lambda: any(member.name == "n4" for member in cluster.node("n1").catalog.state.members.values()),
            within=10.0,
        )
        me = node.identity.node
        cluster.kill("n4", power=True)
        await trio.sleep(1.0)
        member = cluster.node("n1").catalog.state.members[me]
        assert member.state is NodeState.JOINING
        async with cluster.client("n1") as db:  # a joining node owns nothing
            await db.create_collection("docs", dimension=1, shards=4)
        assert all(me not in owners for owners in collection(cluster).placement)
        again = await cluster.start("n4")
        assert again.identity.node == me
        await cluster.until(cluster.agreed, within=30.0)
        assert cluster.node("n1").catalog.state.members[me].state is NodeState.ACTIVE
        assert me in cluster.node("n1").catalog.state.voters


async def test_a_removed_member_is_told_so() -> None:
    """Refusals of the catalog reach whoever proposed."""
    async with open_cluster(seed=14) as cluster:
        with pytest.raises(AlreadyExists):
            await cluster.node("n2").catalog.propose(
                commands.AddMember(NodeId("someone"), "n1", Address("n9", 7700), ""), timeout=5.0
            )
        with pytest.raises(NotFound):
            await cluster.node("n2").catalog.propose(commands.ActivateMember(NodeId("someone")), timeout=5.0)


async def test_a_node_that_reaches_nobody_does_not_say_that_there_is_no_such_collection() -> None:
    async with open_cluster(seed=12) as cluster:
        cluster.network.partition([["n3", "client"], ["n1", "n2"]])
        await cluster.node("n1").catalog.propose(
            commands.CreateCollection(
                OperationId("made-elsewhere"),
                CollectionId("33333333-3333-4333-8333-333333333333"),
                "docs",
                CollectionOptions(2, "l2", 1, 3, 16, 100),
                False,
            ),
            timeout=5.0,
        )
        async with cluster.client("n3", timeout=3.0) as db:
            with pytest.raises(VectronError) as caught:
                await db.collection("docs").get([1])
            assert not isinstance(caught.value, NotFound)
            assert caught.value.retryable
            cluster.network.heal()
            assert await db.collection("docs").get([1]) == [None]
            # One look each, however soon after one another: each asks anew.
            for name in ("none", "neither", "nor this"):
                began = trio.current_time()
                with pytest.raises(NotFound):
                    await db.collection(name.replace(" ", "-")).get([1])
                assert trio.current_time() - began < 1.0
