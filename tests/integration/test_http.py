"""The HTTP server of a node, over real sockets: what it answers, and what callers may do to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.nodes import running, vectron
from vectron_p2p import connect
from vectron_p2p.model.ids import Address
from vectron_p2p.net import http as server_module
from vectron_p2p.net.http import MAX_CONNECTIONS, MAX_HEADER, HttpServer, Response
from vectron_p2p.node.metrics import METRICS
from vectron_p2p.observability.exposition import BOUNDS_S
from vectron_p2p.runtime.real import TrioClock
from vectron_p2p.testing.processes import ProcessCluster, wait_for

WITHIN = 20.0  # seconds for what takes milliseconds


async def answer(path: str) -> Response:
    if path == "/broken":
        raise RuntimeError("a defect")
    if path == "/large":
        return Response(200, "x" * 20_000_000)
    return Response(200 if path == "/here" else 404, f"at {path}\n")


@asynccontextmanager
async def serving() -> AsyncIterator[Callable[..., Any]]:
    """A function that opens a connection."""
    server = await HttpServer.open(Address("127.0.0.1", 0), TrioClock(), answer)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)

            async def dial() -> trio.SocketStream:
                return await trio.open_tcp_stream(*server.address)

            yield dial
            nursery.cancel_scope.cancel()


async def whole(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side closes."""
    return b"".join([chunk async for chunk in stream])


async def asked(dial: Callable[..., Any], request: bytes) -> bytes:
    async with await dial() as stream:
        await stream.send_all(request)
        return await whole(stream)


CLOSE = b"Host: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /here HTTP/1.1\r\n" + CLOSE + b"\r\n", 200, b"at /here\n"),
        (b"GET /here?a=1 HTTP/1.1\r\n" + CLOSE + b"\r\n", 200, b"at /here\n"),
        (b"GET /here HTTP/1.0\r\n\r\n", 200, b"at /here\n"),
        (b"HEAD /here HTTP/1.1\r\n" + CLOSE + b"\r\n", 200, b""),
        (b"GET /there HTTP/1.1\r\n" + CLOSE + b"\r\n", 404, b"at /there\n"),
        (b"GET /broken HTTP/1.1\r\n" + CLOSE + b"\r\n", 500, None),
        (b"POST /here HTTP/1.1\r\nContent-Length: 3\r\n" + CLOSE + b"\r\nabc", 405, None),
        (b"GET /here HTTP/1.1\r\nX: " + b"y" * 2 * MAX_HEADER, 431, None),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, None),  # TLS
        (b"GET /here HTTP/1.1\r\n\r\n", 400, None),  # no Host
    ],
    ids=["get", "query", "1.0", "head", "404", "500", "405", "endless header", "tls", "no host"],
)
async def test_requests(request_: bytes, status: int, body: bytes | None) -> None:
    async with serving() as dial:
        head, _, found = (await asked(dial, request_)).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
        assert body is None or found == body
        if status == 405:
            assert b"GET, HEAD" in head


async def test_a_connection_serves_many_requests() -> None:
    async with serving() as dial, await dial() as stream:
        for _ in range(3):
            await stream.send_all(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await stream.receive_some(4096)).endswith(b"at /here\n")
        await stream.send_all(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /there HTTP/1.1\r\n" + CLOSE + b"\r\n")
        both = await whole(stream)
        assert both.count(b"HTTP/1.1 ") == 2
        assert both.endswith(b"at /there\n")


async def test_half_a_request_and_nothing_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 0.2)
    async with serving() as dial:
        assert (await asked(dial, b"GET /here HTT")).startswith(b"HTTP/1.1 408 ")
        assert await asked(dial, b"") == b""
        async with await dial() as stream:  # one byte now and then
            sent = 0
            with contextlib.suppress(trio.BrokenResourceError):
                for _ in range(10_000):
                    await stream.send_all(b"G")
                    sent += 1
                    await trio.sleep(0.01)
            assert 0 < sent < 10_000


async def test_who_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SEND_WITHIN", 0.2)
    async with serving() as dial, await dial() as stream:
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(0.5)
        with contextlib.suppress(trio.BrokenResourceError):
            assert len(await whole(stream)) < 20_000_000


