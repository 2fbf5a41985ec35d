"""Requests that are too many are refused at the door, and clients come back when they were told to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import trio

from vectron_p2p.model.errors import Overloaded
from vectron_p2p.protocol import messages as m
from vectron_p2p.testing.cluster import Cluster, open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.traffic import LimitFigures
    from vectron_p2p.testing.client import SimClient


def limits(cluster: Cluster, name: str = "n1") -> LimitFigures:
    return cluster.node(name).traffic.figures().limits


async def small(db: SimClient) -> Any:
    docs = await db.create_collection("docs", dimension=2, metric="l2", shards=1, replicas=1)
    await docs.upsert(ids=[1], vectors=[[1, 1]], payloads=[{}])
    return docs


async def search_often(docs: Any, times: int) -> None:
    for _ in range(times):
        assert (await docs.search([1, 1], k=1)).hits[0].id == 1


async def test_a_client_that_is_too_fast_is_told_when_to_come_again_and_gets_through_at_that_rate() -> None:
    async with open_cluster(nodes=1, options={"max_requests_per_second": 20.0}) as cluster, cluster.client() as db:
        docs = await small(db)
        began = trio.current_time()
        await search_often(docs, 100)
        took = trio.current_time() - began
        assert 79 / 20 <= took < 15, "one second's worth at once, the others at the rate"
        assert limits(cluster).limited > 0
        assert limits(cluster).limited_by_connection == 0
        assert limits(cluster).under_way == 0


async def test_a_client_without_time_to_wait_gets_the_typed_refusal() -> None:
    async with open_cluster(nodes=1, options={"max_requests_per_second": 1.0}) as cluster, cluster.client() as db:
        docs = await small(db)
        bucket = cluster.node("n1").traffic.limiter._node
        assert bucket is not None
        bucket.take(1.0, cluster.clock.now())
        with pytest.raises(Overloaded, match="1 requests a second") as caught:
            await docs.search([1, 1], k=1, timeout=0.2)
        assert 1.0 < caught.value.retry_after <= 2.0, "it is one request in debt"
        assert caught.value.retryable


async def test_one_greedy_connection_does_not_take_what_all_are_to_share() -> None:
    options = {"max_requests_per_second_per_connection": 10.0}
    async with open_cluster(nodes=1, options=options) as cluster, cluster.client() as db:
        await small(db)
        async with cluster.client() as greedy, cluster.client() as modest, trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(search_often, greedy.collection("docs"), 10)
            await trio.sleep(2.0)
            limited = limits(cluster).limited_by_connection
            assert limited > 0
            began = trio.current_time()
            await search_often(modest.collection("docs"), 5)
            assert trio.current_time() - began < 0.2
        assert limits(cluster).limited == 0


async def test_batches_count_by_their_queries_and_may_be_larger_than_a_second_of_the_rate() -> None:
    async with open_cluster(nodes=1, options={"max_requests_per_second": 50.0}) as cluster, cluster.client() as db:
        docs = await small(db)
        await trio.sleep(2.0)
        batch = [[1, 1]] * 150
        await docs.search_batch(batch, k=1)
        began = trio.current_time()
        await docs.search_batch(batch, k=1)
        assert 2.5 < trio.current_time() - began < 6, "the first batch left a debt of two seconds"


async def test_requests_at_once_are_bounded_and_whoever_looks_or_administers_is_let_in() -> None:
    async with open_cluster(nodes=1, options={"max_concurrent_requests": 3}) as cluster, cluster.client() as db:
        docs = await small(db)
        node = cluster.node("n1")
        with (
            node.traffic.limiter.admitted(m.Count("docs", None), node.address),
            node.traffic.limiter.admitted(m.Count("docs", None), node.address),
            node.traffic.limiter.admitted(m.Count("docs", None), node.address),
        ):
            assert limits(cluster).under_way == 3
            with pytest.raises(Overloaded, match="3 requests are under way"):
                await docs.search([1, 1], k=1, timeout=0.3)
            assert (await db.status()).nodes[0].name == "n1"
            await db.create_collection("more", dimension=2)
        assert limits(cluster).refused > 0
        await search_often(docs, 1)


async def test_all_requests_on_points_are_counted_and_no_others() -> None:
    async with open_cluster(nodes=1) as cluster:
        counted = {
            kind.__name__
            for kind in cluster.node("n1")._dispatch._clients._handlers
            if "collection" in {field.name for field in dataclasses.fields(kind)}
        }
        assert counted >= {
            "Upsert",
            "Delete",
            "UpsertIf",
            "DeleteIf",
            "ChangePayload",
            "Get",
            "Search",
            "Count",
            "Scroll",
        }
        assert not counted & {"GetStatus", "GetCluster", "CreateCollection", "DrainNode", "Repair"}
