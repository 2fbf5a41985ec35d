"""The asynchronous client, on trio and on asyncio, against nodes that speak the real protocol."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import anyio
import numpy as np
import pytest

from tests.unit.client.fake_node import (
    HANG_UP,
    NO_ANSWER,
    FakeNode,
    cluster_info,
    cluster_status,
    collection_info,
    reply_with_info,
)
from tests.unit.client.memory_node import MemoryNode
from tests.unit.client.test_sync_client import FAST, PatientNode, free_port
from vectron_p2p import AsyncClient
from vectron_p2p.client import flows
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from vectron_p2p.protocol import messages, silence

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


async def test_the_life_of_a_collection() -> None:
    with MemoryNode() as node:
        async with AsyncClient(node.target) as db:
            docs = await db.create_collection("docs", dimension=3)
            assert (
                await docs.upsert([{"id": 1, "vector": [1, 2, 3], "payload": {"a": 1}}, ("x", [4, 5, 6])])
            ).count == 2
            assert await docs.count() == 2
            found = await docs.search([1, 2, 3], with_vector=True)
            assert [hit.id for hit in found] == [1, "x"]
            assert [len(result) for result in await docs.search_batch(np.eye(3), k=1)] == [1, 1, 1]
            point, gap = await docs.get([1, 99])
            assert gap is None
            assert point is not None
            assert point.payload == {"a": 1}
            assert len((await docs.scroll(limit=1)).points) == 1
            assert (await docs.delete(ids=[1])).count == 1
            assert await docs.info() == collection_info("docs")
            assert await db.list_collections() == [collection_info()]
            assert await db.cluster() == cluster_info()
            assert await db.status() == cluster_status()
            await db.delete_collection("docs")
            assert db.collection("docs").name == "docs"
        assert len(node.hellos) == 1


NO_HITS = messages.HitList([], b"", [], [], b"")
TWO_PARTS = np.ones((600, 1))


def _numbered(message: messages.Search) -> messages.SearchReply:
    return messages.SearchReply([NO_HITS] * message.count, [], float(message.count), None)


async def test_the_requests_of_a_batch_keep_their_order_whichever_is_answered_first() -> None:
    kept_waiting = iter([NO_ANSWER])

    def answer(message: messages.Search) -> Any:
        return next(kept_waiting, _numbered(message)) if message.count == 128 else _numbered(message)

    with FakeNode(answer) as node:
        async with AsyncClient(node.target, retry=FAST) as db, anyio.create_task_group() as group:

            async def break_off() -> None:
                while len(node.requests) < 2:  # noqa: ASYNC110  # the node is a thread, it sets no event here
                    await anyio.sleep(0.005)
                node.hang_up()

            group.start_soon(break_off)
            results = await db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
    assert [result.took_ms for result in results] == [128.0] * 128 + [472.0] * 472


async def test_a_failed_request_of_a_batch_cancels_the_other() -> None:
    def answer(message: messages.Search) -> Any:
        if message.count == 472:
            raise NotFound("no such collection", field="collection")
        return NO_ANSWER

    with FakeNode(answer) as node:
        async with AsyncClient(node.target) as db:
            with pytest.raises(NotFound):
                await db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
        assert sorted(message.count for message in node.requests) == [128, 472]


async def test_a_cancelled_batch_cancels_all_its_requests() -> None:
    with FakeNode(lambda _: NO_ANSWER) as node:
        async with AsyncClient(node.target) as db:
            async with anyio.create_task_group() as group:
                group.start_soon(partial(db.collection("docs").search_batch, TWO_PARTS, with_payload=False))
                while len(node.requests) < 2:  # noqa: ASYNC110  # the node is a thread, it sets no event here
                    await anyio.sleep(0.005)
                group.cancel_scope.cancel()
            node.handler = lambda message: messages.CountReply(7)
            assert await db.collection("docs").count() == 7
        assert len(node.hellos) == 1


async def test_a_batch_that_is_late_says_how_much_of_it_was_done() -> None:
    with FakeNode(lambda message: NO_ANSWER if message.count == 472 else _numbered(message)) as node:
        async with AsyncClient(node.target) as db:
            with pytest.raises(DeadlineExceeded, match="1 of 2 parts"):
                await db.collection("docs").search_batch(TWO_PARTS, with_payload=False, timeout=0.2)


async def test_tasks_share_one_connection() -> None:
    with MemoryNode() as node:
        async with AsyncClient(node.target) as db, anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(db.collection("docs").count)
        assert len(node.hellos) == 1
        assert len(node.requests) == 50


async def test_errors_of_the_caller_are_not_wrapped() -> None:
    async def fail(node: FakeNode) -> None:
        async with AsyncClient(node.target) as db:
            await db.collection("docs").count()
            raise ZeroDivisionError

    with MemoryNode() as node, pytest.raises(ZeroDivisionError):
        await fail(node)


async def test_errors_of_the_node_arrive_as_they_are() -> None:
    def answer(message: Any) -> Any:
        raise NotFound("no such collection", field="collection")

    with FakeNode(answer) as node:
        async with AsyncClient(node.target) as db:
            with pytest.raises(NotFound) as caught:
                await db.collection("docs").count()
            assert caught.value.field == "collection"


async def test_failover_and_return() -> None:
    with MemoryNode() as one, MemoryNode() as two:
        async with AsyncClient(f"{one.target},{two.target}", retry=FAST) as db:
            docs = db.collection("docs")
            await docs.count()
            used, other = (one, two) if one.requests else (two, one)
            await anyio.to_thread.run_sync(used.stop)
            assert await docs.count() == 0
            assert other.requests
            await anyio.to_thread.run_sync(other.stop)
            with MemoryNode(port=used.address.port) as again:
                assert await docs.count() == 0
                assert again.requests


async def test_a_connection_broken_in_mid_call_is_tried_again() -> None:
    answers = iter([HANG_UP, messages.CountReply(4)])
    with FakeNode(lambda _: next(answers)) as node:
        async with AsyncClient(node.target, retry=FAST) as db:
            assert await db.collection("docs").count() == 4


async def test_no_answer_in_time_leaves_the_connection_in_use() -> None:
    answers = iter([messages.CountReply(1), NO_ANSWER, messages.CountReply(3)])
    with FakeNode(lambda _: next(answers)) as node:
        async with AsyncClient(node.target) as db:
            await db.collection("docs").count()
            with pytest.raises(DeadlineExceeded):
                await db.collection("docs").search([1.0], timeout=0.01)
            assert await db.collection("docs").count() == 3
        assert len(node.hellos) == 1


async def test_a_cancelled_call_is_taken_back() -> None:
    with FakeNode(lambda message: NO_ANSWER if isinstance(message, messages.Count) else messages.Done()) as node:
        async with AsyncClient(node.target) as db:
            async with anyio.create_task_group() as group:
                group.start_soon(db.collection("docs").count)
                while not node.requests:  # noqa: ASYNC110  # the node is a thread, it sets no event here
                    await anyio.sleep(0.005)
                group.cancel_scope.cancel()
            transport: Any = db._transport
            [link] = transport._links.values()
            assert link._connection.in_flight == 0
            assert link.usable


async def test_cancelling_around_the_client_is_clean() -> None:
    with FakeNode(lambda _: NO_ANSWER) as node:
        with anyio.move_on_after(0.05) as scope:
            async with AsyncClient(node.target) as db:
                await db.collection("docs").count()
        assert scope.cancelled_caught


async def test_a_silent_node_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "SILENCE_ELSEWHERE_S", 0.1)
    hung = threading.Event()

    def hang(_: Any) -> Any:
        hung.wait(20)  # the thread of the connection is stuck: no pings are answered
        return HANG_UP

    with FakeNode(hang) as silent, MemoryNode() as node:
        async with AsyncClient(f"{silent.target},{node.target}", retry=FAST) as db:
            db.session._preferred = silent.address
            assert await db.collection("docs").count() == 0
            assert silent.requests
        hung.set()


async def test_a_slow_node_that_answers_pings_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(flows, "SILENCE_S", 1.0)
    with PatientNode() as node:
        async with AsyncClient(node.target) as db:
            assert await db.collection("docs").count() == 1
        assert len(node.requests) == 1


async def test_another_cluster_is_refused() -> None:
    with MemoryNode() as one, MemoryNode(cluster="other") as two:
        async with AsyncClient(f"{one.target},{two.target}", retry=FAST) as db:
            db.session._preferred = one.address
            await db.collection("docs").count()
            await anyio.to_thread.run_sync(one.stop)
            with pytest.raises(InvalidArgument, match="cluster"):
                await db.collection("docs").count()


async def test_connections_are_renewed_to_tell_a_new_epoch() -> None:
    with MemoryNode() as node:
        async with AsyncClient(node.target) as db:
            await db.collection("docs").count()
            db.session.saw(0, 99)
            await db.collection("docs").count()
            await db.collection("docs").count()
        assert [hello.epoch for hello in node.hellos] == [0, 99]


async def test_an_unreachable_cluster_is_unavailable() -> None:
    async with AsyncClient(f"127.0.0.1:{free_port()}", timeout=0.5, retry=FAST) as db:
        with pytest.raises(Unavailable, match="no node can be reached"):
            await db.status()


async def test_a_client_that_is_not_open_says_so() -> None:
    db = AsyncClient("127.0.0.1:1")
    with pytest.raises(InvalidArgument, match="async with"):
        await db.status()
    async with db:
        await db.close()
        with pytest.raises(InvalidArgument, match="not open"):
            await db.collection("docs").count()


async def test_upload() -> None:
    seen: list[tuple[int, int | None]] = []
    with MemoryNode() as node:
        async with AsyncClient(node.target) as db:
            report = await db.collection("docs").upload(
                {"ids": range(500), "vectors": np.ones((500, 8))},
                batch_size=32,
                progress=lambda done, total: seen.append((done, total)),
            )
        assert (report.sent, report.failed) == (500, 0)
        assert len(node.rows) == 500
        assert seen[-1] == (500, 500)


async def test_upload_stops_at_the_first_error_and_does_not_wrap_it() -> None:
    def answer(message: Any) -> Any:
        if isinstance(message, messages.DescribeCollection):
            return messages.CollectionReply({**reply_with_info(message).info, "dimension": 1})
        if 50 in message.ids:
            raise NotFound("gone")
        return messages.WriteReply(len(message.ids))

    with FakeNode(answer) as node:
        async with AsyncClient(node.target) as db:
            source = ((number, [1.0]) for number in range(100_000))
            with pytest.raises(NotFound):
                await db.collection("docs").upload(source, batch_size=10, parallel=2)
            assert next(source)[0] < 1000
            report = await db.collection("docs").upload(
                [(50, [1.0]), (51, [1.0]), ("", [1.0])], batch_size=1, on_error="collect"
            )
            assert (report.sent, report.failed) == (1, 2)


async def test_upload_passes_on_what_the_source_raises() -> None:
    def source() -> Any:
        yield (1, [1.0])
        raise ZeroDivisionError

    with MemoryNode() as node:
        async with AsyncClient(node.target) as db:
            with pytest.raises(ZeroDivisionError):
                await db.collection("docs").upload(source(), batch_size=1)
