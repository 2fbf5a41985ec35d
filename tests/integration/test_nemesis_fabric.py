"""Both fabrics: what each fault does to real packets and streams between programs that stand in for nodes."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from simulations.nemesis.fabric import Fabric, ProxyFabric, SwitchFabric
from simulations.nemesis.links import CLIENTS, CUT, Link
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.messages import Hello

A, B = "node-a", "node-b"
PATIENCE = 20.0  # seconds for what takes a millisecond
SILENCE = 0.2  # seconds without a byte that pass for a cut: it can only hide a fault of the fabric, not make one
LINGER_NOTHING = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyFabric]:
    with closing(ProxyFabric(2, seed=1)) as proxy:
        proxy.know(0, A)
        proxy.know(1, B)
        yield proxy


@pytest.fixture
def fabric(proxy: ProxyFabric) -> ProxyFabric:
    """Sound, whatever the test before did."""
    proxy.relink({})
    proxy.up(1)
    return proxy


def greeting(node: str | None) -> bytes:
    role = "client" if node is None else "peer"
    return Connection("client", hello=Hello(versions=[1], role=role, node=node)).data_to_send()


def address(fabric: Fabric, index: int, option: str) -> tuple[str, int]:
    arguments = fabric.arguments(index)
    host, _, port = arguments[arguments.index(option) + 1].partition(":")
    return host, int(port)


@contextmanager
def listening(fabric: Fabric, index: int) -> Iterator[socket.socket]:
    with socket.create_server(address(fabric, index, "--listen")) as server:
        server.settimeout(PATIENCE)
        yield server


def dial(fabric: Fabric, index: int, node: str | None) -> socket.socket:
    sock = socket.create_connection(address(fabric, index, "--advertise"), timeout=PATIENCE)
    sock.sendall(greeting(node))
    return sock


def take(server: socket.socket, node: str | None) -> socket.socket:
    """The connection that arrives at a node, and its greeting read."""
    sock, _ = server.accept()
    sock.settimeout(PATIENCE)
    wanted = greeting(node)
    assert sock.recv(len(wanted), socket.MSG_WAITALL) == wanted
    return sock


def silent(sock: socket.socket) -> bool:
    sock.settimeout(SILENCE)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(PATIENCE)
    return False


@contextmanager
def packets(fabric: Fabric, index: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(address(fabric, index, "--listen"))
        sock.settimeout(PATIENCE)
        yield sock


def test_packets_come_from_where_their_sender_can_be_reached(fabric: ProxyFabric) -> None:
    with packets(fabric, 0) as first, packets(fabric, 1) as second:
        first.sendto(b"ping", address(fabric, 1, "--advertise"))
        data, source = second.recvfrom(100)
        assert (data, source) == (b"ping", address(fabric, 0, "--advertise"))
        second.sendto(b"pong", source)
        assert first.recvfrom(100) == (b"pong", address(fabric, 1, "--advertise"))


def test_packets_are_lost_one_way_and_doubled_the_other(fabric: ProxyFabric) -> None:
    fabric.relink({(0, 1): Link(udp=False), (1, 0): Link(duplicate=1.0, delay=0.01, jitter=0.01)})
    with packets(fabric, 0) as first, packets(fabric, 1) as second:
        first.sendto(b"lost", address(fabric, 1, "--advertise"))
        second.sendto(b"twice", address(fabric, 0, "--advertise"))
        assert [first.recv(100), first.recv(100)] == [b"twice"] * 2
        fabric.relink({})
        first.sendto(b"sound", address(fabric, 1, "--advertise"))
        assert second.recv(100) == b"sound"
    assert fabric.figures()["udp_dropped"] >= 1


def test_a_stream_waits_behind_a_cut_and_goes_on_after_it(fabric: ProxyFabric) -> None:
    with listening(fabric, 1) as server, dial(fabric, 1, A) as near, take(server, A) as far:
        fabric.relink({(0, 1): CUT})
        near.sendall(b"there")
        far.sendall(b"back")
        assert near.recv(100) == b"back"
        assert silent(far)
        fabric.relink({})
        assert far.recv(100) == b"there"
        near.close()
        assert far.recv(100) == b""


def test_a_cut_is_for_one_pair_and_clients_pass(fabric: ProxyFabric) -> None:
    fabric.relink({(0, 1): CUT, (1, 0): CUT})
    with listening(fabric, 1) as server, dial(fabric, 1, None) as client, take(server, None) as far:
        client.sendall(b"x")
        assert far.recv(1) == b"x"
        fabric.relink({(CLIENTS, 1): CUT})
        client.sendall(b"y")
        assert silent(far)


def test_nothing_is_opened_through_a_cut_either_way_round(fabric: ProxyFabric) -> None:
    with listening(fabric, 1) as server:
        for pair in ((0, 1), (1, 0)):
            fabric.relink({pair: CUT})
            with dial(fabric, 1, A) as near:
                assert silent(near)
                server.settimeout(SILENCE)
                with pytest.raises(TimeoutError):
                    server.accept()
                server.settimeout(PATIENCE)
                fabric.relink({})
                take(server, A).close()


def test_a_connection_given_up_behind_a_cut_is_never_opened(fabric: ProxyFabric) -> None:
    with listening(fabric, 1) as server:
        fabric.relink({(0, 1): CUT})
        dial(fabric, 1, A).close()
        fabric.relink({})
        with dial(fabric, 1, B), take(server, B):  # the first to arrive
            pass


def test_resets_reach_both_ends(fabric: ProxyFabric) -> None:
    with listening(fabric, 1) as server, dial(fabric, 1, A) as near, take(server, A) as far:
        fabric.reset([(1, 0)])
        for sock in (near, far):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def test_a_reset_of_a_node_is_passed_on(fabric: ProxyFabric) -> None:
    with listening(fabric, 1) as server, dial(fabric, 1, A) as near:
        far = take(server, A)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOTHING)
        far.close()
        with pytest.raises(ConnectionResetError):
            near.recv(1)


def test_a_node_that_is_down_refuses_unless_it_is_cut_off(fabric: ProxyFabric) -> None:
    fabric.down(1)
    with pytest.raises(ConnectionRefusedError):
        dial(fabric, 1, A)
    fabric.relink({(0, 1): CUT})
    with dial(fabric, 1, A) as near:
        assert silent(near)
        fabric.relink({})
    fabric.up(1)
    with listening(fabric, 1) as server, dial(fabric, 1, A) as near, take(server, A) as far:
        near.sendall(b"x")
        assert far.recv(1) == b"x"


ECHO = """
import socket, sys
host, port = sys.argv[1].split(":")
with socket.create_server((host, int(port))) as server:
    print("ready", flush=True)
    while True:
        with server.accept()[0] as sock:
            try:
                while data := sock.recv(100):
                    sock.sendall(data)
                print("end", flush=True)
            except ConnectionResetError:
                print("reset", flush=True)
