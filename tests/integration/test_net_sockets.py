"""The real network on loopback: sockets, servers and pool as nodes use them."""

from __future__ import annotations

import errno
import random
import socket
import struct
from typing import Any

import pytest
import trio

from vectron_p2p.model.errors import InvalidArgument, Unavailable
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.net import sockets
from vectron_p2p.net.interfaces import MAX_PACKET, ConnectionLost
from vectron_p2p.net.pool import Pool
from vectron_p2p.net.rpc import RpcConnection, RpcServer
from vectron_p2p.net.sockets import RealNetwork, SocketEndpoint, SocketStream
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.frames import HEADER, MAX_BODY, Kind
from vectron_p2p.protocol.messages import Count, CountReply, Hello, MerkleLeaves, MerkleLeavesReply, Welcome
from vectron_p2p.runtime.real import TrioClock

LOOPBACK = Address("127.0.0.1", 0)
HELLO = Hello([], "client")


@pytest.fixture
def network() -> RealNetwork:
    return RealNetwork(TrioClock())


async def answer(message: Any, _: object) -> Any:
    if isinstance(message, MerkleLeaves):
        return MerkleLeavesReply(bytes(message.shard))
    return CountReply(int(message.collection))


async def serve(network: RealNetwork, nursery: trio.Nursery) -> tuple[RpcServer, SocketEndpoint]:
    endpoint = await network.listen(LOOPBACK)
    welcome = Welcome(0, "c", "b", "b", 0, 0, "test")
    server = RpcServer(endpoint, clock=TrioClock(), welcome=lambda _: welcome, handler=answer)

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await server.run(task_status=task_status)
        finally:
            await endpoint.aclose()

    await nursery.start(run)
    return server, endpoint


async def until(condition: Any) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - no event tells when the kernel is done
            await trio.sleep(0.005)


async def test_calls_small_and_large_over_real_sockets(network: RealNetwork, nursery: trio.Nursery) -> None:
    server, endpoint = await serve(network, nursery)
    got: dict[int, Any] = {}
    async with RpcConnection.open(network, endpoint.address, HELLO, TrioClock()) as connection:

        async def ask(number: int) -> None:
            if number % 10 == 0:
                got[number] = len((await connection.call(MerkleLeaves("c", 50_000 * number, 0), timeout=30)).leaves)
            else:
                got[number] = (await connection.call(Count(str(number), None), timeout=30)).count

        async with trio.open_nursery() as callers:
            for number in range(100):
                callers.start_soon(ask, number)
        assert server.connections == 1
    assert got == {number: number if number % 10 else 50_000 * number for number in range(100)}
    await until(lambda: server.connections == 0)


async def test_one_port_serves_streams_and_packets(network: RealNetwork) -> None:
    one, two = await network.listen(LOOPBACK), await network.listen(LOOPBACK)
    await one.send_packet(b"hello", two.address)
    with trio.fail_after(5):
        assert await two.receive_packet() == (b"hello", one.address)
    await one.send_packet(b"by name", Address("localhost", two.address.port))
    with trio.fail_after(5):
        assert (await two.receive_packet())[0] == b"by name"
    with pytest.raises(OSError, match="cannot listen"):
        await network.listen(one.address)
    for endpoint in (one, two):
        await endpoint.aclose()
        await endpoint.aclose()
    await (await network.listen(one.address)).aclose()


async def test_packets_that_cannot_be_sent_or_are_too_long_are_dropped(network: RealNetwork) -> None:
    one, two = await network.listen(LOOPBACK), await network.listen(LOOPBACK)
    await one.send_packet(bytes(70_000), two.address)
    await one.send_packet(bytes(MAX_PACKET + 1), two.address)
    await one.send_packet(b"x", Address("no-such-host.invalid", 1))
    await one.send_packet(b"x", Address("x" * 300, 1))
    for _ in range(50):
        await one.send_packet(b"x", Address("127.0.0.1", 1))  # refused by ICMP, reported on our socket later, or never
    await one.send_packet(b"good", two.address)
    with trio.fail_after(10):
        assert (await two.receive_packet())[0] == b"good"
    await one.aclose()
    await one.send_packet(b"after the end", two.address)
    with pytest.raises(ConnectionLost):
        await one.receive_packet()
    await two.aclose()


async def test_connecting_fails_with_one_kind_of_error(network: RealNetwork) -> None:
    endpoint = await network.listen(LOOPBACK)
    await endpoint.aclose()
    for address in (endpoint.address, Address("no-such-host.invalid", 1), Address("x" * 300, 1)):
        with pytest.raises(ConnectionLost):
            await network.connect(address, timeout=5)


async def test_a_dial_that_is_not_answered_ends_in_time(network: RealNetwork) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        callers: list[SocketStream] = []

        async def fill_the_backlog() -> None:
            while len(callers) < 50:
                callers.append(await network.connect(Address(*full.getsockname()), timeout=0.2))

        with pytest.raises(ConnectionLost, match="no answer"):
            await fill_the_backlog()
        for stream in callers:
            await stream.aclose()


