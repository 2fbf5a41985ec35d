"""Power cuts, kills in the middle of things, silent nodes, wrong clocks and bad disks."""

from __future__ import annotations

import pytest
import trio

from tests.cluster.looking import collection, dead_to_all, live, points, rested, rows, sees
from vectron_p2p.model.errors import ClockSkew, ReadOnly, Unavailable, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.replica import kv_name
from vectron_p2p.node.stamps import Stamps
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.testing.cluster import Cluster, open_cluster

# --- power and kill ---------------------------------------------------------------------------------------------------


async def test_after_a_power_cut_of_all_machines_right_after_the_acks_every_row_is_there() -> None:
    for seed in range(3):
        async with open_cluster(seed=seed) as cluster:
            async with cluster.client() as db:
                docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
                for n in range(6):
                    await docs.upsert(ids=range(5 * n, 5 * n + 5), vectors=[[n]] * 5, payloads=[{"n": n}] * 5)
                await docs.delete(ids=[0, 1])
                await docs.upsert(ids=[2], vectors=[[77]], payloads=[{"n": 77}])
            for name in cluster.hosts:
                cluster.kill(name, power=True)
            for name in cluster.hosts:
                await cluster.start(name, wait=False)
            await cluster.until(lambda: len(cluster.up) == 3, within=60.0)
            async with cluster.client() as db:
                found = await db.collection("docs").get(range(30))
                assert found[:2] == [None, None]
                assert [point and point.payload for point in found[2:]] == [
                    {"n": 77},
                    *({"n": n // 5} for n in range(3, 30)),
                ]
            await rested(cluster)


async def test_a_coordinator_that_dies_in_the_middle_of_a_batch_leaves_whole_rows_and_equal_replicas() -> None:
    outcomes: set[tuple[int, ...]] = set()
    wanted = {(False, 1), (False, 2)}  # unanswered: sent to nobody, sent to some
    for step in range(12):
        if wanted <= outcomes:
            break
        after, power = 0.004 + 0.003 * step, step % 2 == 1
        async with open_cluster(seed=21) as cluster, trio.open_nursery() as nursery:
            cluster.network.set_delay(0.0005, 0.02)
            async with cluster.client("n1", timeout=3.0, nursery=nursery) as db:
                docs = await db.create_collection("docs", dimension=2, metric="l2", shards=8)
                await docs.upsert(ids=range(40), vectors=[[n, 1] for n in range(40)], payloads=[{"v": 1}] * 40)
                nursery.start_soon(kill_after, cluster, "n1", after, power)
                try:
                    await docs.upsert(ids=range(40), vectors=[[n, 2] for n in range(40)], payloads=[{"v": 2}] * 40)
                    acknowledged = True
                except VectronError:
                    acknowledged = False
                await cluster.start("n1")
            await rested(cluster)
            async with cluster.client() as fresh:
                found = await fresh.collection("docs").get(range(40), with_vector=True, consistency="all")
            written = set()
            for n, point in enumerate(found):
                assert point is not None
                assert point.vector is not None
                assert point.payload is not None
                assert [float(each) for each in point.vector] == [n, point.payload["v"]]
                written.add(point.payload["v"])
            assert not acknowledged or written == {2}
            outcomes.add((acknowledged, *sorted(written)))
            nursery.cancel_scope.cancel()
    assert wanted <= outcomes, "all kills fell before or all after the sending"


async def kill_after(cluster: Cluster, name: str, seconds: float, power: bool) -> None:
    await trio.sleep(seconds)
    cluster.kill(name, power=power)


async def test_an_owner_that_is_killed_during_each_write_misses_nothing_in_the_end() -> None:
    async with open_cluster(seed=22) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        for n in range(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, docs, n)
                await trio.sleep(0.002)
                cluster.kill("n3", power=n % 2 == 0)
            await cluster.start("n3")
        await rested(cluster)
        assert live(cluster, "n3", range(5)) == [True] * 5


async def write(docs: object, n: int) -> None:
    await docs.upsert(ids=[n], vectors=[[n]])  # type: ignore[attr-defined]


# --- silence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut off", "paused"])
async def test_a_node_that_falls_silent_stalls_no_call_for_long(how: str) -> None:
    async with open_cluster(seed=23) as cluster, cluster.client("n1", "n2") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=2)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        if how == "paused":
            cluster.network.pause("n3")
        else:
            cluster.network.partition([["n3"]])
        longest = 0.0
        while trio.current_time() < 60.0 and sees(cluster, "n1", "n3") is not Liveness.DEAD:
            for call in (
                lambda: docs.search([3], k=40),
                lambda: docs.count(),
                lambda: docs.get(range(40), consistency="one"),
                lambda: docs.scroll(limit=50),
            ):
                began = trio.current_time()
                result = await call()
                assert result == 40 if isinstance(result, int) else not getattr(result, "partial", False)
                longest = max(longest, trio.current_time() - began)
            await trio.sleep(0.3)
        assert longest <= 1.0
        cluster.network.resume("n3")
        cluster.network.heal()
        await rested(cluster)


@pytest.mark.parametrize("how", ["paused", "cut off", "without peers"])
async def test_a_coordinator_that_falls_silent_is_left_for_a_node_that_was_never_named(how: str) -> None:
    others = ["n2", "n3"]
    for call in range(5):
        async with open_cluster(seed=25) as cluster, cluster.client("n1", learning=True) as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
            await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")
            await docs.upsert(ids=[60], vectors=[[1]], mode="insert")  # all that ever befell it can be told
            calls = (
                lambda: docs.upsert(ids=range(20, 40), vectors=[[n] for n in range(20, 40)]),  # noqa: B023
                lambda: docs.get(range(20)),  # noqa: B023
                lambda: docs.search([3], k=5, consistency="quorum"),  # noqa: B023
                lambda: docs.upsert(ids=[50], vectors=[[1]], mode="insert"),  # noqa: B023
                lambda: docs.delete(ids=[60], consistency="linearizable"),  # noqa: B023
            )
            if how == "paused":
                cluster.network.pause("n1")
            elif how == "cut off":
                cluster.network.partition([["n1"]])
            else:
                for other in others:
                    cluster.network.block("n1", other)
                    cluster.network.block(other, "n1")
            began = trio.current_time()
            await calls[call]()
            took = trio.current_time() - began
            assert took <= 5.0
            cluster.network.resume("n1")
            cluster.network.heal()
            await rested(cluster)


@pytest.mark.parametrize("how", ["paused", "cut off"])
async def test_a_request_that_lay_at_a_silent_node_is_not_done_once_its_caller_has_gone_on(how: str) -> None:
    """The write is done elsewhere, and then deleted: it must not come back when the node reads it at last."""
    for seed in range(3):
        async with open_cluster(seed=seed) as cluster, cluster.client("n1", learning=True) as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
            await docs.count()  # over a connection that is good for the next call
            if how == "paused":
                cluster.network.pause("n1")
            else:
                cluster.network.partition([["n1"]])
            await docs.upsert(ids=[1], vectors=[[1]])
            await docs.delete(ids=[1])
            cluster.network.resume("n1")
            cluster.network.heal()
            await rested(cluster)
            assert await docs.get([1]) == [None]


async def test_a_change_that_comes_late_is_not_begun() -> None:
    async with open_cluster(seed=3) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"n": 1}], consistency="all")
        before = await docs.get([1, 2])
        node = cluster.node("n2")
        for ahead in (-0.001, 1.0):
            expires, vector = cluster.hosts["n2"].clock.now() + ahead, b"\0\0\0\0"
            for message in (
                m.Upsert("docs", [1, 2], 1, vector * 2, [b"\x80"] * 2, "quorum", "op1", expires),
                m.UpsertIf("docs", [2], 1, vector, [b"\x80"], "upsert", [], "op2", expires=expires),
                m.ChangePayload("docs", [1], None, b"\x81\xa1n\x02", [], "op3", expires=expires),
                m.Delete("docs", [1], "quorum", "op4", expires),
                m.DeleteIf("docs", [2], None, "op5", expires=expires),
            ):
                if ahead > 0:
                    await node.answer_client(message)
                else:
                    with pytest.raises(Unavailable, match="too late") as caught:
                        await node.answer_client(message)
                    assert caught.value.retryable
            if ahead < 0:
                assert await docs.get([1, 2]) == before
        assert await docs.get([1, 2]) == [None, None]


