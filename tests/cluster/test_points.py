"""Points through whole nodes: what one client writes through one node, every client finds through every other."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from vectron_p2p.model.errors import InvalidArgument, NotFound
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.testing.cluster import Cluster

NODES = ("n1", "n2", "n3")


async def through_each(stack: AsyncExitStack, cluster: Cluster, name: str) -> list[AsyncCollection]:
    """A handle on collection `name` through each node."""
    return [(await stack.enter_async_context(cluster.client(node))).collection(name) for node in NODES]


def floats(vector: Any) -> list[float]:
    return [] if vector is None else [float(each) for each in vector]


async def test_what_is_written_through_one_node_is_found_through_every_other() -> None:
    async with open_cluster(seed=11) as cluster, AsyncExitStack() as stack:
        handles = await through_each(stack, cluster, "docs")
        await handles[0]._client.create_collection("docs", dimension=2, metric="l2", shards=4)
        for number, docs in enumerate(handles):
            await docs.upsert(ids=[number], vectors=[[number, 1]], payloads=[{"from": number}])
            for reader in handles:
                points = await reader.get([number], with_vector=True)
                assert points[0] is not None
                assert (points[0].payload, floats(points[0].vector)) == ({"from": number}, [number, 1])
                assert [hit.id for hit in await reader.search([number, 1], k=1)] == [number]
                assert await reader.count() == number + 1
        await handles[1].delete(ids=[0])
        for reader in handles:
            assert await reader.get([0, 1, 9]) == [None, (await reader.get([1]))[0], None]
            assert {hit.id for hit in await reader.search([0, 1], k=10)} == {1, 2}
            assert await reader.count() == 2


async def test_an_int_id_and_the_same_text_are_two_points() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric="l2", shards=2)
        await docs.upsert([(1, [1, 0], {"kind": "int"}), ("1", [0, 1], {"kind": "str"})])
        found = await docs.get([1, "1"])
        assert [point and point.payload for point in found] == [{"kind": "int"}, {"kind": "str"}]
        await docs.delete(ids=["1"])
        assert [point is None for point in await docs.get([1, "1"])] == [False, True]
        assert [hit.id for hit in await docs.search([0, 1])] == [1]


async def test_of_duplicates_in_one_call_the_last_wins_on_every_replica() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert([{"id": 7, "vector": [n], "payload": {"n": n}} for n in range(5)])
        assert await docs.count() == 1
        for level in ("one", "quorum", "all"):
            points = await docs.get([7, 7], consistency=level, with_vector=True)
            assert [point and (point.payload, floats(point.vector)) for point in points] == [({"n": 4}, [4])] * 2
        await cluster.until(cluster.replicas_equal, within=1.0)


async def test_deleting_is_idempotent_and_an_upsert_afterwards_brings_the_new_row() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2")
        assert (await docs.delete(ids=[1, 2, 2])).count == 3  # never written: nothing to delete, no error
        for n in range(3):
            await docs.upsert(ids=[1], vectors=[[n]], payloads=[{"n": n}])
            await docs.delete(ids=[1])
            assert await docs.get([1]) == [None]
            assert len(await docs.search([0])) == 0
        await docs.upsert(ids=[1], vectors=[[9]])
        assert [(hit.id, hit.score) for hit in await docs.search([0])] == [(1, 9.0)]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("l2", [(1, 0.0), (2, math.sqrt(5)), (3, math.sqrt(8))]),
        ("dot", [(1, 4.0), (2, 0.0), (3, -4.0)]),
        ("cosine", [(1, 1.0), (2, 0.0), (3, -1.0)]),
    ],
)
async def test_scores_threshold_and_offset(metric: str, expected: list[tuple[int, float]]) -> None:
    expected = sorted(expected, key=lambda pair: pair[1] if metric == "l2" else -pair[1])
    if metric == "l2":
        expected = [(1, 0.0), (2, math.sqrt(5)), (3, 4.0)]
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric=metric, shards=2)
        await docs.upsert(ids=[1, 2, 3], vectors=[[2, 0], [0, 1], [-2, 0]])
        for exact in (True, False):
            hits = [(hit.id, hit.score) for hit in await docs.search([2, 0], exact=exact)]
            assert [point for point, _ in hits] == [point for point, _ in expected]
            assert [score for _, score in hits] == pytest.approx([score for _, score in expected], abs=1e-6)
        second = expected[1]
        kept = await docs.search([2, 0], score_threshold=second[1] + (1e-3 if metric == "l2" else -1e-3))
        assert [hit.id for hit in kept] == [expected[0][0], second[0]]
        assert [hit.id for hit in await docs.search([2, 0], k=1, offset=1)] == [second[0]]
        assert [hit.id for hit in await docs.search([2, 0], k=5, offset=2)] == [expected[2][0]]
        assert len(await docs.search([2, 0], offset=3)) == 0


async def test_a_vector_comes_back_as_it_was_written() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=3, metric="cosine")
        await docs.upsert(ids=[1], vectors=[[3, 0, 4]])
        (point,) = await docs.get([1], with_vector=True)
        assert point is not None
        assert floats(point.vector) == [3, 0, 4]
        (hit,) = await docs.search([3, 0, 4], with_vector=True)
        assert floats(hit.vector) == [3, 0, 4]
        assert hit.score == pytest.approx(1.0)


async def test_filters_choose_among_all_shards_and_a_filtered_search_is_never_short() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        payloads = [{"n": n, "even": n % 2 == 0, "tags": ["a", f"t{n % 3}"]} for n in range(40)]
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], payloads=payloads)
        for level in ("one", "quorum"):
            hits = await docs.search([0], k=8, filter={"even": True, "n": {"$gte": 20}}, consistency=level)
            assert [hit.id for hit in hits] == [20, 22, 24, 26, 28, 30, 32, 34]
            none = await docs.search([0], filter={"n": {"$in": []}}, consistency=level)
            assert len(none) == 0
            assert not none.partial
        assert await docs.count(filter={"tags": "t1"}) == 13
        assert await docs.count(filter={"$not": {"n": {"$lt": 39}}}) == 1
        with pytest.raises(InvalidArgument) as caught:
            await docs.count(filter={"n": {"$near": 3}})
        assert caught.value.field


async def test_search_by_id_leaves_the_point_itself_out() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=[1, 2, "twin"], vectors=[[1], [3], [1]])
        for level in ("one", "quorum"):
            hits = await docs.search(id=1, consistency=level)
            assert [(hit.id, hit.score) for hit in hits] == [("twin", 0.0), (2, 2.0)]
            assert [hit.id for hit in await docs.search(id=1, k=1, offset=1, consistency=level)] == [2]
        await docs.delete(ids=[2])
        for unknown in (2, 99, "1"):
            with pytest.raises(NotFound) as caught:
                await docs.search(id=unknown)
            assert caught.value.field == "id"


async def test_scroll_walks_every_live_point_once() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        ids = [*range(23), *(f"s{n}" for n in range(9))]
        await docs.upsert(ids=ids, vectors=[[0]] * len(ids), payloads=[{"i": i % 4} for i in range(len(ids))])
        await docs.delete(ids=[3, "s3"])
        for size in (1, 7, 30, 100):
            seen: list[object] = []
            cursor = None
            while True:
                page = await docs.scroll(limit=size, cursor=cursor)
                assert len(page.points) <= size
                seen += [point.id for point in page.points]
                cursor = page.cursor
                if cursor is None:
                    break
            assert len(seen) == len(set(seen)) == 30
            assert set(seen) == set(ids) - {3, "s3"}
        page = await docs.scroll(filter={"i": 1}, limit=100, with_vector=True)
        assert {point.payload["i"] for point in page.points if point.payload} == {1}
        assert all(floats(point.vector) == [0] for point in page.points)


async def test_a_batch_of_searches_answers_each_query() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)])
        for level in ("one", "quorum"):
            results = await docs.search_batch([[0], [9], [4.2]], k=2, consistency=level)
            assert [[hit.id for hit in hits] for hits in results] == [[0, 1], [9, 8], [4, 5]]


async def test_k_larger_than_the_collection_returns_all() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="dot", shards=4)
        assert len(await docs.search([1], k=10_000)) == 0
        await docs.upsert(ids=range(5), vectors=[[n] for n in range(5)])
        assert len(await docs.search([1], k=10_000)) == 5


async def test_bad_input_is_refused_with_the_field() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric="cosine")
        for vector in ([1], [0, 0], [float("nan"), 1], [1, 2, 3]):
            with pytest.raises(InvalidArgument) as caught:
                await docs.upsert(ids=[1], vectors=[vector])
            assert caught.value.field
        with pytest.raises(InvalidArgument):
            await docs.search([1, 1], k=0)
        with pytest.raises(InvalidArgument):
            await docs.search([1, 1], k=9_000, offset=1_001)
        with pytest.raises(NotFound):
            await db.collection("nothing").get([1])
        assert await docs.count() == 0
