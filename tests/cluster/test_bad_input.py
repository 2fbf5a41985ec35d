"""What is wrong is refused by whole nodes with the field named, and what is merely unusual is answered."""

from __future__ import annotations

from typing import Any

import pytest

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.testing.cluster import open_cluster

NAN = float("nan")
WRONG_FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"year": {"$eq": [2020]}}, "filter.year"),
    ({"year": {"$ne": {"x": 1}}}, "filter.year"),
    ({"year": {"$gt": None}}, "filter.year"),
    ({"year": {"$gte": True}}, "filter.year"),
    ({"year": {"$lt": [1]}}, "filter.year"),
    ({"year": {"$lte": NAN}}, "filter.year"),
    ({"year": {"$in": 2020}}, "filter.year"),
    ({"year": {"$in": [[2020]]}}, "filter.year"),
    ({"year": {"$nin": "2020"}}, "filter.year"),
    ({"year": {"$exists": "yes"}}, "filter.year"),
    ({"year": {"$contains": ["x"]}}, "filter.year"),
    ({"year": {"$near": 2020}}, "filter.year"),
    ({"year": NAN}, "filter.year"),
    ({"$and": {"year": 1}}, "filter.$and"),
    ({"$or": [1]}, "filter"),
    ({"$not": [{"year": 1}]}, "filter"),
    ({"$nor": []}, "filter.$nor"),
]
WRONG_SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"k": 0}, "k"),
    ({"k": -1}, "k"),
    ({"k": 1.5}, "k"),
    ({"k": 10_001}, "k"),
    ({"k": 9_000, "offset": 1_001}, "offset"),
    ({"offset": -1}, "offset"),
    ({"ef": 0}, "ef"),
    ({"score_threshold": NAN}, "score_threshold"),
    ({"score_threshold": "high"}, "score_threshold"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": NAN}, "timeout"),
    ({"consistency": "most"}, "consistency"),
    ({"vector": [1.0]}, "vector"),
    ({"vector": [1.0, 2.0, 3.0]}, "vector"),
    ({"vector": [1.0, NAN]}, "vector"),
    ({"vector": [1.0, float("inf")]}, "vector"),
    ({"vector": [0.0, 0.0]}, "vector"),
    ({"vector": ["a", "b"]}, "vector"),
    ({"vector": [[1.0, 2.0]]}, "vector"),
    ({"vector": []}, "vector"),
    ({"vector": None}, "vector"),
    ({"id": 1}, "vector"),  # both
    ({"vector": None, "id": -1}, "id"),
    ({"vector": None, "id": True}, "id"),
]


async def test_each_operator_with_a_wrong_type_wherever_filters_are_taken() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric="cosine", shards=2)
        await docs.upsert(ids=[1], vectors=[[1, 0]], payloads=[{"year": 2020}])
        for filter, field in WRONG_FILTERS:
            for call in (
                docs.search([1, 0], filter=filter),
                docs.search_batch([[1, 0]], filter=filter),
                docs.recommend([1], filter=filter),
                docs.count(filter=filter),
                docs.scroll(filter=filter),
                docs.delete(filter=filter),
                docs.set_payload({"x": 1}, filter=filter),
                docs.delete_payload(["x"], filter=filter),
            ):
                with pytest.raises(InvalidArgument) as caught:
                    await call
                assert caught.value.field == field
                assert not caught.value.retryable
        assert [point and point.payload for point in await docs.get([1])] == [{"year": 2020}]


async def test_wrong_arguments_of_searches() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric="cosine", shards=2)
        for change, field in WRONG_SEARCHES:
            with pytest.raises(InvalidArgument) as caught:
                await docs.search(**{"vector": [1.0, 0.0], **change})
            assert caught.value.field == field, change
            if "vector" not in change and "id" not in change:
                with pytest.raises(InvalidArgument) as caught:
                    await docs.search_batch([[1.0, 0.0]], **change)
                assert caught.value.field == field, change


async def test_what_is_unusual_and_answered() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, metric="cosine", shards=4)
        for _ in ("empty", "of one point"):
            found = await docs.search([1, 0], k=10_000)
            assert len(found) == await docs.count()
            assert not found.partial
            assert len(await docs.search([1, 0], k=1, offset=9_999)) == 0
            assert len(await docs.search([1, 0], filter={"nothing": {"$exists": True}})) == 0
            assert (await docs.search([1, 0], group_by="nothing")).groups == []
            both = await docs.search_batch([[1, 0], [0, 1]], k=3)
            assert [len(hits) for hits in both] == [await docs.count()] * 2
            assert await docs.search_batch([]) == []
            assert await docs.count(filter={"nothing": 1}) == 0
            assert (await docs.scroll(filter={"nothing": 1})).points == []
            assert (await docs.delete(filter={"nothing": 1})).count == 0
            assert (await docs.set_payload({"x": 1}, filter={"nothing": 1})).count == 0
            await docs.upsert(ids=[1], vectors=[[1, 0]], payloads=[{"year": 2020}])
