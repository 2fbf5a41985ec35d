"""A cluster of real processes: killed, stopped, moved, frozen, fed with noise. What was acknowledged stays."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time

import pytest

from tests.integration.nodes import (
    DIMENSION,
    PATIENCE,
    READY,
    everybody_alive,
    free_port,
    nodes_of,
    vectors,
    wait_equal,
    wait_healthy,
)
from vectron_p2p import connect
from vectron_p2p.model.ids import parse_address
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes


def test_the_ready_line(cluster: ProcessCluster) -> None:
    for node in cluster.nodes:
        match = READY.fullmatch(node.ready_line)
        assert match
        assert match.groups() == (f"n{node.index}", node.address)
        assert node.output() == node.ready_line  # nothing else on stdout


def test_a_killed_node_catches_up(cluster: ProcessCluster) -> None:
    data = vectors(300)
    with connect(cluster.connect) as db:
        docs = db.create_collection("kill", dimension=DIMENSION, metric="l2")
        docs.upsert(ids=list(range(200)), vectors=data[:200], consistency="all")
        assert [hit.id for hit in docs.search(data[7], k=1)] == [7]
        cluster.kill(2)
        docs.upsert(ids=list(range(200, 300)), vectors=data[200:], consistency="quorum")
        docs.upsert(ids=[0], vectors=[data[299]], payloads=[{"n": "again"}])
        assert docs.delete(ids=[1, 2, 3]).count == 3
        result = docs.search(data[250], k=1)
        assert (result[0].id, result.partial) == (250, False)
        cluster.start_node(2)
        wait_equal(db, "kill")
    with connect(cluster[2].address) as db:
        docs = db.collection("kill")
        found = docs.get(list(range(300)), consistency="one", with_vector=True)
        assert [n for n, point in enumerate(found) if point is None] == [1, 2, 3]
        assert found[0] is not None
        assert found[0].payload == {"n": "again"}
        assert (found[0].vector == data[299]).all()
        assert docs.count() == 297
        db.delete_collection("kill")


def test_sigterm_keeps_the_data_and_another_port_is_learnt(cluster: ProcessCluster) -> None:
    data = vectors(60)
    with connect(cluster.connect) as db:
        docs = db.create_collection("move", dimension=DIMENSION)
        docs.upsert(ids=list(range(50)), vectors=data[:50], consistency="all")
        assert cluster.stop(1) == 0
        assert "Traceback" not in cluster[1].log()
        docs.upsert(ids=list(range(50, 60)), vectors=data[50:])
    old = cluster[1].port
    cluster[1].port = free_port()
    cluster.start_node(1)
    assert cluster[1].port != old
    wait_healthy(cluster)

    def learnt() -> bool | None:
        seen = [nodes_of(node.address)["n1"].address for node in cluster.nodes]
        return True if seen == [cluster[1].address] * len(cluster.nodes) else None

    wait_for(learnt, PATIENCE, "the new address everywhere", lambda: nodes_of(cluster[0].address))
    with connect(cluster[0].address) as db:
        wait_equal(db, "move")
    with connect(cluster[1].address) as db:
        assert None not in db.collection("move").get(list(range(60)))
        db.collection("move").upsert(ids=["late"], vectors=data[:1], consistency="all")
        db.delete_collection("move")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_all_nodes_restarted_at_once(cluster: ProcessCluster, how: str) -> None:
    data = vectors(80)
    name = f"restart-{how}"
    with connect(cluster.connect) as db:
        docs = db.create_collection(name, dimension=DIMENSION, metric="dot")
        docs.upsert(ids=[f"p{n}" for n in range(80)], vectors=data)
        docs.delete(ids=["p79"])
    if how == "stop":
        assert cluster.stop_all() == [0, 0, 0]
    else:
        for node in cluster.nodes:
            cluster.kill(node.index)
    for node in cluster.nodes:
        cluster.start_node(node.index, wait=False)
    for node in cluster.nodes:
        cluster.wait_ready(node.index)
    wait_healthy(cluster)
    with connect(cluster.connect) as db:
        docs = db.collection(name)
        found = docs.get([f"p{n}" for n in range(80)])  # at quorum: a third owner may have missed the last writes
        assert [n for n, point in enumerate(found) if point is None] == [79]
        assert len(docs.search(data[5], k=100, consistency="quorum")) == 79
        wait_equal(db, name)
        assert docs.count() == 79
        assert len(docs.search(data[5], k=100)) == 79
        db.delete_collection(name)


def test_a_frozen_coordinator_is_left_for_nodes_that_were_never_named(cluster: ProcessCluster) -> None:
    data = vectors(100)
    with connect(cluster[2].address, timeout=30.0) as db:
        docs = db.create_collection("left", dimension=DIMENSION)
        docs.upsert(ids=list(range(50)), vectors=data[:50], consistency="all")
        calls = [
            lambda: docs.upsert(ids=list(range(50, 100)), vectors=data[50:]),
            lambda: docs.get(list(range(50))),
            lambda: docs.search(data[7], k=5),
            lambda: docs.upsert(ids=["new"], vectors=data[:1], mode="insert"),
        ]
        for call in calls:
            assert db.session._preferred == parse_address(cluster[2].address)
            cluster.freeze(2)
            try:
                began = time.monotonic()
                call()
                assert time.monotonic() - began <= 5.0
            finally:
                cluster.thaw(2)
            wait_healthy(cluster)
            db.session.answered(parse_address(cluster[2].address))
        assert [hit.id for hit in docs.search(data[60], k=1)] == [60]
        wait_equal(db, "left")
        db.delete_collection("left")


def test_a_frozen_node_holds_nobody_up(cluster: ProcessCluster) -> None:
    """Its sockets stay open, so only silence tells; thawed, it is what it was."""
    data = vectors(100)
    with connect(cluster.others(2), timeout=20.0) as db:
        docs = db.create_collection("frozen", dimension=DIMENSION)
        docs.upsert(ids=list(range(50)), vectors=data[:50], consistency="all")
        cluster.freeze(2)
        try:
            for n in range(50, 100):
                docs.upsert(ids=[n], vectors=data[n : n + 1])
                point = docs.get([n])[0]
                assert point is not None
                result = docs.search(data[n], k=1)
                assert (result[0].id, result.partial) == (n, False)

            def seen_dead() -> bool | None:
                return True if nodes_of(cluster[0].address)["n2"].liveness == "dead" else None

            wait_for(seen_dead, PATIENCE, "the frozen node to be missed")
            assert docs.count() == 100
            result = docs.search(data[99], k=1, consistency="quorum")
            assert (result[0].id, result.partial) == (99, False)
        finally:
            cluster.thaw(2)
        wait_healthy(cluster)
        wait_equal(db, "frozen")
        assert [each.state for each in db.cluster().nodes] == ["active"] * 3
        db.delete_collection("frozen")


def test_noise_on_both_ports(cluster: ProcessCluster) -> None:
    rng = random.Random(1)
    target = parse_address(cluster[0].address)
    hello = Connection("client", hello=m.Hello(versions=[], role="client")).data_to_send()
    heads = [b"", hello]
    tails = [
        *(rng.randbytes(rng.randint(1, 4000)) for _ in range(20)),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">IBBQ", 2**32 - 1, 1, 0, 1),
        struct.pack(">IBBQ", 100, 1, 0, 1) + b"half",
        hello[: len(hello) // 2],
        b"",
    ]
    held: list[socket.socket] = []
    for head in heads:
        for tail in tails:
            stream = socket.create_connection(target, 10)
            with contextlib.suppress(ConnectionError):  # it may have hung up already, which is right
                stream.sendall(head + tail)
            if len(held) < 20:
                held.append(stream)  # half a frame, and then silence
            else:
                stream.close()
    with socket.socket(type=socket.SOCK_DGRAM) as packets:
        for size in (0, 1, 17, 500, 1400, 9000, 60000):
            packets.sendto(rng.randbytes(size), target)
    assert everybody_alive(cluster[0].address, 3)
    for stream in held:
        stream.close()
    assert cluster[0].running
    assert "Traceback" not in cluster[0].log()
