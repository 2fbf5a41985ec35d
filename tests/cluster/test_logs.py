"""Logs of whole nodes: one trace through all of them, and reading them through any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio

from tests.cluster.looking import dead_to_all
from vectron_p2p.model.errors import ConsistencyError, InvalidArgument, NotFound, Unavailable
from vectron_p2p.model.logs import LEVELS
from vectron_p2p.observability import logs
from vectron_p2p.testing import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.logs import LogRecord
    from vectron_p2p.testing.cluster import Cluster


def say(cluster: Cluster, name: str, event: str) -> None:
    """`name` logs something."""
    node = cluster.node(name)
    node.journal.add(cluster.hosts[name].clock.wall(), "info", event, "test", "", {})


def log_all(cluster: Cluster) -> None:
    for host in cluster.up:
        cluster.node(host.name).journal.level = LEVELS["debug"]


async def test_a_call_has_one_trace_on_every_node() -> None:
    async with open_cluster(nodes=3) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=4, shards=2)
        log_all(cluster)
        await docs.upsert(ids=[1, 2, 3, 4], vectors=np.eye(4), consistency="all")
        await docs.search([1, 0, 0, 0], k=2, consistency="all")
        records = await db.logs(level="debug")
        traces = {
            message: {record.trace for record in records if record.fields.get("message") == message}
            for message in ("Upsert", "ApplyRows", "Search", "SearchShards")
        }
        assert traces["Upsert"] == traces["ApplyRows"]
        assert traces["Search"] == traces["SearchShards"]
        assert traces["Upsert"] != traces["Search"]
        (trace,) = traces["Search"]
        found = await db.logs(level="debug", trace=trace)
        assert {record.node for record in found} == {"n1", "n2", "n3"}
        assert {record.trace for record in found} == {trace}


async def test_an_error_names_its_trace_and_all_attempts_have_the_same() -> None:
    async with open_cluster(nodes=3) as cluster:
        async with cluster.client("n1") as db:
            docs = await db.create_collection("docs", dimension=4, shards=1)
        for name in ("n2", "n3"):
            cluster.kill(name)
        await dead_to_all(cluster, "n2", "n3")
        log_all(cluster)
        async with cluster.client("n1") as db:
            docs = db.collection("docs")
            with pytest.raises(ConsistencyError) as caught:
                await docs.upsert(ids=[1], vectors=np.ones((1, 4)))
            found = await db.logs("n1", level="debug", trace=caught.value.trace)
            assert "Upsert" in [record.fields.get("message") for record in found]
            with pytest.raises(InvalidArgument) as other:
                await docs.search([1.0, 2.0], k=1)
            assert len(other.value.trace) == 16
            assert other.value.trace != caught.value.trace


async def test_any_node_reads_the_logs_of_all() -> None:
    async with open_cluster(nodes=3) as cluster, cluster.client("n2") as db:
        for name in cluster.hosts:
            say(cluster, name, f"event_of_{name}")
        records = await db.logs()
        assert {(each.node, each.event) for each in records} >= {(name, f"event_of_{name}") for name in cluster.hosts}
        assert [each.at for each in records] == sorted(each.at for each in records)
        assert {each.node for each in await db.logs("n3")} == {"n3"}
        by_id = await db.logs(cluster.node("n1").identity.node)
        assert {each.node for each in by_id} == {"n1"}
        assert [each.event for each in await db.logs("n1", limit=1)] == ["event_of_n1"]
        with pytest.raises(NotFound):
            await db.logs("n9")
        with pytest.raises(InvalidArgument):
            await db.logs(level="loud")
        cluster.kill("n3")
        with pytest.raises(Unavailable):
            await db.logs("n3")
        rest = await db.logs()
        assert {each.node for each in rest} == {"n1", "n2"}
        assert rest.silent == ["n3"]


async def test_a_follower_misses_and_repeats_nothing_whoever_answers() -> None:
    async with open_cluster(nodes=3) as cluster, cluster.client("n1", "n2") as db:
        seen: list[LogRecord] = []

        async def follow() -> None:
            async for record in await db.logs(follow=True):
                if record.logger == "test":
                    seen.append(record)  # noqa: PERF401  (it is looked at while it grows)

        def events() -> list[str]:
            return [record.event for record in seen]

        async with trio.open_nursery() as nursery:
            say(cluster, "n3", "before")
            nursery.start_soon(follow)
            await cluster.until(lambda: events() == ["before"], within=5.0)
            await trio.sleep(30.0)  # longer than one request waits
            say(cluster, "n3", "one")
            say(cluster, "n2", "two")
            await cluster.until(lambda: set(events()) == {"before", "one", "two"}, within=5.0)
            cluster.kill("n1")  # one of the two that are asked
            say(cluster, "n3", "three")
            await cluster.until(lambda: "three" in events(), within=15.0)
            await cluster.start("n1")  # another life of it, whose records begin anew
            say(cluster, "n1", "four")
            await cluster.until(lambda: "four" in events(), within=15.0)
            assert sorted(events()) == sorted(["before", "one", "two", "three", "four"])
            nursery.cancel_scope.cancel()


async def test_a_slow_request_says_where_its_time_went() -> None:
    async with open_cluster(nodes=3) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=4, shards=2)
        await docs.upsert(ids=[1, 2, 3, 4], vectors=np.eye(4), payloads=[{"year": 1}] * 4, consistency="all")
        assert await db.logs(slow=True) == []
        slow = cluster.hosts["n2"].executor
        assert slow is not None
        slow.stretched["search"] = 5000.0
        await docs.search([1, 0, 0, 0], k=2, filter={"year": {"$gte": 1}}, consistency="all")
        records = await db.logs(slow=True)
        (asked,) = [record for record in records if record.fields["operation"] == "search"]
        assert (asked.node, asked.level, asked.fields["collection"]) == ("n1", "warning", "docs")
        assert asked.fields["k"] == 2
        assert asked.fields["filter"] == '{"year": {"$gte": "?"}}'
        assert asked.fields["consistency"] == "all"
        assert asked.fields["client"].startswith("client:")
        slowest, *others = asked.fields["parts"]
        assert (slowest["node"], slowest["request"], slowest["shards"]) == ("n2", "search_shards", [0, 1])
        assert asked.fields["took_ms"] >= slowest["ms"] > 500
        assert all(part["ms"] < 500 for part in others)
        (part,) = [record for record in records if record.fields["operation"] == "search_shards"]
        assert (part.node, part.trace, part.fields["collection"]) == ("n2", asked.trace, "docs")


async def test_a_storm_of_slow_requests_is_logged_in_part_and_counted() -> None:
    async with open_cluster(nodes=1) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=4, shards=1, replicas=1)
        await docs.upsert(ids=[1], vectors=np.ones((1, 4)))
        slow = cluster.hosts["n1"].executor
        assert slow is not None
        slow.stretched["search"] = 5000.0
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(docs.search, [1, 0, 0, 0])
        await trio.sleep(2.0)
        await docs.search([1, 0, 0, 0])
        records = await db.logs(slow=True)
        assert len(records) < 100
        assert len(records) + sum(record.fields.get("suppressed", 0) for record in records) == 201


async def test_each_node_of_one_process_keeps_its_own() -> None:
    async with open_cluster(nodes=2) as cluster, cluster.client("n1") as db:
        joined = [record for record in await db.logs() if record.event in ("cluster_founded", "joined")]
        assert [(each.node, each.event) for each in joined] == [("n1", "cluster_founded"), ("n2", "joined")]
        assert not logs.get_logger("vectron_p2p.test").wants("info"), "this task is no node's"
