"""Slow, stopped and cut-off owners: hedges within their budget, breakers, and no quorum that fails for them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import collection, rested, rows
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, NotFound, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.protocol import messages as m
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.traffic.hedge_budget import BURST, SHARE

if TYPE_CHECKING:
    from vectron_p2p.model.traffic import HedgeFigures, PeerFigures
    from vectron_p2p.testing.client import SimClient

SLOW_S = 0.35  # one way: below the time that a probe of membership has


def by_role(cluster: Cluster) -> tuple[str, list[str]]:
    """The node that does not own the one shard of "docs", and those that do, in the order in which they are asked."""
    names = {cluster.node(name).identity.node: name for name in cluster.hosts}
    owners = cluster.node("n1").catalog.state.owners(ShardId(collection(cluster).id, 0))
    (other,) = [name for node, name in names.items() if node not in owners]
    return other, [names[node] for node in sorted(owners)]


def hedges(cluster: Cluster, name: str) -> HedgeFigures:
    return cluster.node(name).traffic.figures().hedges


def seen_by(cluster: Cluster, name: str, other: str) -> PeerFigures:
    """What `name` knows of `other` from its calls."""
    node = cluster.node(other).identity.node
    return next(each for each in cluster.node(name).traffic.figures().peers if each.node == node)


async def filled(db: SimClient, *, replicas: int) -> None:
    docs = await db.create_collection("docs", dimension=2, metric="l2", shards=1, replicas=replicas)
    await docs.upsert(ids=range(20), vectors=[[n, 1] for n in range(20)], payloads=[{"n": n} for n in range(20)])


async def timed(db: SimClient, number: int, took: list[float]) -> None:
    began = trio.current_time()
    result = await db.collection("docs").search([number % 20, 1], k=1)
    assert result.hits[0].id == number % 20
    assert not result.partial
    took.append(trio.current_time() - began)


# --- hedges -----------------------------------------------------------------------------------------------------------


async def test_searches_hardly_feel_one_slow_owner() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as setup:
        cluster.network.set_delay(0.0005, 0.002)
        await filled(setup, replicas=2)
        other, owners = by_role(cluster)
        async with cluster.client(other) as db:
            took: list[float] = []
            for number in range(40):
                await timed(db, number, took)
            before = hedges(cluster, other)
            assert before.sent == 0, "nobody was late"
            assert before.requests >= 40
            cluster.network.slow([(owners[0], other)], SLOW_S)
            took.clear()
            for number in range(400):
                await timed(db, number, took)
            after = hedges(cluster, other)
        took.sort()
        assert took[int(0.99 * len(took))] < 0.1, "an owner that is late is asked again only after a while"
        assert took[-1] < SLOW_S, "and then another answers first"
        assert 1 <= after.won <= after.sent <= BURST + SHARE * after.requests
        assert seen_by(cluster, other, owners[0]).late >= 1
        assert seen_by(cluster, other, owners[0]).breaker == "closed", "slow is not gone"


async def test_when_all_owners_are_slow_the_budget_bounds_the_hedges_and_all_searches_are_answered() -> None:
    async with open_cluster(seed=12) as cluster, cluster.client() as setup:
        cluster.network.set_delay(0.0005, 0.002)
        await filled(setup, replicas=2)
        other, owners = by_role(cluster)
        async with cluster.client(other) as db:
            took: list[float] = []
            for number in range(40):
                await timed(db, number, took)
            cluster.network.slow([(owner, other) for owner in owners], SLOW_S)
            before = hedges(cluster, other)
            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(timed, db, number, took)
            after = hedges(cluster, other)
            assert len(took) == 240
            assert after.requests - before.requests == 200
            assert after.sent <= BURST + SHARE * after.requests
            assert after.denied > 100
            # Round trips are known to be longer by now, so nobody is late any more.
            for number in range(40):
                await timed(db, number, took)
            settled = hedges(cluster, other)
            for number in range(20):
                await timed(db, number, took)
            assert hedges(cluster, other).sent - settled.sent <= 2


async def test_many_searches_leave_an_owner_that_stops_however_small_the_budget() -> None:
    async with open_cluster(seed=13) as cluster, cluster.client() as setup:
        cluster.network.set_delay(0.0005, 0.002)
        await filled(setup, replicas=2)
        other, owners = by_role(cluster)
        async with cluster.client(other) as db:
            took: list[float] = []
            for number in range(40):
                await timed(db, number, took)
            while cluster.node(other).traffic.hedging._budget.take():
                pass  # others have spent it
            cluster.freeze(owners[0])
            took.clear()
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(timed, db, number, took)
            assert max(took) < 1.0, "what the budget denies, a ping without an answer allows"
            assert hedges(cluster, other).denied > 0
            assert hedges(cluster, other).sent <= BURST + SHARE * hedges(cluster, other).requests


async def test_a_read_of_a_slow_owner_is_hedged_too() -> None:
    async with open_cluster(seed=14) as cluster, cluster.client() as setup:
        cluster.network.set_delay(0.0005, 0.002)
        await filled(setup, replicas=2)
        other, owners = by_role(cluster)
        async with cluster.client(other) as db:
            docs = db.collection("docs")
            for number in range(20):
                assert await docs.get([number], consistency="one") != [None]
            cluster.network.slow([(owners[0], other)], SLOW_S)
            began = trio.current_time()
            for number in range(20):
                assert await docs.get([number], consistency="one") != [None]
            assert trio.current_time() - began < SLOW_S
            assert hedges(cluster, other).won >= 1


# --- breakers ---------------------------------------------------------------------------------------------------------


async def test_the_breaker_of_a_stopped_peer_opens_the_others_go_on_and_it_closes_when_it_is_back() -> None:
    async with open_cluster(seed=15) as cluster, cluster.client("n1") as db:
        cluster.network.set_delay(0.0005, 0.002)
        await filled(db, replicas=3)
        docs = db.collection("docs")
        cluster.freeze("n3")
        slowest, number = 0.0, 100
        while seen_by(cluster, "n1", "n3").breaker == "closed":
            assert number < 1000, "the breaker never opened"
            began = trio.current_time()
            await docs.upsert(ids=[number], vectors=[[number, 1]], payloads=[{"n": number}])
            assert (await docs.get([number]))[0] is not None
            slowest = max(slowest, trio.current_time() - began)
            number += 1
            await trio.sleep(0.02)
        assert slowest < 1.0
        assert seen_by(cluster, "n1", "n3").opens == 1
        await trio.sleep(1.0)
        cluster.thaw("n3")
        for _ in range(400):
            await docs.upsert(ids=[0], vectors=[[0, 1]], payloads=[{"n": 0}])
            if seen_by(cluster, "n1", "n3").breaker == "closed":
                break
            await trio.sleep(0.05)
        assert seen_by(cluster, "n1", "n3").breaker == "closed"
        await rested(cluster)
        assert all(rows(cluster, "n3", range(100, number)))


async def test_a_write_spares_the_owner_behind_an_open_breaker_which_gets_a_hint() -> None:
    async with open_cluster(seed=16) as cluster, cluster.client("n1") as db:
        await filled(db, replicas=3)
        docs, node, n3 = db.collection("docs"), cluster.node("n1"), cluster.node("n3").identity.node
        await rested(cluster)  # nothing is under way to n3 that it might yet answer
        await trio.sleep(0.2)
        keep_open(cluster, "n1", "n3")
        await docs.upsert(ids=[50], vectors=[[5, 5]], payloads=[{}])
        assert rows(cluster, "n3", [50]) == [None]
        assert node.hints.book.targets == [n3]
        assert rows(cluster, "n1", [50]) == rows(cluster, "n2", [50]) != [None]
        await rested(cluster)
        assert rows(cluster, "n3", [50]) != [None]
        assert seen_by(cluster, "n1", "n3").breaker == "closed"


@pytest.mark.parametrize("dead", [True, False])
async def test_a_quorum_that_needs_the_owner_behind_an_open_breaker_is_reached(dead: bool) -> None:
    async with open_cluster(seed=17) as cluster, cluster.client("n1") as db:
        await filled(db, replicas=3)
        docs = db.collection("docs")
        if dead:
            cluster.kill("n3", power=True)
            gone = next(x.node for x in cluster.node("n1").catalog.state.members.values() if x.name == "n3")
            await cluster.until(lambda: not cluster.node("n1")._peers.alive(gone), within=60.0, what="n3 is dead")
        else:
            cluster.network.partition([["n3"]])  # just now: nobody knows yet
        keep_open(cluster, "n1", "n2")
        began = trio.current_time()
        await docs.upsert(ids=[60], vectors=[[6, 6]], payloads=[{"n": 60}])
        assert trio.current_time() - began < 1.0
        keep_open(cluster, "n1", "n2")
        assert (await docs.get([60]))[0] is not None
        keep_open(cluster, "n1", "n2")
        assert (await docs.search([6, 6], k=1, consistency="quorum")).hits[0].id == 60
        keep_open(cluster, "n1", "n2")
        await docs.upsert(ids=[61], vectors=[[6, 7]], payloads=[{}], mode="insert")
        assert rows(cluster, "n1", [60, 61]) == rows(cluster, "n2", [60, 61])
        assert None not in rows(cluster, "n2", [60, 61])


def keep_open(cluster: Cluster, name: str, other: str) -> None:
    """`name` heard nothing from `other` just now, which is there all the same."""
    cluster.node(name)._peers.broken(cluster.node(other).identity.node, True)
    assert seen_by(cluster, name, other).breaker == "open"


# --- whose trouble it is ----------------------------------------------------------------------------------------------


async def test_what_a_peer_answers_is_no_failure_of_the_peer() -> None:
    async with open_cluster(seed=18, nodes=2) as cluster, cluster.client("n1") as db:
        await filled(db, replicas=2)
        peers, n2 = cluster.node("n1")._peers, cluster.node("n2").identity.node
        before = seen_by(cluster, "n1", "n2").failures
        wrong = [
            (m.CountShards("no-such-collection", [0], 0, None), ()),
            (m.FetchRows(collection(cluster).id, 99, 0, [1], False, False), (VectronError,)),
            (m.GetStatus(), (VectronError, NotFound, InvalidArgument)),
        ]
        for message, errors in wrong * 3:
            with contextlib.suppress(*errors):
                await peers.call(n2, message, timeout=5.0)
        with pytest.raises(DeadlineExceeded):  # too little time is the caller's own trouble
            await peers.call(n2, m.GetNodeStatus(replicas=True), timeout=0.0)
        assert seen_by(cluster, "n1", "n2").failures == before
        assert seen_by(cluster, "n1", "n2").breaker == "closed"


async def test_calls_that_nobody_needs_fail_at_once_while_the_breaker_is_open_and_others_are_made() -> None:
    async with open_cluster(seed=19, nodes=2) as cluster:
        peers, n2 = cluster.node("n1")._peers, cluster.node("n2").identity.node
        ask = m.GetNodeStatus(replicas=False)
        await peers.call(n2, ask, timeout=5.0)
        keep_open(cluster, "n1", "n2")
        with pytest.raises(VectronError, match="failed its last calls") as caught:
            await peers.call(n2, ask, timeout=5.0, optional=True)
        assert caught.value.code == "unavailable"
        assert caught.value.retryable
        assert seen_by(cluster, "n1", "n2").refused == 1
        assert not peers.ready(n2)
        await peers.call(n2, ask, timeout=5.0)
        assert seen_by(cluster, "n1", "n2").breaker == "closed"
        assert peers.ready(n2)


async def test_clients_see_breakers_round_trips_and_hedges_of_all_nodes() -> None:
    async with open_cluster(seed=20) as cluster, cluster.client("n1") as db:
        await filled(db, replicas=3)
        await db.collection("docs").get([1, 2, 3])
        n3 = cluster.node("n3").identity.node
        cluster.freeze("n3")
        for number in range(200):
            await db.collection("docs").upsert(ids=[number], vectors=[[number, 1]], payloads=[{}])
            if seen_by(cluster, "n1", "n3").breaker == "open":
                break
            await trio.sleep(0.05)
        found = await db.statistics(replicas=False)
        of_n1 = next(node for node in found.nodes if node.name == "n1").traffic
        (peer,) = [peer for peer in of_n1.peers if peer.node == n3]
        assert (peer.breaker, peer.opens) == ("open", 1)
        assert peer.failures >= 1
        assert set(peer.round_trips) >= {"write"}
        assert peer.round_trips["write"].samples > 0
        assert of_n1.hedges.requests > 0
        assert of_n1.limits.concurrent_requests == 2048