async def test_a_change_whose_stamp_took_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the node is stopped right before it."""
    async with open_cluster(seed=4) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        real = Stamps.next

        async def slow(self: Stamps, held: int = 0, **options: bool) -> int:
            await trio.sleep(2.0)
            return await real(self, held, **options)

        monkeypatch.setattr(Stamps, "next", slow)
        for ahead, written in ((1.0, False), (3.0, True)):
            expires = cluster.hosts["n2"].clock.now() + ahead
            message = m.Upsert("docs", [1], 1, b"\0\0\0\0", [b"\x80"], "quorum", "op", expires)
            if written:
                await cluster.node("n2").answer_client(message)
            else:
                with pytest.raises(Unavailable, match="too late"):
                    await cluster.node("n2").answer_client(message)
            assert ((await docs.get([1]))[0] is not None) is written


async def test_a_machine_that_is_gone_without_a_word_and_soon_back_is_used_again_at_once() -> None:
    """Connections to its former life say nothing: neither reset nor answer."""
    for seed in range(4):
        async with open_cluster(seed=seed) as cluster, cluster.client("n1") as db:
            docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
            await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
            cluster.kill("n3")
            await cluster.start("n3")
            began = trio.current_time()
            await docs.upsert(ids=[2], vectors=[[1]], consistency="all")
            assert trio.current_time() - began < 2.0


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [2.0, -2.0])
async def test_a_wrong_clock_spoils_neither_writes_nor_reads(offset: float) -> None:
    async with open_cluster(seed=24) as cluster, cluster.client() as right:
        docs = await right.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)], payloads=[{"v": 0}] * 10)
        cluster.hosts["n2"].clock.wall_offset = offset
        await trio.sleep(5.0)
        async with cluster.client("n2") as wrong, cluster.client("n1") as other:
            for n in range(10):
                writer, reader = (wrong, other) if n % 2 else (other, wrong)
                await writer.collection("docs").upsert(ids=[n], vectors=[[n]], payloads=[{"v": n + 100}])
                (point,) = await reader.collection("docs").get([n])
                assert point is not None
                assert point.payload == {"v": n + 100}
                assert not (await reader.collection("docs").search([n], k=1, consistency="quorum")).partial
                await trio.sleep(1.0)
                await reader.collection("docs").delete(ids=[n])
                assert await writer.collection("docs").get([n]) == [None]
        cluster.hosts["n2"].clock.wall_offset = 0.0
        await trio.sleep(3.0)
        await rested(cluster)
        assert await docs.count() == 0


async def test_a_refused_write_does_not_come_with_an_owner_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 44 once: the refused write was kept as a hint, and its high stamp won over what was written after it."""
    next_stamp = Stamps.next

    async def ahead(self: Stamps, held: int = 0, *, alone: bool = False) -> int:
        return await next_stamp(self, held, alone=alone) + stamp_of(2000)

    async with open_cluster(seed=26) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        with monkeypatch.context() as patched:
            patched.setattr(Stamps, "next", ahead)
            with pytest.raises(ClockSkew, match="nothing was written"):
                await docs.upsert(ids=[1], vectors=[[1]], payloads=[{"v": "refused"}])
        await docs.upsert(ids=[1], vectors=[[2]], payloads=[{"v": "acknowledged"}])
        await trio.sleep(5.0)  # by now nobody would refuse the high stamp
        await cluster.start("n3")
        hints = [cluster.node(name).hints.book for name in ("n1", "n2")]
        await cluster.until(lambda: not any(book.count for book in hints), within=60.0, what="hints are delivered")
        await rested(cluster)
        (point,) = await docs.get([1], consistency="all")
        assert point is not None
        assert point.payload == {"v": "acknowledged"}


