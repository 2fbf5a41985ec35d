"""Statistics say what was done, at every node, and nothing of those that do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import dead_to_all
from vectron_p2p.model.errors import InvalidArgument, NotFound
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.statistics import ClusterStatistics, OperationStatistics
    from vectron_p2p.testing.client import SimClient

UPSERTS, SEARCHES = 12, 30


async def worked(db: SimClient) -> None:
    docs = await db.create_collection("docs", dimension=2, metric="l2", shards=2)
    for number in range(UPSERTS):
        await docs.upsert(ids=[number, number + 100], vectors=[[number, 0], [number, 1]], consistency="all")
    for number in range(SEARCHES):
        await docs.search([number, 0], k=3)
    with pytest.raises(InvalidArgument):
        await docs.search([0, 0, 0], k=3)
    await docs.search_batch([[0, 0], [1, 1]], k=3)
    await docs.set_payload({"a": 1}, ids=[1])
    await docs.delete_payload(["a"], ids=[1])


def of(found: ClusterStatistics, operation: str, window_s: int = 60, kind: str = "client") -> OperationStatistics:
    return next(
        each for each in found.operations if (each.kind, each.operation, each.window_s) == (kind, operation, window_s)
    )


async def test_what_was_done_is_what_is_counted() -> None:
    async with open_cluster(seed=11) as cluster, cluster.client("n1") as one, cluster.client("n2") as two:
        await worked(one)
        await two.collection("docs").count()
        for found in (await one.statistics(), await two.statistics()):  # the same at every node
            for window_s in (60, 300, 3600):
                assert of(found, "upsert", window_s).count == UPSERTS
                assert of(found, "search", window_s).count == SEARCHES + 1
                assert of(found, "search", window_s).errors == 0
                assert of(found, "search", window_s).rejected == 1  # its own fault
                for once in ("search_batch", "set_payload", "delete_payload"):
                    assert of(found, once, window_s).count == 1
                assert of(found, "count", window_s).count == 1
            assert of(found, "apply_rows", kind="peer").count > 0
            upserts = of(found, "upsert")
            assert 0 < upserts.p50_ms <= upserts.p95_ms <= upserts.p99_ms <= upserts.max_ms
            assert upserts.bytes_in > UPSERTS * 2 * 8
            assert upserts.bytes_out > 0
        found = await one.statistics()
        by_name = {node.name: node for node in found.nodes}
        assert {node.name: node.points for node in found.nodes} == dict.fromkeys(cluster.hosts, 2 * UPSERTS)
        assert [each.count for each in by_name["n1"].operations if each.operation == "upsert"] == [UPSERTS] * 3
        assert not [each for each in by_name["n2"].operations if each.operation == "upsert"]
        assert by_name["n3"].rss_bytes == 64 << 20
        assert {caller.kind for caller in by_name["n1"].callers} == {"client", "peer"}
        assert {peer.node for peer in by_name["n1"].peers} == {by_name["n2"].node, by_name["n3"].node}
        (docs,) = found.collections
        assert (docs.points, docs.shards, docs.replicas, docs.missing_shards) == (2 * UPSERTS, 2, 3, 0)
        assert len(found.replicas) == 6
        assert {each.state for each in found.replicas} == {"active"}


async def test_windows_forget() -> None:
    async with open_cluster(nodes=1, seed=12) as cluster, cluster.client() as db:
        await worked(db)
        await trio.sleep(70.0)
        found = await db.statistics(replicas=False)
        with pytest.raises(StopIteration):
            of(found, "upsert", 60)
        assert of(found, "upsert", 300).count == UPSERTS
        assert not found.replicas
        await trio.sleep(300.0)
        found = await db.statistics(replicas=False)
        with pytest.raises(StopIteration):
            of(found, "upsert", 300)
        assert of(found, "upsert", 3600).count == UPSERTS


async def test_rates_and_processor_time_of_the_last_second() -> None:
    async with open_cluster(nodes=1, seed=13) as cluster, cluster.client() as db:
        await trio.sleep(3.0)
        usage = cluster.hosts["n1"].usage
        await db.create_collection("docs", dimension=2)
        for _ in range(6):
            usage.cpu += 0.25
            await db.collection("docs").count()
            await trio.sleep(0.5)
        (node,) = (await db.statistics(replicas=False)).nodes
        assert node.cpu_percent == pytest.approx(50.0, rel=0.3)
        assert node.network.client_in_per_s > 0
        assert node.network.client_in_bytes > 0
        assert node.uptime_s > 5
        assert 0 < node.disk_free_bytes <= node.disk_total_bytes


async def test_a_killed_node_is_absent_and_nothing_is_remembered_of_it() -> None:
    async with open_cluster(seed=14) as cluster, cluster.client("n1") as db:
        await worked(db)
        cluster.kill("n3")
        began = trio.current_time()
        found = await db.statistics()
        assert trio.current_time() - began < 3.0
        (absent,) = found.absent
        assert (absent.name, absent.points, absent.operations, absent.callers) == ("n3", 0, [], [])
        assert {each.state for each in found.replicas if each.node == absent.node} == {"unreachable"}
        await dead_to_all(cluster, "n3")
        began = trio.current_time()
        found = await db.statistics()
        assert trio.current_time() - began < 0.5  # who is believed dead is not waited for
        assert [node.liveness for node in found.absent] == ["dead"]
        assert found.collections[0].missing_shards == 0


async def test_repair_lag_is_the_age_of_the_last_comparison() -> None:
    async with open_cluster(seed=15) as cluster, cluster.client() as db:
        await worked(db)
        await trio.sleep(90.0)
        found = await db.statistics()
        longest = 2 * 1.5 * cluster.limits.repair_interval  # between two comparisons while nothing differs
        assert all(0 <= found.at - each.compared_at <= longest + 1 for each in found.replicas)


async def test_history() -> None:
    async with open_cluster(seed=16) as cluster, cluster.client("n1") as db:
        await trio.sleep(20.0)
        await worked(db)
        await trio.sleep(20.0)
        past = await db.history(["requests_per_s", "points", "errors_per_s"], seconds=60)
        assert past.step_s == 1
        assert past.nodes == 3
        assert {len(column) for column in past.figures.values()} == {60}
        requests = [each for each in past.figures["requests_per_s"] if each is not None]
        assert UPSERTS + SEARCHES <= sum(requests) <= UPSERTS + SEARCHES + 10
        assert past.figures["points"][-2] == 2 * UPSERTS * 3
        one = await db.history(["points"], seconds=60, node="n2")
        assert one.node
        assert one.figures["points"][-2] == 2 * UPSERTS
        whole = await db.history(seconds=24 * 3600)
        assert whole.step_s == 60
        assert len(whole.figures["cpu_percent"]) == 1440
        assert whole.figures["cpu_percent"][0] is None
        with pytest.raises(NotFound):
            await db.history(node="nobody")
        with pytest.raises(InvalidArgument, match="older figures"):
            await db.history(seconds=1e6)
        with pytest.raises(InvalidArgument, match="none of"):
            await db.history(["colour"])
