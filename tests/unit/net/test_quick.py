"""Requests that are answered without a task of their own."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.unit.net.world import HELLO, Node, World, until
from vectron_p2p.model.errors import DeadlineExceeded, Internal, NotFound
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.link import HIGH_WATER
from vectron_p2p.net.rpc import Caller, RpcConnection
from vectron_p2p.protocol.events import Request
from vectron_p2p.protocol.messages import Count, CountReply, MerkleLeaves, MerkleLeavesReply
from vectron_p2p.runtime.callbacks import Done, TakeBack


def count(name: object) -> Count:
    return Count(str(name), None)


class Quick:
    """Answers counts of "now" at once, of "later" when told to, and takes nothing else."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Done]] = []
        self.asked: list[tuple[float, int, bool]] = []
        self.taken_back = 0

    def __call__(self, request: Request, caller: Caller, began: float, done: Done, alone: bool) -> TakeBack | None:
        message = request.message
        if not isinstance(message, MerkleLeaves) and message.collection not in ("now", "later"):
            return None
        self.asked.append((began + (request.timeout or 0.0), request.trace, alone))
        entry = (message, done)
        if isinstance(message, Count) and message.collection == "now":
            done(CountReply(7))
        else:
            self.waiting.append(entry)

        def take_back() -> None:
            self.waiting.remove(entry)
            self.taken_back += 1

        return take_back


@pytest.fixture
async def node(world: World, nursery: trio.Nursery) -> Node:
    node = Node(world, "b")
    node.quick = Quick()
    await nursery.start(node.run)
    return node


def quick_of(node: Node) -> Quick:
    assert isinstance(node.quick, Quick)
    return node.quick


async def asked_for(connection: RpcConnection, answers: list[Any], name: str, timeout: float = 5.0) -> None:
    try:
        answers.append(await connection.call(count(name), timeout=timeout))
    except (NotFound, Internal, DeadlineExceeded, ConnectionLost) as error:
        answers.append(error)


async def test_at_once_later_and_not_at_all(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        assert await connection.call(count("now"), timeout=5) == CountReply(7)
        assert await connection.call(count(3), timeout=5) == CountReply(3), "by a task"
        answers: list[Any] = []
        nursery.start_soon(asked_for, connection, answers, "later")
        await until(lambda: len(quick.waiting) == 1)
        assert node.running == 0
        quick.waiting.pop()[1](CountReply(8))
        await until(lambda: len(answers) == 1)
        assert answers == [CountReply(8)]
        now = trio.current_time()
        assert 0 < quick.asked[-1][0] - now <= 5.0
        assert connection.in_flight == 0
        (served,) = node.server.served()
        assert (served.requests, served.in_flight) == (3, 0)


async def test_what_turns_out_to_need_a_task_gets_one_in_the_time_that_is_left(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        answers: list[Any] = []
        nursery.start_soon(asked_for, connection, answers, "later", 5.0)
        await until(lambda: len(quick.waiting) == 1)
        await trio.sleep(3)
        message, done = quick.waiting.pop()
        object.__setattr__(message, "collection", "never")
        before = trio.current_time()
        done(None)
        await until(lambda: node.running == 1)
        await until(lambda: len(answers) == 1)
        assert isinstance(answers[0], DeadlineExceeded)
        assert trio.current_time() - before <= 2.1


@pytest.mark.parametrize("answer", [NotFound("none"), "no message"])
async def test_errors_and_defects(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock, answer: Any
) -> None:
    quick = quick_of(node)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        answers: list[Any] = []
        nursery.start_soon(asked_for, connection, answers, "later")
        await until(lambda: len(quick.waiting) == 1)
        quick.waiting.pop()[1](answer)
        await until(lambda: len(answers) == 1)
        assert isinstance(answers[0], NotFound if isinstance(answer, NotFound) else Internal)
        assert await connection.call(count("now"), timeout=5) == CountReply(7)


async def test_one_that_is_cancelled_is_taken_back(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        with trio.move_on_after(1):
            await connection.call(count("later"), timeout=5)
        await until(lambda: quick.taken_back == 1)
        (serving,) = node.server._serving
        await until(lambda: serving.core.in_flight == 0)
        assert await connection.call(count("now"), timeout=5) == CountReply(7)
    assert quick.taken_back == 1


async def test_nobody_is_answered_whose_connection_has_gone(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
    answers: list[Any] = []
    connection = RpcConnection(world.host("a"), node.address, HELLO, world.clock)
    await nursery.start(connection.run)
    for _ in range(3):
        nursery.start_soon(asked_for, connection, answers, "later")
    await until(lambda: len(quick.waiting) == 3)
    dones = [done for _, done in quick.waiting]
    connection.close()
    await until(lambda: quick.taken_back == 3)
    for done in dones:  # one that answers all the same does no harm
        done(CountReply(1))
    await wait_all_tasks_blocked()
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as other:
        assert await other.call(count("now"), timeout=5) == CountReply(7)


async def test_answers_wait_for_a_slow_reader(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
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
            await until(lambda: len(quick.waiting) == 12)
            (serving,) = node.server._serving
            for _, done in quick.waiting:
                done(MerkleLeavesReply(bytes(size)))
            assert serving.core.pending_bytes <= HIGH_WATER + size + 1024
        assert answers == [size] * 12


async def test_whether_a_connection_asks_nothing_else_is_told(
    world: World, node: Node, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    quick = quick_of(node)
    async with RpcConnection.open(world.host("a"), node.address, HELLO, world.clock) as connection:
        await connection.call(count("now"), timeout=5)
        for _ in range(2):
            nursery.start_soon(asked_for, connection, [], "later")
        await until(lambda: len(quick.waiting) == 2)
        await connection.call(count("now"), timeout=5)
        assert [alone for _, _, alone in quick.asked][::3] == [True, False]
        for _, done in quick.waiting:
            done(CountReply(1))