async def test_reads_do_not_depend_on_the_owner_whose_clock_is_behind() -> None:
    """It refuses rows that look as if from the future, by repair and write-back too; two others hold them."""
    for seed in range(4):
        async with open_cluster(seed=seed) as cluster:
            cluster.hosts["n2"].clock.wall_offset = -30.0
            await trio.sleep(5.0)
            for writer in ("n1", "n3"):
                async with cluster.client(writer, timeout=5.0) as db:
                    docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1, if_not_exists=True)
                    await docs.upsert(ids=[writer], vectors=[[1]])
            for reader in ("n1", "n2", "n3"):
                async with cluster.client(reader, timeout=5.0) as db:
                    db.session.retry = type(db.session.retry)(refusals=0)
                    found = await db.collection("docs").get(["n1", "n3"])
                    assert None not in found
                    hits = await db.collection("docs").search([1], consistency="quorum")
                    assert {hit.id for hit in hits} == {"n1", "n3"}


# --- disks ------------------------------------------------------------------------------------------------------------


def shard_store(cluster: Cluster) -> str:
    return kv_name(ShardId(collection(cluster).id, 0))


@pytest.mark.parametrize("times", [1, 5])
async def test_a_failing_disk_of_one_owner_fails_no_quorum_write_and_its_shard_heals(times: int) -> None:
    async with open_cluster(seed=25) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=range(5), vectors=[[n] for n in range(5)], consistency="all")
        cluster.hosts["n3"].disk.fail_writes(times, name=shard_store(cluster))
        for n in range(5, 15):
            await docs.upsert(ids=[n], vectors=[[n]])
        assert cluster.hosts["n3"].up
        await cluster.until(lambda: live(cluster, "n3", range(15)) == [True] * 15, within=60.0, what="n3 healed")
        await rested(cluster)
        cluster.kill("n3", power=True)  # and it is on its disk
        await cluster.start("n3")
        assert live(cluster, "n3", range(15)) == [True] * 15


