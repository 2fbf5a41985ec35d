"""Searches by group, and from examples, over all shards and owners: against what plain Python says."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from vectron_p2p.model.errors import InvalidArgument, NotFound
from vectron_p2p.node.coordinator import groups
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.points import SearchResult
    from vectron_p2p.testing.client import SimClient

SIZE = 240


def payload_of(n: int, random_: random.Random) -> dict[str, Any]:
    """Most points in few groups, the nearest ones all in one, some in several, some in none."""
    doc: Any = "near" if n < 90 else random_.choice(["a", "b", 7, 7.0, True, 2.5, f"rare{n % 5}"])
    if n % 11 == 0:
        doc = [doc, "shared", None, {"x": 1}]
    payload: dict[str, Any] = {"doc": doc, "even": n % 2 == 0, "in": {"doc": n % 3}}
    if n % 13 == 0:
        payload["doc"] = random_.choice([None, {"x": 1}, [], float("nan")])
    if n % 17 == 0:
        del payload["doc"]
    return payload


async def filled(db: SimClient, **options: Any) -> tuple[AsyncCollection, list[dict[str, Any]]]:
    docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, **options)
    payloads = [payload_of(n, random.Random(n)) for n in range(SIZE)]
    await docs.upsert(ids=range(SIZE), vectors=[[n] for n in range(SIZE)], payloads=payloads, consistency="all")
    return docs, payloads


def truth(payloads: list[dict[str, Any]], field: str, k: int, size: int, wanted: Any = None) -> list[Any]:
    """The k best groups by distance from 0, with ids."""
    found: dict[Any, list[int]] = {}
    for n, payload in enumerate(payloads):
        if wanted is not None and not wanted(payload):
            continue
        held: Any = payload
        for name in field.split("."):
            held = held.get(name) if isinstance(held, dict) else None
        for value in held if isinstance(held, list) else [held]:
            if isinstance(value, str | int | float) and value == value:
                key = (isinstance(value, bool), value)
                if n not in found.setdefault(key, []):
                    found[key].append(n)
    return [(key, ids[:size]) for key, ids in itertools.islice(found.items(), k)]


def seen(result: SearchResult) -> list[Any]:
    assert result.groups is not None
    assert not result.partial
    assert [hit.id for hit in result] == [hit.id for group in result.groups for hit in group.hits]
    return [((isinstance(g.value, bool), g.value), [hit.id for hit in g.hits]) for g in result.groups]


@pytest.mark.parametrize("most", [256, 3])  # with the second every way of asking again is taken
async def test_the_best_hits_of_the_best_groups(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(groups, "MOST", most)
    async with open_cluster(seed=3) as cluster, cluster.client() as db:
        docs, payloads = await filled(db)
        asked: list[tuple[Literal["one", "quorum", "all"], bool]] = [("one", False), ("quorum", True), ("all", False)]
        for level, exact in asked:
            for k, size in ((1, 1), (3, 2), (6, 5), (50, 3), (9, 100)):
                found = await docs.search([0], k=k, group_by="doc", group_size=size, consistency=level, exact=exact)
                assert seen(found) == truth(payloads, "doc", k, size)
        even = await docs.search([0], k=5, group_by="doc", group_size=2, filter={"even": True})
        assert seen(even) == truth(payloads, "doc", 5, 2, lambda payload: payload["even"])
        assert seen(await docs.search([0], k=9, group_by="in.doc")) == truth(payloads, "in.doc", 9, 1)
        none = await docs.search([0], group_by="nothing")
        assert (none.groups, len(none)) == ([], 0)


async def test_groups_of_a_batch_by_id_and_with_a_threshold() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client() as db:
        docs, payloads = await filled(db)
        batch = await docs.search_batch([[0], [239]], k=3, group_by="doc", with_payload=False, with_vector=True)
        assert seen(batch[0]) == truth(payloads, "doc", 3, 1)
        assert batch[1][0].id == max(n for n, p in enumerate(payloads) if truth([p], "doc", 1, 1))
        assert all(hit.payload is None and hit.vector is not None for result in batch for hit in result)
        like = await docs.search(id=1, k=1, group_by="doc", group_size=2)
        assert seen(like) == [((False, "near"), [2, 3])]  # 0 is in no group
        close = await docs.search([100], k=50, group_by="doc", group_size=10, score_threshold=2.0)
        assert {hit.id for hit in close} <= {98, 99, 100, 101, 102}


async def test_a_group_search_names_shards_without_an_owner() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client("n1") as db:
        docs, payloads = await filled(db, replicas=1)
        cluster.kill("n3")
        found = await docs.search([0], k=20, group_by="doc", group_size=50, timeout=5)
        assert found.partial
        assert found.missing_shards
        whole = dict(truth(payloads, "doc", 20, 50))
        assert found.groups
        for group in found.groups:
            assert {hit.id for hit in group.hits} <= set(whole[isinstance(group.value, bool), group.value])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"group_by": 3}, "group_by"),
        ({"group_by": ["doc"]}, "group_by"),
        ({"group_by": ""}, "group_by"),
        ({"group_by": "$doc"}, "group_by"),
        ({"group_by": ".".join("x" * 20)}, "group_by"),
        ({"group_size": 3}, "group_size"),
        ({"group_by": "doc", "group_size": 0}, "group_size"),
        ({"group_by": "doc", "group_size": "many"}, "group_size"),
        ({"group_by": "doc", "group_size": 101}, "group_size"),
        ({"group_by": "doc", "offset": 1}, "offset"),
        ({"filter": {"doc": {"$outside": [1]}}}, "filter.doc"),
    ],
)
async def test_bad_arguments_of_groups(arguments: dict[str, Any], field: str) -> None:
    async with open_cluster(nodes=1, seed=3) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2")
        with pytest.raises(InvalidArgument) as caught:
            await docs.search([0], **arguments)
        assert caught.value.field == field


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
async def test_recommend_goes_from_the_negative_to_beyond_the_positive_examples(metric: str) -> None:
    async with open_cluster(seed=3) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=3, metric=metric, shards=4)
        vectors = np.random.default_rng(5).normal(size=(60, 3)).astype(np.float32)
        await docs.upsert(ids=range(60), vectors=vectors, payloads=[{"n": n % 4} for n in range(60)])
        used = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if metric == "cosine" else vectors
        for positive, negative in (([3], []), ([3, 5, 3], [7]), ([1, 2, 4], [8, 9])):
            query = used[positive].mean(axis=0)
            if negative:
                query = query + (query - used[negative].mean(axis=0))
            plain = [hit.id for hit in await docs.search(query, k=60) if hit.id not in {*positive, *negative}]
            found = await docs.recommend(positive, negative, k=10, consistency="quorum")
            assert [hit.id for hit in found] == plain[:10]
            assert [hit.id for hit in await docs.recommend(positive, negative, k=4, offset=3)] == plain[3:7]
            grouped = await docs.recommend(positive, negative, k=4, group_by="n", filter={"n": {"$ne": 2}})
            assert grouped.groups
            assert {group.value for group in grouped.groups} == {0, 1, 3}
            assert not {*positive, *negative} & {hit.id for hit in grouped}


async def test_what_recommend_refuses() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="cosine", shards=2)
        await docs.upsert(ids=[1, 2, 3], vectors=[[1], [2], [-1]])
        absent: list[tuple[Any, Any, str, list[Any]]] = [
            ([1, 8, "nine"], [], "positive", [8, "nine"]),
            ([1], [2, "nine"], "negative", ["nine"]),
        ]
        for positive, negative, field, failed in absent:
            with pytest.raises(NotFound) as missing:
                await docs.recommend(positive, negative)
            assert missing.value.field == field
            assert missing.value.failed == failed
            assert all(repr(point) in missing.value.message for point in failed)
        wrong: list[tuple[Any, Any, str]] = [
            ([], [1], "positive"),
            ("1", [], "positive"),
            ([True], [], "positive"),
            ([1], [2.5], "negative"),
            ([1, 3], [], "positive"),  # they cancel out
            (list(range(300)), [], "positive"),
        ]
        for positive, negative, field in wrong:
            with pytest.raises(InvalidArgument) as caught:
                await docs.recommend(positive, negative)
            assert caught.value.field == field