"""


@pytest.mark.skipif(bool(SwitchFabric.why_not()), reason=SwitchFabric.why_not() or "possible")
def test_namespaces_cut_delay_and_reset() -> None:
    with closing(SwitchFabric(1, seed=1)) as fabric:
        listen = fabric.arguments(0)[1]
        command = [*fabric.wrap(0), sys.executable, "-c", ECHO, listen]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
            try:
                assert node.stdout is not None
                assert node.stdout.readline() == "ready\n"
                with socket.create_connection(address(fabric, 0, "--listen"), timeout=PATIENCE) as sock:
                    sock.sendall(b"1")
                    assert sock.recv(1) == b"1"
                    fabric.relink({(0, CLIENTS): CUT})
                    sock.sendall(b"2")
                    assert silent(sock)
                    fabric.relink({(CLIENTS, 0): Link(delay=0.01, jitter=0.01, duplicate=1.0, loss=0.1)})
                    assert sock.recv(1) == b"2"  # sent again by TCP
                    fabric.relink({})
                    sock.sendall(b"3")
                    assert sock.recv(1) == b"3"
                    fabric.reset([(CLIENTS, 0)])
                    assert node.stdout.readline() == "reset\n"
                    with pytest.raises(ConnectionResetError):
                        sock.recv(1)
            finally:
                node.kill()
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert fabric.wrap(0)[3] not in spaces