async def test_closing_wakes_who_waits(network: RealNetwork) -> None:
    endpoint = await network.listen(LOOPBACK)
    here = await network.connect(endpoint.address, timeout=5)
    far = await endpoint.accept()

    async def expect_lost(call: Any, *args: Any) -> None:
        with pytest.raises(ConnectionLost):
            await call(*args)

    with trio.fail_after(10):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(expect_lost, here.receive_some, 10)
            waiting.start_soon(expect_lost, here.send_all, bytes(50_000_000))
            waiting.start_soon(expect_lost, endpoint.accept)
            waiting.start_soon(expect_lost, endpoint.receive_packet)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await here.aclose()
            await endpoint.aclose()
        await expect_lost(here.receive_some, 10)
        await expect_lost(here.send_all, b"x")
        assert here.send_nowait(b"x") == 0
        await far.aclose()


async def test_the_end_of_a_stream_and_a_reset(network: RealNetwork) -> None:
    endpoint = await network.listen(LOOPBACK)
    here = await network.connect(endpoint.address, timeout=5)
    far = await endpoint.accept()
    await here.send_all(b"last words")
    await here.aclose()
    assert await far.receive_some(100) == b"last words"
    assert await far.receive_some(100) == b""
    await far.aclose()
    here = await network.connect(endpoint.address, timeout=5)
    far = await endpoint.accept()
    here._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await here.aclose()
    with pytest.raises(ConnectionLost):
        await far.receive_some(100)
    await far.aclose()
    await endpoint.aclose()


async def test_a_flood_does_not_starve_other_tasks(network: RealNetwork) -> None:
    endpoint = await network.listen(LOOPBACK)
    here = await network.connect(endpoint.address, timeout=5)
    far = await endpoint.accept()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        for _ in range(200):
            await here.send_all(bytes(1000))
            await far.receive_some(1000)
        nursery.cancel_scope.cancel()
    assert turns >= 10
    for handle in (here, far, endpoint):
        await handle.aclose()


async def test_out_of_descriptors_is_waited_out(network: RealNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = await network.listen(LOOPBACK)
    pauses: list[float] = []
    listening = endpoint._streams

    class Exhausted:
        def accept(self) -> Any:
            if len(pauses) < 3:
                raise OSError(errno.EMFILE, "too many open files")
            return listening.accept()

        def fileno(self) -> int:
            return listening.fileno()

    class Clock(TrioClock):
        async def sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(endpoint, "_streams", Exhausted())
    monkeypatch.setattr(endpoint, "_clock", Clock())
    here = await network.connect(endpoint.address, timeout=5)
    far = await endpoint.accept()
    assert pauses == [sockets.OVERLOAD_PAUSE] * 3
    monkeypatch.undo()
    for handle in (here, far, endpoint):
        await handle.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_random_bytes_and_cut_frames_on_the_port(network: RealNetwork, nursery: trio.Nursery, seed: int) -> None:
    server, endpoint = await serve(network, nursery)
    rng = random.Random(seed)
    greeting = Connection("client", hello=HELLO).data_to_send()
    bodies = [
        rng.randbytes(rng.randint(1, 3000)),
        b"GET / HTTP/1.0\r\n\r\n",
        greeting[: rng.randint(1, len(greeting) - 1)],
        greeting + rng.randbytes(500),
        greeting + HEADER.pack(10 + MAX_BODY, Kind.REQUEST, 1, 1) + bytes(1000),
        greeting + HEADER.pack(2**32 - 1, Kind.REQUEST, 0, 1),
    ]
    for body in bodies:
        stream = await network.connect(endpoint.address, timeout=5)
        try:
            await stream.send_all(body)
            if rng.random() < 0.5:
                with trio.move_on_after(0.05):
                    while await stream.receive_some(1000):
                        pass
        except ConnectionLost:
            pass
        await stream.aclose()
    await until(lambda: server.connections == 0)
    async with RpcConnection.open(network, endpoint.address, HELLO, TrioClock()) as connection:
        assert await connection.call(Count("7", None), timeout=5) == CountReply(7)


async def test_the_pool_comes_back_after_the_peer_does(network: RealNetwork, nursery: trio.Nursery) -> None:
    addresses: dict[NodeId, Address] = {}
    node = NodeId("b")
    pool = Pool(network, TrioClock(), random.Random(1), lambda: HELLO, addresses.get)
    await nursery.start(pool.run)
    for _ in range(3):
        async with trio.open_nursery() as life:
            _, endpoint = await serve(network, life)
            addresses[node] = endpoint.address
            assert await pool.call(node, Count("1", None), timeout=5) == CountReply(1)
            await endpoint.aclose()
            life.cancel_scope.cancel()
        await until(lambda: pool.statistics()[0].connections == 0)
        with pytest.raises(Unavailable):
            await pool.call(node, Count("1", None), timeout=5)


async def test_a_message_too_long_leaves_the_connection_alone(network: RealNetwork, nursery: trio.Nursery) -> None:
    _, endpoint = await serve(network, nursery)
    async with RpcConnection.open(network, endpoint.address, HELLO, TrioClock()) as connection:
        with pytest.raises(InvalidArgument, match="ask for less"):
            await connection.call(MerkleLeaves("c", 33 * 1024 * 1024, 0), timeout=30)
        assert await connection.call(Count("7", None), timeout=5) == CountReply(7)