async def test_a_failing_disk_of_the_coordinator_is_no_worse() -> None:
    async with open_cluster(seed=26) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        cluster.hosts["n1"].disk.fail_writes(3, name=shard_store(cluster))
        for n in range(10):
            await docs.upsert(ids=[n], vectors=[[n]])
        assert cluster.hosts["n1"].up
        await rested(cluster)
        assert live(cluster, "n1", range(10)) == [True] * 10


async def test_a_nearly_full_disk_makes_a_node_read_only_until_there_is_space() -> None:
    async with open_cluster(nodes=1, seed=27) as cluster, cluster.client(timeout=3.0) as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]])
        cluster.hosts["n1"].disk.set_free(100 << 20)
        await trio.sleep(1.5)
        with pytest.raises(ReadOnly) as caught:
            await docs.upsert(ids=[2], vectors=[[2]])
        assert "free some space" in caught.value.message
        assert caught.value.retryable
        assert (await docs.get([1, 2]))[1] is None
        assert len(await docs.search([1])) == 1
        assert (await db.status()).nodes[0].read_only
        cluster.hosts["n1"].disk.set_free(50 << 30)
        await trio.sleep(1.5)
        await docs.upsert(ids=[2], vectors=[[2]])
        assert not (await db.status()).nodes[0].read_only


async def test_a_nearly_full_disk_of_one_owner_costs_no_write_and_the_owner_catches_up() -> None:
    async with open_cluster(seed=28) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        cluster.hosts["n2"].disk.set_free(100 << 20)
        await trio.sleep(1.5)
        await docs.upsert(ids=range(10), vectors=[[n] for n in range(10)])
        assert points(cluster, "n2") == 0
        cluster.hosts["n2"].disk.set_free(50 << 30)
        await rested(cluster)
        assert points(cluster, "n2") == 10


async def test_a_row_that_cannot_be_read_on_one_owner_is_read_from_the_others() -> None:
    async with open_cluster(seed=29) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        store = cluster.hosts["n1"].disk._stores[shard_store(cluster)]
        (row,) = rows(cluster, "n2", [1])
        assert row is not None
        store.damaged.update(key for key in store.table.pairs if row.version in (store.table.pairs[key] or b""))
        assert store.damaged
        db.session.retry = type(db.session.retry)(refusals=0)
        for level in ("one", "quorum"):
            (point,) = await docs.get([1], consistency=level)
            assert point is not None
        await docs.upsert(ids=[2], vectors=[[2]])
        await trio.sleep(30.0)  # repair meets it too
        assert cluster.hosts["n1"].up
        assert sees(cluster, "n2", "n1") is Liveness.ALIVE
        assert await docs.count() >= 1


async def test_a_dead_owner_does_not_keep_the_others_from_comparing_their_replicas() -> None:
    async with open_cluster(seed=30) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        cluster.network.partition([["n3"]])
        cluster.network.block("n1", "n2")
        await trio.sleep(0.1)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="one")
        cluster.network.heal()
        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        await cluster.until(lambda: live(cluster, "n2", [1]) == [True], within=30.0, what="n2 has it")


async def test_a_full_disk_of_a_voter_delays_its_catalog_and_no_one_elses() -> None:
    async with open_cluster(seed=31) as cluster, cluster.client("n1", "n2") as db:
        disk = cluster.hosts["n3"].disk
        disk.set_free(0)
        await trio.sleep(3.0)
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await docs.upsert(ids=[1], vectors=[[1]])
        await trio.sleep(5.0)
        behind = cluster.node("n3")
        assert cluster.hosts["n3"].up
        assert behind.catalog.state.epoch < cluster.node("n1").catalog.state.epoch
        async with cluster.client("n3") as here:
            assert any("the disk is full" in warning for warning in (await here.status()).warnings)
        disk.set_free(50 << 30)
        await cluster.until(lambda: points(cluster, "n3") == 1, within=60.0, what="n3 has the row")
        await rested(cluster)
        async with cluster.client("n3") as here:
            assert not any("the disk is full" in warning for warning in (await here.status()).warnings)


async def test_a_catalog_that_cannot_be_written_for_another_reason_ends_the_node() -> None:
    async with open_cluster(seed=32) as cluster, cluster.client("n1", "n2") as db:
        cluster.hosts["n3"].disk.fail_writes(100, name="system")
        await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await cluster.until(lambda: cluster.hosts["n3"].node is None, within=20.0, what="n3 ends")
        cluster.hosts["n3"].disk._faults.clear()
        cluster.hosts["n3"].disk.crash(power=False)
        cluster.hosts["n3"].failures.clear()
        await cluster.start("n3")
        await rested(cluster)


async def test_a_counter_that_failed_to_be_written_does_not_end_the_node_at_the_next_catalog_change() -> None:
    async with open_cluster(seed=33) as cluster, cluster.client("n1", "n2") as db:
        node = cluster.node("n3")
        cluster.hosts["n3"].disk.fail_writes(1, name="system")
        await node._heartbeat.run_once()
        await db.create_collection("docs", dimension=1, metric="l2", shards=1)
        await cluster.until(cluster.agreed, within=20.0)
        assert cluster.hosts["n3"].node is node


async def test_a_node_whose_own_records_are_damaged_says_what_to_do() -> None:
    async with open_cluster(seed=34) as cluster:
        for key in (b"identity", b"catalog/state"):
            cluster.kill("n3")
            disk = cluster.hosts["n3"].disk
            disk._stores["system"].damaged = {key}
            with pytest.raises(BaseExceptionGroup) as caught:
                await cluster.start("n3")
            assert "start with an empty one" in str(caught.value.exceptions[0])
            disk._stores["system"].damaged.clear()
            cluster.hosts["n3"].failures.clear()
        await cluster.start("n3")
        await rested(cluster)


async def test_what_a_node_alone_with_a_wrong_clock_stamped_does_not_win_later() -> None:
    """It starts 300 s ahead and hears nobody: its time would come for every row it writes."""
    async with open_cluster(seed=31) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=2, shards=1, replicas=3)
        async with cluster.client("n1") as near:  # so that n1 has a clock mark to go on from
            await near.collection("docs").upsert(ids=[1, 2], vectors=[[1, 0]] * 2, payloads=[{"n": 0}] * 2)
        for name in ("n1", "n2", "n3"):
            cluster.kill(name)
        cluster.hosts["n1"].clock.wall_offset = 300.0
        await cluster.start("n1")
        async with cluster.client("n1", timeout=5.0) as lone:
            alone = lone.collection("docs")
            with pytest.raises(VectronError):
                await alone.upsert(ids=[1], vectors=[[1, 0]], payloads=[{"n": 1}])
            await alone.upsert(ids=[2], vectors=[[1, 0]], payloads=[{"n": 1}], consistency="one")
        cluster.kill("n1")
        cluster.hosts["n1"].clock.wall_offset = 0.0
        await cluster.start("n2", wait=False)
        await cluster.start("n3")
        await docs.upsert(ids=[1, 2], vectors=[[1, 0]] * 2, payloads=[{"n": 2}] * 2)
        await cluster.start("n1")
        await rested(cluster)
        await trio.sleep(330.0)
        assert [point and point.payload for point in await docs.get([1, 2])] == [{"n": 2}, {"n": 2}]
