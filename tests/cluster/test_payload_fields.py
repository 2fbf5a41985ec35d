"""The payload fields of a collection: each shard counts once, whoever is asked, whoever is down."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from vectron_p2p.client.async_client import AsyncClient
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.errors import NotFound
from vectron_p2p.model.payload_fields import PayloadFields
from vectron_p2p.node import payload_fields
from vectron_p2p.testing.cluster import open_cluster

ROWS: list[dict[str, Any]] = [
    {"colour": ["red", "green", "blue"][n % 3], "n": n % 50, **({"sale": n % 2 == 0} if n % 4 == 0 else {})}
    for n in range(120)
]
WHOLE = {
    "colour": (["keyword"], 118, 3, True),
    "n": (["int"], 118),
    "sale": (["bool"], 30, 1, True),
}
DETECTION = 60.0  # simulated seconds, far more than it takes to find a node dead


async def fill(db: AsyncClient, **options: Any) -> None:
    docs = await db.create_collection("docs", dimension=1, metric="l2", **options)
    await docs.upsert(ids=range(120), vectors=[[n] for n in range(120)], payloads=ROWS, consistency="all")
    await docs.delete(ids=[118, 119], consistency="all")


def told(found: PayloadFields) -> dict[str, Any]:
    """Of numbers how many are different is told of few alone."""
    return {
        each.name: (each.kinds, each.points, *((each.distinct, True) if each.distinct_exact else ()))
        for each in found.fields
    }


async def test_every_node_says_the_same_of_all_shards() -> None:
    async with open_cluster(nodes=4, seed=6) as cluster:
        async with cluster.client() as db:
            await fill(db, shards=4, replicas=2)  # no node has all of them
        for name in ("n1", "n2", "n3", "n4"):
            async with cluster.client(name) as db:
                found = await db.collection("docs").fields()
            assert told(found) == WHOLE
            assert (found.collection, found.points, found.shards, found.missing_shards) == ("docs", 118, 4, 0)
            assert found.fields[0].values == ["blue", "green", "red"]
            assert (found.fields[1].lowest, found.fields[1].highest) == (0.0, 49.0)


async def test_other_owners_answer_for_nodes_that_died_and_what_nobody_tells_is_missing() -> None:
    async with open_cluster(nodes=3, seed=6) as cluster, cluster.client("n1") as db:
        await fill(db, shards=4, replicas=2)
        cluster.kill("n2")
        assert told(await db.collection("docs").fields()) == WHOLE
        cluster.kill("n3")
        found = await db.collection("docs").fields()
        assert 0 < found.missing_shards < 4
        assert found.shards == 4
        assert found.points < 118


async def test_writes_are_seen_at_the_next_look() -> None:
    async with open_cluster(nodes=3, seed=6) as cluster, cluster.client() as db:
        await fill(db, shards=2)
        docs = db.collection("docs")
        await docs.fields()
        await docs.upsert(ids=[500], vectors=[[1.0]], payloads=[{"new": 1.5}], consistency="all")
        assert told(await docs.fields())["new"] == (["float"], 1, 1, True)
        await docs.delete(ids=[500], consistency="all")
        assert told(await docs.fields()) == WHOLE


async def test_after_a_start_and_without_an_index() -> None:
    async with open_cluster(nodes=1, seed=6) as cluster, cluster.client() as db:
        await fill(db, shards=2, replicas=1)
        await db.create_collection("bare", dimension=1, payload_index=False)
        bare = db.collection("bare")
        await bare.upsert(ids=[1], vectors=[[1.0]], payloads=[{"a": 1}])
        await cluster.stop("n1")
        await cluster.start("n1")
        docs = db.collection("docs")
        replicas = cluster.node("n1").replicas
        await cluster.until(lambda: not any(each.index.payloads_wait for each in replicas.all()), within=DETECTION)
        assert told(await docs.fields()) == WHOLE
        found = await bare.fields()
        assert (found.fields, found.points, found.missing_shards) == ([], 1, 0)
        with pytest.raises(NotFound):
            await db.collection("none").fields()


async def test_shards_are_counted_once_until_they_are_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[ShardIndex] = []
    census = ShardIndex.census

    def counting(index: ShardIndex) -> PayloadFields | None:
        counted.append(index)
        return census(index)

    monkeypatch.setattr(ShardIndex, "census", counting)
    async with open_cluster(nodes=3, seed=6) as cluster, cluster.client() as db:
        await fill(db, shards=4)
        assert counted == []  # nothing is counted that nobody asks for
        docs = db.collection("docs")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(docs.fields)
        assert len(counted) == len(set(counted)) == 4
        await docs.upsert(ids=[500], vectors=[[1.0]], payloads=[{"n": 1}], consistency="all")
        await docs.fields()
        assert len(counted) == 5
        monkeypatch.setattr(payload_fields, "KEPT_FIELDS", 0)
        await docs.upsert(ids=[500], vectors=[[1.0]], payloads=[{"n": 2}], consistency="all")
        for _ in range(2):
            await docs.fields()
        assert len(counted) > 6
