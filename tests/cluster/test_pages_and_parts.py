"""Scrolls that are cut for size, searches of which a part cannot be confirmed, owners that cannot open a shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.looking import collection, dead_to_all
from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.errors import ConsistencyError
from vectron_p2p.node import pages
from vectron_p2p.node.coordinator import searches
from vectron_p2p.node.coordinator.reads import Reads
from vectron_p2p.node.replica import kv_name
from vectron_p2p.query.merge import QuorumSearchRound
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.ids import PointId


@pytest.mark.parametrize(("page", "reply"), [(900, 10**9), (10**9, 1_000), (900, 700)])
async def test_a_scroll_cut_for_size_leaves_nothing_out_and_gives_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, page: int, reply: int
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", page)
    monkeypatch.setattr(searches, "MAX_REPLY_BYTES", reply)
    async with open_cluster() as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        await docs.upsert(
            ids=range(60), vectors=[[n] for n in range(60)], payloads=[{"text": "x" * (7 * n % 300)} for n in range(60)]
        )
        seen: list[PointId] = []
        cursor: str | None = None
        while True:
            found = await docs.scroll(limit=25, cursor=cursor)
            seen += [point.id for point in found.points]
            if found.cursor is None:
                break
            cursor = found.cursor
        assert seen == list(range(60))


async def test_a_quorum_search_names_the_shards_that_it_cannot_confirm(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_cluster() as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        shards = collection(cluster).shards
        doubtful = next(s for s in range(shards) if cluster.node("n1").replicas.all()[s].store.live)

        def doubt(self: Any) -> list[PointId]:
            return [point for point in self._rows if searches_shard(point) == doubtful]

        def searches_shard(point: PointId) -> int:
            return shard_of(point, shards)

        async def unreadable(*_: Any, **__: Any) -> list[Any]:
            raise ConsistencyError("the owners do not agree", acked=1, required=2)

        monkeypatch.setattr(QuorumSearchRound, "to_verify", doubt)
        monkeypatch.setattr(Reads, "get", unreadable)
        found = await docs.search([0], k=40, consistency="quorum", exact=True)
        assert found.partial
        assert found.missing_shards == [doubtful]
        assert {hit.id for hit in found} == {point for point in range(40) if searches_shard(point) != doubtful}


async def test_a_returning_node_has_what_it_missed_before_it_serves() -> None:
    async with open_cluster() as cluster:
        async with cluster.client("n1") as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
            cluster.kill("n3")
            await dead_to_all(cluster, "n3")
            await docs.upsert(ids=range(50), vectors=[[n] for n in range(50)])
        for name in ("n1", "n2"):  # no hints: what it missed is to be found by comparison alone
            node = cluster.node(name)
            for target in node.hints.book.targets:
                node.hints.book.forget(target)
        await cluster.start("n3")
        assert cluster.node("n3").replicas.all()[0].store.live == 50


async def test_every_node_says_which_shards_a_node_cannot_open() -> None:
    async with open_cluster() as cluster:
        async with cluster.client("n1") as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=1)
            await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        shard = cluster.node("n3").replicas.all()[0].shard
        cluster.kill("n3")
        cluster.hosts["n3"].disk.flip_bit(kv_name(shard))
        await cluster.start("n3")
        await cluster.until(cluster.agreed, within=30.0)
        assert not cluster.hosts["n3"].disk.quarantined  # it is the only copy
        for through in ("n1", "n3"):
            async with cluster.client(through) as db:
                info = await db.cluster()
                assert [each.state for each in info.shards[shard.index].replicas] == ["failed"]
                warnings = (await db.status()).warnings
                expected = "n3 cannot open 1 of its shards" if through == "n1" else "no other node has a copy"
                assert any(expected in warning for warning in warnings)
                found = await db.collection("docs").search([0], k=40, exact=True)
                assert found.missing_shards == [shard.index]
