"""The table of the README, cell by cell: what a write, a read and a search promise at each consistency.

What other modules test at length is not repeated: see the comment above the table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from tests.cluster.looking import dead_to_all, forget_hints, live, pushes_nothing, rested, rows
from vectron_p2p.client.async_collection import AsyncCollection
from vectron_p2p.model.errors import ConsistencyError, DeadlineExceeded, InvalidArgument, VectronError
from vectron_p2p.protocol import messages as m
from vectron_p2p.testing.client import SimClient
from vectron_p2p.testing.cluster import Cluster, open_cluster

NAMES = ("n1", "n2", "n3")


async def docs_of(db: SimClient) -> AsyncCollection:
    return await db.create_collection("docs", dimension=1, metric="l2", shards=1)


def cut_from_peers(cluster: Cluster, name: str) -> None:
    """Clients still reach `name`."""
    for other in NAMES:
        if other != name:
            cluster.network.block(name, other)
            cluster.network.block(other, name)


# --- writes -----------------------------------------------------------------------------------------------------------


async def test_a_write_at_one_is_on_one_disk_and_gone_while_that_is() -> None:
    async with open_cluster(seed=51) as cluster, cluster.client("n1") as one, cluster.client("n2", "n3") as rest:
        await docs_of(one)
        docs = one.collection("docs")
        cut_from_peers(cluster, "n1")
        await docs.upsert(ids=[1], vectors=[[1]], consistency="one")
        await docs.delete(ids=[2], consistency="one")
        cluster.kill("n1", power=True)
        await dead_to_all(cluster, "n1")
        assert await rest.collection("docs").get([1]) == [None]
        cluster.network.heal()
        await cluster.start("n1")  # its machine lost power, and the disk kept it
        await rested(cluster)
        assert (await rest.collection("docs").get([1]))[0] is not None


@pytest.mark.parametrize("how", ["upsert", "delete"])
async def test_a_write_at_quorum_survives_the_loss_of_any_minority(how: str) -> None:
    for gone in NAMES:
        async with open_cluster(seed=52) as cluster, cluster.client() as db:
            docs = await docs_of(db)
            await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
            (missed,) = [name for name in NAMES if name not in (gone, "n1" if gone != "n1" else "n2")]
            cut_from_peers(cluster, missed)  # so it is on the disks of the other two, and on no more
            async with cluster.client(*(name for name in NAMES if name != missed)) as there:
                if how == "upsert":
                    await there.collection("docs").upsert(ids=[1], vectors=[[2]])
                else:
                    await there.collection("docs").delete(ids=[1])
            forget_hints(cluster)
            cluster.kill(gone, power=True)
            cluster.network.heal()
            await dead_to_all(cluster, gone)
            await cluster.until(cluster.agreed, within=30.0, what="the two that are left see each other")
            async with cluster.client(*(name for name in NAMES if name != gone)) as rest:
                (point,) = await rest.collection("docs").get([1], with_vector=True)
            if how == "delete":
                assert point is None
            else:
                assert point is not None
                assert point.vector is not None
                assert list(point.vector) == [2.0]


async def test_a_write_at_all_is_on_every_disk_and_fails_while_an_owner_is_down() -> None:
    async with open_cluster(seed=53) as cluster, cluster.client() as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1, 2], vectors=[[1], [2]], consistency="all")
        await docs.delete(ids=[2], consistency="all")
        assert [live(cluster, name, [1, 2]) for name in NAMES] == [[True, False]] * 3
        for name in NAMES:
            cluster.kill(name, power=True)
        for name in NAMES:
            await cluster.start(name, wait=False)
        await cluster.until(lambda: len(cluster.up) == 3, within=60.0)
        assert [live(cluster, name, [1, 2]) for name in NAMES] == [[True, False]] * 3
        await rested(cluster)
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        for call in (
            docs.upsert(ids=[3], vectors=[[3]], consistency="all"),
            docs.delete(ids=[1], consistency="all"),
        ):
            with pytest.raises(ConsistencyError) as caught:
                await call
            assert (caught.value.acked, caught.value.required) == (0, 3)
        assert [live(cluster, name, [1, 3]) for name in ("n1", "n2")] == [[True, False]] * 2


async def test_a_linearizable_write_is_on_a_majority_and_needs_no_more() -> None:
    async with open_cluster(seed=54) as cluster, cluster.client("n1") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        cluster.kill("n3")
        await docs.upsert(ids=[1], vectors=[[2]], consistency="linearizable")
        versions = [row.version for name in ("n1", "n2") for row in rows(cluster, name, [1]) if row is not None]
        assert len(versions) == 2
        assert len(set(versions)) == 1
        cluster.kill("n2")
        await dead_to_all(cluster, "n2", "n3")
        for call in (
            docs.upsert(ids=[1], vectors=[[3]], consistency="linearizable"),
            docs.delete(ids=[1], consistency="linearizable"),
            docs.get([1], consistency="linearizable"),
        ):
            with pytest.raises(ConsistencyError):
                await call


# --- reads and searches -----------------------------------------------------------------------------------------------


async def test_at_one_a_node_answers_what_it_holds_and_at_quorum_nothing_that_it_cannot_know() -> None:
    async with open_cluster(seed=55) as cluster, cluster.client() as db, cluster.client("n3", timeout=8.0) as stale:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        pushes_nothing(cluster)
        cut_from_peers(cluster, "n3")
        async with cluster.client("n1", "n2") as there:
            await there.collection("docs").upsert(ids=[1], vectors=[[9]], payloads=[{"n": 2}])
        theirs = stale.collection("docs")
        (point,) = await theirs.get([1], consistency="one")
        assert point is not None
        assert point.payload == {"n": 1}
        assert [hit.score for hit in await theirs.search([1], k=1)] == [0.0]
        for level in ("quorum", "all", "linearizable"):
            with pytest.raises((ConsistencyError, DeadlineExceeded)):
                await theirs.get([1], consistency=level)
        cluster.network.heal()
        await cluster.until(cluster.agreed, within=60.0, what="n3 is back")
        for level in ("quorum", "linearizable", "all"):
            (point,) = await theirs.get([1], consistency=level)  # type: ignore[arg-type]
            assert point is not None
            assert point.payload == {"n": 2}


def noting(name: str, handler: Callable[[Any], Awaitable[Any]], asked: list[str]) -> Callable[[Any], Awaitable[Any]]:
    async def handle(message: Any) -> Any:
        asked.append(name)
        return await handler(message)

    return handle


async def test_a_search_at_all_asks_every_owner() -> None:
    async with open_cluster(seed=56) as cluster, cluster.client("n1") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=range(5), vectors=[[n] for n in range(5)], consistency="all")
        asked: list[str] = []
        for name in NAMES:
            handlers = cluster.node(name)._replica_service._handlers
            handlers[m.SearchShards] = noting(name, handlers[m.SearchShards], asked)
        for level, owners in (("one", 0), ("quorum", 2), ("all", 3)):  # at one, this node's own replica: no request
            asked.clear()
            result = await docs.search([2], k=1, consistency=level)  # type: ignore[arg-type]
            assert (result[0].id, result.partial) == (2, False)
            await trio.sleep(0.1)
            assert len(set(asked)) == owners
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        result = await docs.search([2], k=1, consistency="quorum")
        assert not result.partial
        with pytest.raises(VectronError, match="owner"):
            await docs.search([2], k=1, consistency="all")


async def test_searches_have_no_linearizable_form() -> None:
    async with open_cluster(seed=57) as cluster, cluster.client() as db:
        docs = await docs_of(db)
        with pytest.raises(InvalidArgument) as caught:
            await docs.search([1], consistency="linearizable")  # type: ignore[arg-type]
        assert caught.value.field == "consistency"
