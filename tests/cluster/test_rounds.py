"""Linearizable and conditional operations on whole clusters: duels, deaths, partitions, and what a filter chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.cluster.looking import (
    collection,
    dead_to_all,
    forget_hints,
    live,
    pushes_nothing,
    rested,
    rows,
)
from vectron_p2p.client.session import RetryPolicy
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import (
    AlreadyExists,
    ConsistencyError,
    InvalidArgument,
    NotFound,
    Unavailable,
    VectronError,
    VersionConflict,
)
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.config import Limits
from vectron_p2p.protocol import messages as m
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster

LIMITS = Limits(swim=SwimConfig.sim())
HOUR = 3600.0
QUIET = replace(LIMITS, repair_interval=HOUR, startup_repair=0.0, hint_interval=HOUR)
"""Nothing moves rows but writes, reads and rounds."""


async def docs_of(db: SimClient, **options: Any) -> AsyncCollection:
    return await db.create_collection("docs", dimension=1, metric="l2", **{"shards": 1, **options})


async def payload(docs: AsyncCollection, point: int, **options: Any) -> Any:
    (found,) = await docs.get([point], **options)
    return None if found is None else found.payload


def promises(cluster: Cluster, name: str) -> int:
    """Open promises on a node."""
    return sum(len(replica.store.open_promises()) for replica in cluster.node(name).replicas.all())


def no_promises(cluster: Cluster) -> bool:
    return not any(promises(cluster, host.name) for host in cluster.up)


async def increment(docs: AsyncCollection, point: int, times: int) -> int:
    """Adds one `times` by compare-and-set; returns how many of the attempts ended unknown."""
    unknown = 0
    for _ in range(times):
        while True:
            try:
                (found,) = await docs.get([point], consistency="linearizable")
                assert found is not None
                assert found.payload is not None
                await docs.upsert(
                    ids=[point], vectors=[[0]], payloads=[{"n": found.payload["n"] + 1}], if_version=found.version
                )
                break
            except VersionConflict:
                continue
            except ConsistencyError as error:
                if error.acked:
                    unknown += 1
                    break
    return unknown


# --- conditions -------------------------------------------------------------------------------------------------------


async def test_insert_update_and_if_version_say_what_they_met() -> None:
    async with open_cluster(seed=1) as cluster, cluster.client() as db:
        docs = await docs_of(db, shards=2)
        with pytest.raises(NotFound):
            await docs.upsert(ids=[1], vectors=[[1]], mode="update")
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], mode="insert")
        with pytest.raises(AlreadyExists) as exists:
            await docs.upsert(ids=[0, 1, 2], vectors=[[1]] * 3, payloads=[{"n": 9}] * 3, mode="insert")
        assert exists.value.failed == [1]
        assert [await payload(docs, point) for point in (0, 1, 2)] == [{"n": 9}, {"n": 1}, {"n": 9}]
        (first,) = await docs.get([1])
        assert first is not None
        await docs.upsert(ids=[1], vectors=[[2]], payloads=[{"n": 2}], if_version=first.version)
        with pytest.raises(VersionConflict) as conflict:
            await docs.upsert([{"id": 1, "vector": [3]}], if_version=first.version)
        (second,) = await docs.get([1], consistency="linearizable")
        assert second is not None
        assert (conflict.value.current, second.payload) == (second.version, {"n": 2})
        await docs.upsert(ids=[1], vectors=[[4]], mode="update", if_version=[second.version])
        await docs.delete(ids=[1], consistency="linearizable")
        assert await payload(docs, 1) is None
        with pytest.raises(VersionConflict) as conflict:
            await docs.upsert(ids=[1], vectors=[[5]], if_version=second.version)
        assert conflict.value.current is None
        await docs.upsert(ids=[1], vectors=[[6]], mode="insert")
        await docs.upsert(ids=[1], vectors=[[7]], consistency="linearizable")
        hits = await docs.search([7], k=1)
        assert (hits[0].id, hits[0].score) == (1, 0.0)
        wrong: Any
        for wrong in (
            {"mode": "replace"},
            {"if_version": "12"},
            {"if_version": []},
            {"consistency": "all", "mode": "insert"},
        ):
            with pytest.raises(InvalidArgument):
                await docs.upsert(ids=[1], vectors=[[0]], **wrong)
        await rested(cluster)


async def test_payload_keys_are_set_and_taken_away_point_by_point() -> None:
    async with open_cluster(seed=2) as cluster, cluster.client() as db:
        docs = await docs_of(db, shards=2)
        await docs.upsert(
            ids=range(10), vectors=[[n] for n in range(10)], payloads=[{"n": n, "old": 1} for n in range(10)]
        )
        assert (await docs.set_payload({"new": [1]}, ids=[0, 1, 99])).count == 2
        assert (await docs.set_payload({"big": True}, filter={"n": {"$gte": 5}})).count == 5
        assert (await docs.delete_payload(["old", "none"], filter={"big": True})).count == 5
        assert await payload(docs, 0) == {"n": 0, "old": 1, "new": [1]}
        assert await payload(docs, 9) == {"n": 9, "big": True}
        assert await payload(docs, 99) is None
        (found,) = await docs.get([9], with_vector=True)
        assert found is not None
        assert list(found.vector) == [9.0]  # type: ignore[arg-type]
        assert await docs.count(filter={"big": True}) == 5
        await docs.set_payload({"x": "y" * 40_000}, ids=[0])
        with pytest.raises(InvalidArgument, match="65536"):
            await docs.set_payload({"z": "y" * 40_000}, ids=[0])
        wrong: Any
        for wrong in ({}, {"ids": [1], "filter": {}}):
            with pytest.raises(InvalidArgument):
                await docs.set_payload({"a": 1}, **wrong)
        await rested(cluster)


async def test_a_filter_deletes_what_matches_in_its_newest_version() -> None:
    async with open_cluster(seed=3, limits=QUIET) as cluster, cluster.client("n1") as db:
        docs = await docs_of(db)
        await docs.upsert(
            ids=range(400),
            vectors=[[n] for n in range(400)],
            payloads=[{"g": n % 2} for n in range(400)],
            consistency="all",
        )
        cluster.network.partition([["n3"]])
        await docs.upsert(ids=[0], vectors=[[0]], payloads=[{"g": 1}])  # n3 still holds it as g = 0
        await docs.upsert(ids=[1], vectors=[[0]], payloads=[{"g": 0}])
        forget_hints(cluster)
        pushes_nothing(cluster)
        cluster.network.heal()
        await cluster.until(cluster.agreed, within=60.0)
        async with cluster.client("n3") as stale:
            assert (await stale.collection("docs").delete(filter={"g": 1})).count == 200
        found = await docs.get(range(400))
        assert [n for n, point in enumerate(found) if point is not None] == [1, *range(2, 400, 2)]


async def test_filter_writes_name_the_shards_without_a_quorum() -> None:
    async with open_cluster(seed=4) as cluster, cluster.client("n1") as db:
        docs = await docs_of(db, shards=4, replicas=1)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)])
        dead = cluster.node("n2").identity.node
        lost = [index for index, owners in enumerate(collection(cluster).placement) if owners == (dead,)]
        cluster.kill("n2")
        await dead_to_all(cluster, "n2")
        for call in (docs.delete(filter={}), docs.set_payload({"a": 1}, filter={})):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.missing_shards == lost
        await cluster.start("n2")
        await cluster.until(cluster.agreed, within=60.0)
        assert await docs.count() == 40
        assert (await docs.delete(filter={})).count == 40
        assert await docs.count() == 0


# --- concurrency ------------------------------------------------------------------------------------------------------


async def test_of_many_inserts_of_one_id_exactly_one_wins() -> None:
    async with open_cluster(seed=5) as cluster:
        async with cluster.client() as db:
            await docs_of(db)
        for point in range(5):
            won: list[int] = []

            async def insert(number: int, point: int = point, won: list[int] = won) -> None:
                async with cluster.client(f"n{number % 3 + 1}") as client:
                    try:
                        await client.collection("docs").upsert(
                            ids=[point], vectors=[[number]], payloads=[{"by": number}], mode="insert"
                        )
                        won.append(number)
                    except AlreadyExists:
                        pass

            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(insert, number)
            assert len(won) == 1
            async with cluster.client("n2") as client:
                assert await payload(client.collection("docs"), point, consistency="linearizable") == {"by": won[0]}
        await rested(cluster)
        await cluster.until(lambda: no_promises(cluster), within=30.0, what="all rounds are finished")


@pytest.mark.parametrize("faults", ["none", "loss", "kill"])
async def test_a_counter_loses_no_increment(faults: str) -> None:
    async with open_cluster(seed=6) as cluster:
        async with cluster.client() as db:
            docs = await docs_of(db)
            await docs.upsert(ids=[1], vectors=[[0]], payloads=[{"n": 0}])
        unknown: list[int] = []

        async def count(name: str) -> None:
            async with cluster.client(name) if faults == "none" else cluster.client() as client:
                unknown.append(await increment(client.collection("docs"), 1, 8))

        async with trio.open_nursery() as nursery:
            if faults == "loss":
                cluster.network.set_delay(0.001, 0.02)
                cluster.network.set_loss(0.1)
            for name in ("n1", "n2", "n3", "n1"):
                nursery.start_soon(count, name)
            if faults == "kill":
                await trio.sleep(0.05)
                cluster.kill("n2", power=True)
                await trio.sleep(5.0)
                await cluster.start("n2")
        cluster.network.set_loss(0.0)
        async with cluster.client() as db:
            found = await payload(db.collection("docs"), 1, consistency="linearizable")
            assert 32 - sum(unknown) <= found["n"] <= 32
            if faults == "none":
                assert sum(unknown) == 0
        await rested(cluster)


async def test_plain_writes_between_compare_and_set_are_never_lost_silently() -> None:
    """Plain QUORUM writes add a mark each, increments go on between: an increment of an old base would drop a mark."""
    async with open_cluster(seed=7) as cluster, cluster.client("n1") as one, cluster.client("n2") as two:
        docs, other = await docs_of(one), two.collection("docs")
        cluster.hosts["n2"].clock.wall_offset = -0.2  # so that its plain writes meet newer rows and promises
        await docs.upsert(ids=[1], vectors=[[0]], payloads=[{"n": 0, "mark": 0}])
        over = trio.Event()

        async def marks() -> None:
            for number in range(1, 21):
                await other.upsert(ids=[1], vectors=[[0]], payloads=[{"n": 0, "mark": number}])
                (found,) = await docs.get([1], consistency="linearizable")
                assert found is not None
                assert found.payload is not None
                assert found.payload["mark"] == number
            over.set()

        async def sets() -> None:
            while not over.is_set():
                await docs.set_payload({"touched": True}, ids=[1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(marks)
            nursery.start_soon(sets)
        await rested(cluster)


# --- deaths and partitions --------------------------------------------------------------------------------------------


def drop_accepts(cluster: Cluster, name: str, *, to: list[str]) -> None:
    """The coordinator on `name` dies as it begins to send accepts: only owners `to` get them."""
    node = cluster.node(name)
    peers = node._peers
    call = peers.call
    allowed = {cluster.node(other).identity.node for other in to}

    async def dying(owner: Any, message: Any, **options: Any) -> Any:
        if isinstance(message, m.ApplyRows) and message.kind == "accept" and owner not in allowed:
            await trio.sleep_forever()
        return await call(owner, message, **options)

    peers.call = dying  # type: ignore[method-assign, assignment]


async def test_a_round_whose_coordinator_died_after_its_promises_is_finished_by_the_owners() -> None:
    async with open_cluster(seed=8, limits=QUIET) as cluster, cluster.client("n2", "n3") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        (before,) = await docs.get([1])
        drop_accepts(cluster, "n1", to=[])

        async def write(client: SimClient) -> None:
            with pytest.raises(VectronError):
                await client.collection("docs").upsert(ids=[1, 2], vectors=[[9]] * 2, consistency="linearizable")

        async with cluster.client("n1", timeout=3.0) as doomed, trio.open_nursery() as nursery:
            nursery.start_soon(write, doomed)
            await cluster.until(lambda: promises(cluster, "n2") == 2, within=5.0)
            cluster.kill("n1")
        await cluster.until(lambda: no_promises(cluster), within=60.0, what="the owners finish what was left")
        (after,) = await docs.get([1])
        assert before is not None
        assert after is not None
        assert (after.version, after.payload) == (before.version, {"n": 1})  # the same content, accepted again
        await docs.upsert(ids=[1], vectors=[[2]], if_version=before.version)
        assert await payload(docs, 2) is None
        await docs.upsert(ids=[2], vectors=[[2]], mode="insert")


async def test_a_row_accepted_by_a_minority_is_all_or_nothing_for_reads() -> None:
    async with open_cluster(seed=9, limits=QUIET) as cluster, cluster.client("n2") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        drop_accepts(cluster, "n1", to=["n3"])
        async with cluster.client("n1", timeout=3.0) as doomed:
            with pytest.raises(VectronError) as caught:
                await doomed.collection("docs").upsert(
                    ids=[1], vectors=[[2]], payloads=[{"n": 2}], consistency="linearizable"
                )
            assert not isinstance(caught.value, VersionConflict)
        seen = [await payload(docs, 1, consistency="linearizable") for _ in range(20)]
        assert seen == sorted(seen, key=lambda found: found["n"])  # once seen it stays
        cluster.kill("n1")
        await cluster.until(lambda: no_promises(cluster), within=60.0)
        assert await payload(docs, 1, consistency="linearizable") == seen[-1]


@pytest.mark.parametrize("delay", [0.002, 0.004, 0.006, 0.01])
async def test_an_operation_of_a_lost_coordinator_is_done_once_or_said_to_be_unknown(delay: float) -> None:
    async with open_cluster(seed=20) as cluster:
        async with cluster.client() as db:
            docs = await docs_of(db)
            await docs.upsert(ids=[1], vectors=[[0]], payloads=[{"n": 0}])
            (found,) = await docs.get([1])
            assert found is not None
            errors: list[VectronError] = []

            async def write(client: SimClient, version: str = found.version) -> None:
                docs = client.collection("docs")
                try:
                    await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], if_version=version)
                except VectronError as error:
                    errors.append(error)

            async with cluster.client() as client, trio.open_nursery() as nursery:
                client.session._preferred = cluster.hosts["n1"].address
                nursery.start_soon(write, client)
                await trio.sleep(delay)
                cluster.kill("n1")
            after = await payload(docs, 1, consistency="linearizable")
            # Its version tells what an attempt that was lost had as its base: it can always be tried again.
            assert (errors, after) == ([], {"n": 1})


async def test_only_the_side_with_the_majority_decides() -> None:
    async with open_cluster(seed=10) as cluster, cluster.client("n2") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        async with cluster.client("n1", timeout=6.0) as alone:
            cluster.network.partition([["n1", "client"], ["n2", "n3"]])
            for call in (
                alone.collection("docs").upsert(ids=[1], vectors=[[2]], payloads=[{"n": 2}], mode="update"),
                alone.collection("docs").get([1], consistency="linearizable"),
                alone.collection("docs").set_payload({"n": 2}, filter={}),
            ):
                with pytest.raises(VectronError):
                    await call
            cluster.network.heal()
        cluster.network.partition([["n1"], ["n2", "n3", "client"]])
        await docs.set_payload({"n": 3}, ids=[1])
        cluster.network.heal()
        await rested(cluster)
        assert await payload(docs, 1, consistency="all") == {"n": 3}
        await cluster.until(lambda: no_promises(cluster), within=30.0)


# --- promises on every path -------------------------------------------------------------------------------------------


async def test_a_promise_keeps_lower_rows_out_on_every_path_and_plain_writes_go_above_it() -> None:
    async with open_cluster(seed=11, limits=QUIET) as cluster, cluster.client("n2") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        await docs.upsert(ids=[2], vectors=[[1]], consistency="one")
        shard = ShardId(collection(cluster).id, 0)
        node = cluster.node("n1")
        stamp = (int(cluster.clock.wall() * 1000) + 300) << 16
        ballot = stamp.to_bytes(8, "big") + bytes(16)
        await node.replicas.get(shard).promise([(1, ballot), (3, ballot)])
        (held,) = rows(cluster, "n2", [1])
        assert held is not None
        lower = [held._replace(id=point, version=ballot[:7] + b"\x00" * 33) for point in (1, 3)]
        for kind in ("write", "write_back", "hint", "repair"):
            reply = await node._serve_peer(
                m.ApplyRows(
                    shard.collection, 0, 0, kind, [1, 3], [row.version for row in lower], [b"\0" * 4] * 2, [b"\x80"] * 2
                )
            )
            assert [answer[:24] for answer in reply.held] == [ballot] * 2
        assert live(cluster, "n1", [3]) == [False]
        await docs.upsert(ids=[1, 3], vectors=[[5]] * 2, consistency="all")  # met "busy" on n1, and went above
        assert live(cluster, "n1", [1, 3]) == [True, True]
        assert promises(cluster, "n1") == 0
        cluster.kill("n1", power=True)
        node = await cluster.start("n1")
        assert promises(cluster, "n1") == 0


@pytest.mark.parametrize("way", ["hints", "push", "pull", "write-back"])
async def test_rows_of_rounds_travel_whole(way: str) -> None:
    """A row with one version is the same on every owner to the last byte, by whatever way it came there."""
    limits = replace(QUIET, hint_interval=1.0) if way == "hints" else QUIET
    async with open_cluster(seed=13, limits=limits) as cluster, cluster.client("n1", "n2") as db:
        docs = await docs_of(db)
        await docs.upsert(ids=range(3), vectors=[[1]] * 3, consistency="all")
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        await docs.upsert(ids=[0, 5], vectors=[[2]] * 2, consistency="linearizable")
        await docs.set_payload({"a": 1}, ids=[0, 1])
        await docs.delete(ids=[2], consistency="linearizable")
        if way != "hints":
            forget_hints(cluster)
        pushes_nothing(cluster)
        node = await cluster.start("n3", wait=False)
        await cluster.until(lambda: node.serving, within=60.0)
        pushes_nothing(cluster)
        await cluster.until(cluster.agreed, within=60.0)
        ids = [0, 1, 2, 5]
        if way == "write-back":
            cluster.kill("n2")
            await dead_to_all(cluster, "n2")
            await docs.get(ids)
        elif way != "hints":
            repairing = cluster.node("n1" if way == "push" else "n3")
            await repairing.repair.run_once(repairing._peers)
        await cluster.until(lambda: rows(cluster, "n3", ids) == rows(cluster, "n1", ids), within=10.0, what=way)
        assert all(row is not None and row.mark for row in rows(cluster, "n3", ids))


async def test_a_read_that_meets_a_promise_settles_the_row_itself() -> None:
    async with open_cluster(seed=14, limits=QUIET) as cluster, cluster.client("n2") as db:
        db.session.retry = RetryPolicy(refusals=0)
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        drop_accepts(cluster, "n1", to=["n2"])
        async with cluster.client("n1", timeout=0.3) as doomed:
            with pytest.raises(VectronError):
                await doomed.collection("docs").set_payload({"n": 2}, ids=[1])
        shard = ShardId(collection(cluster).id, 0)
        higher = ((int(cluster.clock.wall() * 1000) + 300) << 16).to_bytes(8, "big") + bytes(16)
        for name in ("n1", "n3"):
            (answer,) = await cluster.node(name).replicas.get(shard).promise([(1, higher)])
            assert answer.granted
        cluster.network.slow([("n3", "n2")], 0.2)  # so that n2 itself is in the majority
        assert await payload(docs, 1) == {"n": 2}  # n2 has it; nobody takes it back as it is
        (settled,) = rows(cluster, "n2", [1])
        # A round is over with a majority of its owners; its row is on the way to the third.
        await cluster.until(lambda: rows(cluster, "n1", [1]) == [settled], within=1.0, what="the row of that round")


async def test_an_operation_that_may_have_been_done_before_is_done_or_unknown_never_a_conflict() -> None:
    async with open_cluster(seed=15) as cluster, cluster.client() as db:
        docs = await docs_of(db)
        vector = b"\0\0\0\0"

        async def insert(operation: str, *, retried: bool) -> None:
            message = m.UpsertIf("docs", [1], 1, vector, [b"\x80"], "insert", [], operation, retried)
            await cluster.node("n2").answer_client(message)

        await insert("first", retried=False)
        await insert("first", retried=True)  # it is there: done
        for retried in (False, True):  # all that ever befell the point is told by its steps
            with pytest.raises(AlreadyExists):
                await insert("second", retried=retried)
        await docs.upsert(ids=[1], vectors=[[1]])
        with pytest.raises(ConsistencyError) as caught:
            await insert("second", retried=True)  # its own row may have come before this one
        assert (caught.value.retryable, caught.value.failed) == (False, [1])
        await docs.delete(ids=[1])
        with pytest.raises(ConsistencyError):
            await insert("first", retried=True)  # it was done, and deleted since: doing it again would bring it back
        assert await payload(docs, 1) is None


async def test_a_mixed_write_is_finished_by_a_round() -> None:
    """Two owners hold a row from a clock far ahead: the write is applied on one and outdone on two."""
    async with open_cluster(seed=12, limits=QUIET) as cluster, cluster.client("n1") as db:
        db.session.retry = RetryPolicy(refusals=0)
        docs = await docs_of(db)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        shard = ShardId(collection(cluster).id, 0)
        for name in ("n2", "n3"):
            stamp = (int(cluster.clock.wall() * 1000) + 400) << 16
            (held,) = rows(cluster, name, [1])
            assert held is not None
            ahead = held._replace(version=stamp.to_bytes(8, "big") + held.version[8:])
            await cluster.node(name).replicas.get(shard).apply([ahead])
        await docs.upsert(ids=[1], vectors=[[7]], payloads=[{"n": 7}])
        assert await payload(docs, 1, consistency="linearizable") == {"n": 7}
        assert [hit.score for hit in await docs.search([7], consistency="quorum")] == [0.0]
