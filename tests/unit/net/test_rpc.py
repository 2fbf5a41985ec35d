from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.net.world import HELLO, Node, World, until, welcome
from vectron_p2p.model.errors import DeadlineExceeded, Internal, InvalidArgument, NotFound, Overloaded, PermissionDenied
from vectron_p2p.model.ids import Address
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.link import HIGH_WATER
from vectron_p2p.net.rpc import RpcConnection
from vectron_p2p.net.serving import serve_connection
from vectron_p2p.protocol.connection import MAX_IN_FLIGHT
from vectron_p2p.protocol.messages import Count, CountReply, Done, GetStatus, Hello, MerkleLeaves, SwimNote


def count(name: object) -> Count:
    return Count(str(name), None)


async def test_calls_share_one_connection_and_come_back_each_to_its_caller(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    world.network.set_delay(0.001, 0.01)
    got: dict[int, int] = {}
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        assert connection.welcome.node == "b"

        async def ask(number: int) -> None:
            got[number] = (await connection.call(count(number), timeout=5)).count

        async with trio.open_nursery() as callers:
            for number in range(200):
                callers.start_soon(ask, number)
    assert got == {number: number for number in range(200)}
    assert node.greeted == 1


async def test_errors_come_typed_and_defects_as_internal(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        for name, kind in (("missing", NotFound), ("group", NotFound), ("fail", Internal), ("nothing", Internal)):
            with pytest.raises(kind):
                await connection.call(count(name), timeout=5)
        with pytest.raises(InvalidArgument, match="at most"):
            await connection.call(SwimNote(bytes(33 * 1024 * 1024)), timeout=5)
        assert await connection.call(count(1), timeout=5) == CountReply(1)
        assert connection.in_flight == 0


async def test_the_handler_knows_the_caller(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        await connection.call(GetStatus(), timeout=5)
        await connection.note(Done())  # one that the handler chokes on: of no consequence
        await connection.note(SwimNote(b"hello"))
        await until(lambda: bool(node.notes))
    assert node.notes == [SwimNote(b"hello")]
    (caller, *_) = node.callers
    assert (caller.role, caller.node, caller.hello.cluster) == ("peer", "caller", "cluster-1")
    assert caller.address.host == "a"


async def test_a_timeout_ends_both_sides(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        began = trio.current_time()
        with pytest.raises(DeadlineExceeded):
            await connection.call(count("never"), timeout=2.0)
        assert trio.current_time() - began == pytest.approx(2.0)
        await until(lambda: node.running == 0)
        assert node.cancelled == 1
        with pytest.raises(DeadlineExceeded):
            await connection.call(count(1), timeout=0.0)
        assert await connection.call(count(1), timeout=5) == CountReply(1)


async def test_the_server_keeps_the_deadline_when_the_caller_falls_silent(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        nursery.start_soon(_swallow, connection, count("never"), 3.0)
        await until(lambda: node.running == 1)
        world.network.pause("a")
        await until(lambda: node.running == 0)
        assert trio.current_time() == pytest.approx(3.0, abs=0.1)
        world.network.resume("a")


async def _swallow(connection: RpcConnection, message: Any, timeout: float) -> None:
    with pytest.raises((DeadlineExceeded, ConnectionLost)):
        await connection.call(message, timeout=timeout)


async def test_cancelling_a_call_cancels_its_handler(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        with trio.move_on_after(0.5):
            await connection.call(count("never"), timeout=60)
        assert connection.in_flight == 0
        await until(lambda: node.cancelled == 1)
        assert await connection.call(count(2), timeout=5) == CountReply(2)


async def test_losing_the_connection_fails_calls_and_cancels_handlers(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    connection = RpcConnection(world.host("a"), node.address, HELLO, world.clock)
    await nursery.start(connection.run)
    async with trio.open_nursery() as callers:

        async def ask() -> None:
            with pytest.raises(ConnectionLost):
                await connection.call(count("never"), timeout=60)

        for _ in range(3):
            callers.start_soon(ask)
        await until(lambda: node.running == 3)
        connection.close("enough")
    await until(lambda: node.cancelled == 3)
    await until(lambda: node.server.connections == 0)
    assert not connection.usable
    with pytest.raises(ConnectionLost, match="enough"):
        await connection.call(count(1), timeout=5)
    with pytest.raises(ConnectionLost):
        await connection.note(SwimNote(b""))


async def test_a_refusal_is_raised_where_the_connection_is_opened(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    node.refuse = PermissionDenied("removed from the cluster")
    with pytest.raises(PermissionDenied, match="removed"):
        async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock):
            pytest.fail("opened")
    node.refuse = None
    other = Hello([], "client", "cluster-2")
    with pytest.raises(InvalidArgument, match="cluster-1"):
        async with RpcConnection.open(world.host("a"), node.address, other, world.clock):
            pytest.fail("opened")
    with pytest.raises(ConnectionLost, match="refused"):
        async with RpcConnection.open(world.host("a"), Address("nowhere", 1), HELLO, world.clock):
            pytest.fail("opened")


async def test_an_error_in_the_block_leaves_it_as_it_is(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    with pytest.raises(KeyError):
        async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock):
            raise KeyError("mine")


async def test_a_listener_that_never_greets_is_given_up(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    endpoint = await world.host("b").listen(Address("b", 1))
    with pytest.raises(ConnectionLost, match="handshake"):
        async with RpcConnection.open(world.host("a"), endpoint.address, HELLO, world.clock, timeout=2.0):
            pytest.fail("opened")
    assert trio.current_time() == pytest.approx(2.0)


async def test_a_caller_that_never_greets_is_given_up(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    stream = await world.host("a").connect(node.address, timeout=1)
    assert await stream.receive_some(100) == b""
    assert trio.current_time() == pytest.approx(5.0)
    await until(lambda: node.server.connections == 0)


async def test_idle_connections_live_and_silent_ones_end(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        await trio.sleep(600)
        assert connection.usable
        world.network.partition([["a"], ["b"]])
        began = trio.current_time()
        with pytest.raises(ConnectionLost, match="no sign of life"):
            await connection.call(count(1), timeout=600)
        assert trio.current_time() - began <= 4
        await until(lambda: node.server.connections == 0)
        assert trio.current_time() - began <= 76  # 45 s of silence, seen at most a period of 15 s late, twice


async def test_who_owes_an_answer_for_long_and_answers_pings_is_waited_for(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        with pytest.raises(DeadlineExceeded):
            await connection.call(count("never"), timeout=60)
        assert connection.usable
        assert await connection.call(count(1), timeout=5) == CountReply(1)


async def test_a_slow_reader_is_waited_for_within_bounds(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    world.network.set_delay(0.05, 0.05)
    size = 4 * 1024 * 1024
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        answers: list[int] = []

        async def ask() -> None:
            reply = await connection.call(MerkleLeaves("c", size, 0), timeout=40)
            answers.append(len(reply.leaves))

        async with trio.open_nursery() as callers:
            for _ in range(12):
                callers.start_soon(ask)
            (serving,) = node.server._serving
            await until(lambda: serving.core.pending_bytes > HIGH_WATER)
            world.network.pause("a")
            await trio.sleep(1)  # its own timers go on: for longer it would think the other side silent
            assert serving.core.in_flight > 6, "answers that wait as objects"
            assert serving.core.pending_bytes <= HIGH_WATER + size
            world.network.resume("a")
        assert answers == [size] * 12


async def test_who_takes_no_data_for_long_is_cut_off(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    connection = RpcConnection(world.host("a"), node.address, HELLO, world.clock)
    await nursery.start(connection.run)
    world.network.set_delay(0.05, 0.05)
    nursery.start_soon(_swallow, connection, MerkleLeaves("c", 4_000_000, 0), 600.0)
    (serving,) = node.server._serving
    await until(lambda: serving.core.pending_bytes > 0)
    world.network.pause("a")
    await until(lambda: node.server.connections == 0)
    assert trio.current_time() <= 76
    world.network.resume("a")


async def test_requests_beyond_the_limit_are_refused(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        async with trio.open_nursery() as callers:
            for _ in range(MAX_IN_FLIGHT):
                callers.start_soon(_ignore, connection)
            await until(lambda: node.running == MAX_IN_FLIGHT)
            with pytest.raises(Overloaded):
                await connection.call(count(1), timeout=5)
            callers.cancel_scope.cancel()
        await until(lambda: node.running == 0)
        assert await connection.call(count(1), timeout=5) == CountReply(1)


async def _ignore(connection: RpcConnection) -> None:
    await connection.call(count("never"), timeout=60)


async def test_draining_finishes_what_runs_and_refuses_what_is_new(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    connection = RpcConnection(world.host("a"), node.address, HELLO, world.clock)
    await nursery.start(connection.run)
    answers = []

    async def ask() -> None:
        answers.append(await connection.call(count("slow"), timeout=5))

    async with trio.open_nursery() as callers:
        callers.start_soon(ask)
        await until(lambda: node.running == 1)
        callers.start_soon(node.server.drain, 10.0)
        await wait_all_tasks_blocked()
        await until(lambda: not connection.usable)
        with pytest.raises(ConnectionLost):
            await connection.call(count(1), timeout=5)
    assert answers == [CountReply(-1)]
    assert connection.left_orderly
    assert trio.current_time() < 2


async def test_draining_does_not_wait_for_ever(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    connection = RpcConnection(world.host("a"), node.address, HELLO, world.clock)
    await nursery.start(connection.run)
    nursery.start_soon(_swallow, connection, count("never"), 60.0)
    await until(lambda: node.running == 1)
    await node.server.drain(3.0)
    await until(lambda: node.cancelled == 1)
    assert trio.current_time() < 4


async def test_one_stream_can_be_served_alone(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    endpoint = await world.host("b").listen(Address("b", 1))
    node = Node(world, "b")

    async def serve() -> None:
        stream = await endpoint.accept()
        await serve_connection(stream, clock=world.clock, welcome=lambda _: welcome("b"), handler=node.handle)

    nursery.start_soon(serve)
    async with RpcConnection.open(world.host("a"), endpoint.address, HELLO, world.clock) as connection:
        await connection.note(SwimNote(b"nobody takes notes"))
        assert await connection.call(count(3), timeout=5) == CountReply(3)


async def test_the_server_limits_its_connections(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    await nursery.start(node.run)
    node.server._max_connections = 1
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as first:
        with pytest.raises(ConnectionLost):
            async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock):
                pytest.fail("opened")
        assert await first.call(count(1), timeout=5) == CountReply(1)