async def test_too_many_connections_are_turned_away_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as dial:
        held = [await dial() for _ in range(MAX_CONNECTIONS)]
        for stream in held:  # each is served before the next comes
            await stream.send_all(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await stream.receive_some(4096)
        async with await dial() as stream:
            assert (await whole(stream)).startswith(b"HTTP/1.1 503 ")
        for stream in held:
            await stream.aclose()
        while not (  # noqa: ASYNC110  (the server tells nobody that it has room)
            await asked(dial, b"GET /here HTTP/1.1\r\n" + CLOSE + b"\r\n")
        ).startswith(b"HTTP/1.1 200 "):
            await trio.sleep(0.01)


# --- of a real node ---------------------------------------------------------------------------------------------------


def get(address: str, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection(address, timeout=WITHIN)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


def http_of(ready_line: str) -> str:
    return dict(word.split("=", 1) for word in ready_line.split()[1:])["http"]


@pytest.mark.processes
def test_a_cluster_is_ready_and_a_node_that_is_cut_off_is_not() -> None:
    with ProcessCluster(3, arguments=["--http", "127.0.0.1:0"]) as cluster:
        cluster.start()
        addresses = [http_of(node.ready_line) for node in cluster.nodes]
        with connect(cluster.connect) as db:
            docs = db.create_collection("docs", dimension=2, shards=2)
            docs.upsert(ids=[1, 2], vectors=[[1, 0], [0, 1]])
            for _ in range(20):
                docs.search([1, 0], k=1)
            with pytest.raises(Exception, match="nothing"):
                db.collection("nothing").count()
        for address in addresses:
            assert get(address, "/healthz") == (200, "application/json", '{"status": "ok"}\n')
            status, _, body = get(address, "/readyz")
            assert (status, json.loads(body)) == (200, {"ready": True, "reasons": []})
            assert get(address, "/")[0] == 404
        check_metrics([get(address, "/metrics") for address in addresses])
        cluster.kill(1)
        cluster.kill(2)

        def cut_off() -> str | None:
            status, _, body = get(addresses[0], "/readyz")
            return body if status == 503 else None

        body = wait_for(cut_off, 60.0, "/readyz to say that voters are gone")
        assert "1 of 3 voters" in body
        assert get(addresses[0], "/healthz")[0] == 200
        cluster.start_node(1)
        wait_for(lambda: get(addresses[0], "/readyz")[0] == 200 or None, 60.0, "/readyz to be ready again")


def check_metrics(scrapes: list[tuple[int, str, str]]) -> None:
    """Everything declared is there, with its type, its labels and a text; nothing else is."""
    declared = {metric.name: metric for metric in METRICS}
    searches = 0.0
    for status, content_type, text in scrapes:
        assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
        families = list(text_string_to_metric_families(text))
        found = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
        assert found.keys() == declared.keys()
        for name, family in found.items():
            metric = declared[name]
            assert (family.type, family.documentation) == (metric.kind, metric.help)
            labels = set(metric.labels) | ({"le"} if metric.kind == "histogram" else set())
            for sample in family.samples:
                assert set(sample.labels) <= labels, sample
                assert set(sample.labels) >= set(metric.labels), sample
                assert math.isfinite(sample.value)
                assert sample.value >= 0
        for family in families:
            if family.type == "histogram":
                check_histogram(family)
        searches += sum(
            sample.value
            for sample in found["vectron_requests_total"].samples
            if sample.labels == {"kind": "client", "operation": "search"}
        )
        assert found["vectron_ready"].samples[0].value == 1
        assert {sample.labels["peer"] for sample in found["vectron_peer_alive"].samples} < {"n0", "n1", "n2"}
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text), "an id is no label"
    assert searches == 20


def check_histogram(family: Any) -> None:
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    counts: dict[tuple[str, str], float] = {}
    for sample in family.samples:
        which = sample.labels["kind"], sample.labels["operation"]
        if sample.name.endswith("_bucket"):
            series.setdefault(which, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[which] = sample.value
    for which, buckets in series.items():
        assert [bound for bound, _ in buckets] == [*BOUNDS_S, math.inf]
        values = [value for _, value in buckets]
        assert values == sorted(values)
        assert values[-1] == counts[which]


def test_metric_names_follow_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"vectron_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not re.search(r"_(ms|kb|mb|percent)(_|$)", metric.name), "base units"
        assert metric.help.endswith(".")


def test_every_metric_is_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [metric.name for metric in METRICS if f"`{metric.name}`" not in readme] == []


@pytest.mark.processes
def test_a_node_that_waits_for_its_cluster_is_healthy_and_not_ready(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    address = f"127.0.0.1:{port}"
    words = ["--listen", "127.0.0.1:0", "--join", "127.0.0.1:1", "--http", address]
    with running(tmp_path, "node", "--data", tmp_path / "n", *words) as process:
        process.wait_err("seed_unreachable")
        assert get(address, "/healthz")[0] == 200
        status, _, body = get(address, "/readyz")
        assert (status, json.loads(body)["ready"]) == (503, False)
        assert "starting" in body
        assert "vectron_ready 0\n" in get(address, "/metrics")[2]


@pytest.mark.processes
def test_http_beyond_this_machine_has_to_be_asked_for(tmp_path: Path) -> None:
    done = vectron("node", "--data", tmp_path, "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr
