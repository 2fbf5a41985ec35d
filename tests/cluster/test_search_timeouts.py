"""A search answers by its timeout with what arrived, and says what did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.errors import DeadlineExceeded
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.points import SearchResult

SHARDS = 8


async def ask(docs: AsyncCollection, how: str) -> SearchResult:
    if how == "batch":
        return (await docs.search_batch([[0], [1]], k=50, timeout=0.6))[1]
    if how == "by group":
        return await docs.search([0], k=50, group_by="n", timeout=0.6)
    return await docs.search([0], k=50, timeout=0.6, consistency="quorum" if how == "quorum" else "one")


@pytest.mark.parametrize("how", ["one", "quorum", "batch", "by group"])
async def test_what_slow_owners_have_is_missing_and_named(how: str) -> None:
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=SHARDS, replicas=1)
        await docs.upsert(ids=range(50), vectors=[[n] for n in range(50)], payloads=[{"n": n} for n in range(50)])
        assert not (await ask(docs, how)).partial
        here = {replica.shard.index for replica in cluster.node("n1").replicas.all()}
        assert 0 < len(here) < SHARDS
        cluster.network.slow([("n2", "n1"), ("n3", "n1")], 5.0)
        began = trio.current_time()
        found = await ask(docs, how)
        assert trio.current_time() - began <= 1.0
        assert found.partial
        assert set(found.missing_shards) >= set(range(SHARDS)) - here
        expected = {n for n in range(50) if shard_of(n, SHARDS) in here}
        assert {hit.id for hit in found} == expected


@pytest.mark.parametrize("how", ["one", "quorum", "batch", "by group"])
async def test_nothing_in_time_is_an_error(how: str) -> None:
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2, replicas=1)
        await docs.upsert(ids=range(50), vectors=[[n] for n in range(50)], payloads=[{"n": n} for n in range(50)])
        away = [name for name in ("n1", "n2", "n3") if not cluster.node(name).replicas.all()]
        assert away
        asked = away[0]
        cluster.network.slow([(name, asked) for name in ("n1", "n2", "n3") if name != asked], 5.0)
        async with cluster.client(asked) as other:
            began = trio.current_time()
            with pytest.raises(DeadlineExceeded):
                await ask(other.collection("docs"), how)
            assert trio.current_time() - began <= 1.2
