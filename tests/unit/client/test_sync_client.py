"""The blocking client against nodes that speak the real protocol."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.client.fake_node import (
    CLUSTER,
    HANG_UP,
    NO_ANSWER,
    FakeNode,
    cluster_info,
    cluster_status,
    collection_info,
    reply_with_info,
)
from tests.unit.client.memory_node import MemoryNode
from vectron_p2p import Client, connect
from vectron_p2p.client import flows
from vectron_p2p.client.session import RetryPolicy
from vectron_p2p.model.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from vectron_p2p.protocol import messages, silence

FAST = RetryPolicy(base_s=0.001, cap_s=0.01)


NO_HITS = messages.HitList([], b"", [], [], b"")
TWO_PARTS = np.ones((600, 1))


def _numbered(message: messages.Search, *missing: int) -> messages.SearchReply:
    return messages.SearchReply([NO_HITS] * message.count, list(missing), float(message.count), None)


def test_two_requests_of_a_batch_are_under_way_at_once() -> None:
    both = threading.Barrier(2, timeout=10)

    def answer(message: messages.Search) -> Any:
        both.wait()
        return _numbered(message)

    with FakeNode(answer) as node, connect(node.target) as db:
        results = db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
        assert [result.took_ms for result in results] == [128.0] * 128 + [472.0] * 472
        assert len(node.hellos) == 2
        db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
        assert len(node.hellos) == 2  # both connections are used again


def test_a_part_of_a_batch_may_be_partial() -> None:
    with FakeNode(lambda message: _numbered(message, *([3] if message.count == 472 else []))) as node:
        with connect(node.target) as db:
            results = db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
    assert [result.partial for result in results] == [False] * 128 + [True] * 472


def test_a_failed_request_of_a_batch_ends_the_other_and_leaves_no_connection_that_owes_an_answer() -> None:
    def answer(message: messages.Search) -> Any:
        if message.count == 128:
            raise NotFound("no such collection", field="collection")
        return NO_ANSWER if message.count == 472 else _numbered(message)

    with FakeNode(answer) as node, connect(node.target) as db:
        with pytest.raises(NotFound):
            db.collection("docs").search_batch(TWO_PARTS, with_payload=False)
        assert len(db.collection("docs").search_batch(TWO_PARTS[:2])) == 2
        assert len(node.hellos) == 2


def test_the_second_request_of_a_batch_is_tried_again_by_itself() -> None:
    broken = iter([HANG_UP])

    def answer(message: messages.Search) -> Any:
        return next(broken, _numbered(message)) if message.count == 472 else _numbered(message)

    with FakeNode(answer) as node, connect(node.target, retry=FAST) as db:
        assert len(db.collection("docs").search_batch(TWO_PARTS, with_payload=False)) == 600
        assert sorted(message.count for message in node.requests) == [128, 472, 472]


def test_a_batch_of_which_one_request_is_late_is_late() -> None:
    def answer(message: messages.Search) -> Any:
        return NO_ANSWER if message.count == 472 else _numbered(message)

    with FakeNode(answer) as node, connect(node.target) as db:
        with pytest.raises(DeadlineExceeded, match="1 of 2 parts"):
            db.collection("docs").search_batch(TWO_PARTS, with_payload=False, timeout=0.05)


def test_the_life_of_a_collection() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        docs = db.create_collection("docs", dimension=3)
        assert docs.upsert([{"id": 1, "vector": [1, 2, 3], "payload": {"a": 1}}, ("x", [4, 5, 6])]).count == 2
        assert docs.count() == 2
        found = docs.search([1, 2, 3], k=5, with_vector=True, explain=True)
        assert [hit.id for hit in found] == [1, "x"]
        assert found[0].vector is not None
        assert found[0].vector.tolist() == [1, 2, 3]
        assert found.plan == [{"shard": 0}]
        assert [hit.id for hit in docs.search(id=1)] == ["x"]
        assert [len(result) for result in docs.search_batch(np.eye(3), k=1)] == [1, 1, 1]
        point, gap = docs.get([1, 99], with_vector=True)
        assert gap is None
        assert point is not None
        assert (point.id, point.payload) == (1, {"a": 1})
        page = docs.scroll(limit=1)
        assert [len(docs.scroll(limit=5, cursor=page.cursor).points), page.points[0].payload] == [1, {"a": 1}]
        assert docs.delete(ids=[1, 99]).count == 2
        assert docs.count(filter={"a": 1}) == 1
        assert docs.info() == collection_info("docs")
        assert db.list_collections() == [collection_info()]
        assert db.cluster() == cluster_info()
        assert db.status() == cluster_status()
        db.delete_collection("docs")


def test_calls_share_one_connection() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        for _ in range(20):
            db.collection("docs").count()
        assert len(node.hellos) == 1
        assert len(node.requests) == 20


def test_the_time_left_reaches_the_node() -> None:
    with MemoryNode() as node, connect(node.target, timeout=7.0) as db:
        db.collection("docs").count()
        assert node.timeouts[0] is not None
        assert 6.0 < node.timeouts[0] < 8.0


def test_errors_of_the_node_arrive_as_they_are() -> None:
    def answer(message: Any) -> Any:
        raise InvalidArgument("wrong dimension", field="vector", node="n1")

    with FakeNode(answer) as node, connect(node.target) as db:
        with pytest.raises(InvalidArgument) as caught:
            db.collection("docs").upsert(ids=[1], vectors=[[1.0]])
        assert (caught.value.message, caught.value.field, caught.value.node) == ("wrong dimension", "vector", "n1")
        assert db.session.cluster == CLUSTER


def test_a_dead_seed_is_passed_over() -> None:
    with MemoryNode() as node, connect(f"127.0.0.1:{free_port()},{node.target}") as db:
        assert db.collection("docs").count() == 0


def test_a_node_that_dies_is_left_for_another() -> None:
    with MemoryNode() as first, MemoryNode() as second, connect(f"{first.target},{second.target}", retry=FAST) as db:
        docs = db.collection("docs")
        docs.count()
        used, other = (first, second) if first.requests else (second, first)
        used.stop()
        assert docs.count() == 0
        assert other.requests


def test_a_restarted_node_is_found_again_on_stale_connections() -> None:
    with MemoryNode() as node:
        with connect(node.target, retry=FAST) as db:
            docs = db.collection("docs")
            docs.count()
            node.stop()
            with MemoryNode(port=node.address.port) as again:
                assert docs.count() == 0
                assert again.requests


def test_a_connection_broken_while_idle_costs_no_attempt() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.count()
        node.hang_up()
        wait_until(lambda: not node._open)
        assert docs.count() == 0
        assert len(node.requests) == 2
        assert len(node.hellos) == 2


def test_a_connection_broken_in_mid_call_is_tried_again() -> None:
    answers = iter([HANG_UP, HANG_UP, messages.CountReply(4)])
    with FakeNode(lambda _: next(answers)) as node, connect(node.target, retry=FAST) as db:
        assert db.collection("docs").count() == 4


def test_no_answer_in_time() -> None:
    with FakeNode(lambda _: NO_ANSWER) as node, connect(node.target, timeout=0.5) as db:
        with pytest.raises(DeadlineExceeded):
            db.collection("docs").count()
        with pytest.raises(DeadlineExceeded):
            db.collection("docs").count()
        assert len(node.hellos) == 2  # a late answer must not meet the next call


def test_a_node_that_never_greets_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "DIAL_ELSEWHERE_S", 0.1)
    silent = socket.create_server(("127.0.0.1", 0))  # accepts by its backlog, as a stopped process does
    target = f"127.0.0.1:{silent.getsockname()[1]}"
    with silent, MemoryNode() as node, connect(f"{target},{node.target}", retry=FAST) as db:
        for _ in range(3):
            db.session._preferred = db.session.addresses[0]
            db.session._lost_until.clear()
            assert db.collection("docs").count() == 0


def test_a_node_that_falls_silent_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "SILENCE_ELSEWHERE_S", 0.1)
    hung = threading.Event()

    def hang(_: Any) -> Any:
        hung.wait(20)  # the thread of the connection is stuck: no pings are answered
        return HANG_UP

    with FakeNode(hang) as silent, MemoryNode() as node:
        with connect(f"{silent.target},{node.target}", retry=FAST) as db:
            db.session._preferred = silent.address
            assert db.collection("docs").count() == 0
            assert silent.requests
        hung.set()


def test_a_slow_node_that_answers_pings_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(flows, "SILENCE_S", 1.0)
    with PatientNode() as node, connect(node.target, timeout=30.0) as db:
        assert db.collection("docs").count() == 1
        assert len(node.requests) == 1


class PatientNode(FakeNode):
    """Answers a request only after it has seen some pings."""

    def __init__(self) -> None:
        self.pending: Any = None
        self.reads = 0
        super().__init__(lambda _: NO_ANSWER)

    def _answer(self, connection: Any, request: Any) -> bool:
        self.pending = connection, request.id
        return True

    def _talk(self, stream: socket.socket) -> None:
        super()._talk(_Counting(stream, self))  # type: ignore[arg-type]  # the two methods that are used

    def saw_bytes(self) -> None:
        self.reads += 1
        if self.pending is not None and self.reads >= 4:
            connection, request_id = self.pending
            self.pending = None
            connection.respond(request_id, messages.CountReply(1))


class _Counting:
    def __init__(self, stream: socket.socket, node: PatientNode) -> None:
        self.stream, self.node = stream, node

    def recv(self, size: int) -> bytes:
        data = self.stream.recv(size)
        self.node.saw_bytes()
        return data

    def sendall(self, data: bytes) -> None:
        self.stream.sendall(data)


def test_another_cluster_is_refused() -> None:
    with (
        MemoryNode() as one,
        MemoryNode(cluster="other") as two,
        connect(f"{one.target},{two.target}", retry=FAST) as db,
    ):
        db.session._preferred = one.address
        assert db.collection("docs").count() == 0
        one.stop()
        with pytest.raises(InvalidArgument, match="cluster"):
            db.collection("docs").count()


def test_who_is_no_node_is_not_believed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def speak_http() -> None:
        for _ in range(2):
            try:
                stream, _ = listener.accept()
            except OSError:  # closed: one connection was enough
                return
            with stream:
                stream.recv(1000)
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=speak_http, daemon=True)
    thread.start()
    with listener, connect(f"127.0.0.1:{listener.getsockname()[1]}", timeout=2.0, retry=FAST) as db:
        with pytest.raises(InvalidArgument, match="protocol"):
            db.collection("docs").count()


def test_connections_are_renewed_to_tell_a_new_epoch() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        db.collection("docs").count()
        db.session.saw(0, 99)
        db.collection("docs").count()
        db.collection("docs").count()
        assert [hello.epoch for hello in node.hellos] == [0, 99]
        assert [hello.cluster for hello in node.hellos] == [None, CLUSTER]


def test_threads_have_connections_of_their_own() -> None:
    gate = threading.Barrier(4, timeout=20)

    def answer(message: Any) -> Any:
        gate.wait()
        return messages.CountReply(1)

    with FakeNode(answer) as node, connect(node.target) as db, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: db.collection("docs").count(), range(40))) == [1] * 40
        assert len(node.hellos) <= 8


def test_a_closed_client_says_so() -> None:
    with MemoryNode() as node:
        with connect(node.target) as db:
            db.collection("docs").count()
        with pytest.raises(InvalidArgument, match="closed"):
            db.collection("docs").count()
        wait_until(lambda: not node._open)
        db.close()


def test_large_requests_and_replies() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        docs = db.collection("docs")
        vectors = np.random.default_rng(1).random((3000, 512), np.float32)
        assert docs.upsert(ids=range(3000), vectors=vectors, payloads=[{"x": "y" * 100}] * 3000).count == 3000
        found = docs.get(range(3000), with_vector=True)
        assert all(point is not None and point.vector is not None for point in found)
        assert found[2999].vector.tolist() == vectors[2999].tolist()  # type: ignore[union-attr]  # checked above


@pytest.mark.parametrize("parallel", [1, 4])
def test_upload(parallel: int) -> None:
    seen: list[tuple[int, int | None]] = []
    with MemoryNode() as node, connect(node.target) as db:
        rows = ((number, [1.0, 2.0], {"n": number}) for number in range(1000))
        report = db.collection("docs").upload(
            rows, batch_size=64, parallel=parallel, progress=lambda done, total: seen.append((done, total))
        )
        assert (report.sent, report.failed, report.errors) == (1000, 0, [])
        assert report.seconds > 0
        assert len(node.rows) == 1000
        assert seen[-1] == (1000, None)


def test_upload_uses_all_seeds_as_coordinators() -> None:
    with MemoryNode() as one, MemoryNode() as two, connect(f"{one.target},{two.target}") as db:
        db.collection("docs").upload({"ids": range(100), "vectors": np.ones((100, 2))}, batch_size=10)
        assert len(one.requests) == len(two.requests) == 5


def test_upload_of_duplicates_keeps_the_last() -> None:
    with MemoryNode() as node, connect(node.target) as db:
        rows = ((number % 7, [float(number)]) for number in range(500))
        db.collection("docs").upload(rows, batch_size=3, parallel=8)
        values = {key: float(np.frombuffer(row[0], "<f4")[0]) for key, row in node.rows.items()}
        assert values == {number % 7: float(number) for number in range(493, 500)}


def test_upload_stops_at_the_first_error() -> None:
    def answer(message: Any) -> Any:
        if isinstance(message, messages.DescribeCollection):
            return messages.CollectionReply({**reply_with_info(message).info, "dimension": 1})
        if 50 in message.ids:
            raise NotFound("gone")
        return messages.WriteReply(len(message.ids))

    with FakeNode(answer) as node, connect(node.target) as db:
        source = ((number, [1.0]) for number in range(100_000))
        with pytest.raises(NotFound):
            db.collection("docs").upload(source, batch_size=10, parallel=2)
        assert next(source)[0] < 1000
        assert len(node.requests) < 100


def test_upload_collects_errors_and_goes_on() -> None:
    def answer(message: Any) -> Any:
        if isinstance(message, messages.DescribeCollection):
            return messages.CollectionReply({**reply_with_info(message).info, "dimension": 1})
        if 50 in message.ids:
            raise NotFound("gone")
        return messages.WriteReply(len(message.ids))

    with FakeNode(answer) as node, connect(node.target) as db:
        source = [(number, [1.0]) for number in range(95)] + [("", [1.0])]
        report = db.collection("docs").upload(source, batch_size=10, on_error="collect")
        assert (report.sent, report.failed) == (85, 11)
        assert [entry["code"] for entry in sorted(report.errors, key=lambda entry: entry["rows"])] == [
            "not_found",
            "invalid_argument",
        ]


def test_upload_passes_on_what_the_source_raises() -> None:
    def source() -> Any:
        yield from ((number, [1.0]) for number in range(100))
        raise ZeroDivisionError

    with MemoryNode() as node, connect(node.target) as db:
        with pytest.raises(ZeroDivisionError):
            db.collection("docs").upload(source(), batch_size=10)
        assert len(node.rows) == 100


def test_upload_shows_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with MemoryNode() as node, connect(node.target) as db:
        db.collection("docs").upload([(1, [1.0])], progress=True)
    captured = capsys.readouterr()
    assert "uploading" in captured.err
    assert not captured.out
    with pytest.raises(InvalidArgument), connect("127.0.0.1:1") as db:
        db.collection("docs").upload([], progress="yes")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda db: db.collection("a b"), "name"),
        (lambda db: db.collection("docs").search(), "vector"),
        (lambda db: db.collection("docs").search([1.0], id=1), "vector"),
        (lambda db: db.collection("docs").search([1.0], timeout=0), "timeout"),
        (lambda db: db.collection("docs").search_batch([1.0]), "vector"),
        (lambda db: db.collection("docs").search_batch([[1.0]], k=0), "k"),
        (lambda db: db.collection("docs").delete(ids=None), "ids"),
        (lambda db: db.collection("docs").get("abc"), "ids"),
        (lambda db: db.collection("docs").search([1], consistency="linearizable"), "consistency"),
        (lambda db: db.collection("docs").upsert([], consistency="x"), "consistency"),
        (lambda db: db.create_collection("docs", dimension=0), "dimension"),
        (lambda db: db.delete_collection(""), "name"),
        (lambda db: Client("127.0.0.1:1", timeout=0), "timeout"),
        (lambda db: Client("127.0.0.1:1", api_key="k"), "api_key"),
        (lambda db: Client("127.0.0.1:1", tls="ca.pem"), "tls"),
    ],
)
def test_bad_arguments_never_leave_the_client(call: Any, field: str) -> None:
    with connect(f"127.0.0.1:{free_port()}") as db:
        with pytest.raises(InvalidArgument) as caught:
            call(db)
        assert caught.value.field == field


def test_nothing_to_do_asks_nobody() -> None:
    with connect(f"127.0.0.1:{free_port()}") as db:
        docs = db.collection("docs")
        assert docs.upsert([]).count == 0
        assert docs.delete(ids=[]).count == 0
        assert docs.get([]) == []
        assert docs.search_batch(np.empty((0, 3))) == []
        assert docs.upload([]).sent == 0


def test_an_unreachable_cluster_is_unavailable() -> None:
    with connect(f"127.0.0.1:{free_port()}", timeout=0.5, retry=FAST) as db:
        with pytest.raises(Unavailable, match="no node can be reached"):
            db.cluster()


def test_nodes_learnt_from_the_cluster_are_asked_when_the_seed_is_gone(tmp_path: Path) -> None:
    with MemoryNode() as other:
        info = cluster_info(address=other.target)

        def answer(message: Any) -> Any:
            if isinstance(message, messages.GetCluster):
                from dataclasses import asdict

                return messages.ClusterReply(asdict(info))
            return reply_with_info(message)

        with FakeNode(answer) as seed, connect(seed.target, retry=FAST) as db:
            db.cluster()
            seed.stop()
            assert db.collection("docs").count() == 0
            assert other.requests


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
