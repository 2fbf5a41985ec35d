from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from tests.unit.net.world import HELLO, Node, World, until
from vectron_p2p.model.errors import DeadlineExceeded, NotFound, PermissionDenied, Unavailable
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.pool import BACKOFF_CAP, Pool
from vectron_p2p.protocol.messages import Count, CountReply, SwimNote

B = NodeId("b")


def count(name: object) -> Count:
    return Count(str(name), None)


@dataclass
class Setup:
    pool: Pool
    addresses: dict[NodeId, Address]
    broken: list[NodeId] = field(default_factory=list)


async def setup(world: World, nursery: trio.Nursery, *nodes: Node) -> Setup:
    for node in nodes:
        await nursery.start(node.run)
    addresses = {node.node: node.address for node in nodes}
    broken: list[NodeId] = []

    def note(node: NodeId, silent: bool) -> None:
        broken.append(node)

    pool = Pool(world.host("a"), world.clock, random.Random(5), lambda: HELLO, addresses.get, on_broken=note)
    await nursery.start(pool.run)
    return Setup(pool, addresses, broken)


async def test_one_dial_serves_all_callers_and_is_kept(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    world.network.set_delay(0.05, 0.1)
    got = []

    async def ask(number: int) -> None:
        got.append((await at.pool.call(B, count(number), timeout=5)).count)

    for _ in range(2):
        async with trio.open_nursery() as callers:
            for number in range(20):
                callers.start_soon(ask, number)
    assert sorted(got) == sorted(2 * list(range(20)))
    assert node.greeted == 1
    assert at.broken == []
    (statistics,) = at.pool.statistics()
    assert (statistics.node, statistics.connections, statistics.in_flight, statistics.failures) == (B, 1, 0, 0)


async def test_bulk_has_a_connection_of_its_own(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    for bulk in (False, True, True):
        assert await at.pool.call(B, count(1), timeout=5, bulk=bulk) == CountReply(1)
    await at.pool.note(B, SwimNote(b"x"), timeout=5)
    await until(lambda: node.notes == [SwimNote(b"x")])
    assert node.greeted == 2
    assert at.pool.statistics()[0].connections == 2


async def test_errors_pass_through(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    at = await setup(world, nursery, Node(world, "b"))
    with pytest.raises(NotFound):
        await at.pool.call(B, count("missing"), timeout=5)
    with pytest.raises(DeadlineExceeded):
        await at.pool.call(B, count("never"), timeout=0.5)
    with pytest.raises(Unavailable, match="no address"):
        await at.pool.call(NodeId("unknown"), count(1), timeout=5)


async def test_a_broken_connection_is_told_and_dialled_again(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    await at.pool.call(B, count(1), timeout=5)
    async with trio.open_nursery() as callers:

        async def ask() -> None:
            with pytest.raises(ConnectionLost):
                await at.pool.call(B, count("never"), timeout=60)

        callers.start_soon(ask)
        await until(lambda: node.running == 1)
        (serving,) = node.server._serving
        serving.link.end("cut by the test")
    assert at.broken == [B]
    assert await at.pool.call(B, count(2), timeout=5) == CountReply(2)
    assert node.greeted == 2


async def test_while_backing_off_calls_fail_at_once_and_dials_get_rarer(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    at = await setup(world, nursery)
    at.addresses[B] = Address("b", 7700)
    dials: list[float] = []
    world.network.trace = lambda now, kind, *_: dials.append(now) if kind == "refuse" else None
    while trio.current_time() < 60:
        began = trio.current_time()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await at.pool.call(B, count(1), timeout=5)
        assert trio.current_time() == began
        await trio.sleep(0.01)
    pauses = [after - before for before, after in itertools.pairwise(dials)]
    assert pauses[0] <= 0.12
    assert max(pauses) <= BACKOFF_CAP + 0.02
    assert all(pause >= BACKOFF_CAP / 2 for pause in pauses[8:])
    assert len(set(pauses[8:])) > 3, "jitter"
    assert at.broken == [B] * len(dials)
    assert at.pool.statistics()[0].failures == len(dials)
    assert at.pool.statistics()[0].retry_in_s > 0


async def test_a_sign_of_life_or_a_new_address_ends_the_backoff(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    at = await setup(world, nursery)
    at.addresses[B] = Address("b", 7700)

    async def fail_often() -> None:
        for _ in range(2000):
            with pytest.raises(Unavailable):
                await at.pool.call(B, count(1), timeout=5)
            await trio.sleep(0.01)

    await fail_often()
    await nursery.start(Node(world, "b").run)
    with pytest.raises(Unavailable, match="tried again"):
        await at.pool.call(B, count(1), timeout=5)
    at.pool.reset(B)
    assert await at.pool.call(B, count(1), timeout=5) == CountReply(1)
    world.network.kill("b")
    world.network.host("b")  # the machine is back, the process is not
    at.pool.drop(B)
    await fail_often()
    await nursery.start(Node(world, "b", port=7701).run)
    at.addresses[B] = Address("b", 7701)
    assert await at.pool.call(B, count(1), timeout=5) == CountReply(1)


async def test_another_node_at_the_address_is_never_spoken_to(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stranger = Node(world, "b", node="c")
    at = await setup(world, nursery, stranger)
    at.addresses[B] = stranger.address
    with pytest.raises(Unavailable, match="node c now"):
        await at.pool.call(B, count(1), timeout=5)
    assert stranger.running == 0
    assert at.broken == [B]
    await until(lambda: stranger.server.connections == 0)
    assert await at.pool.call(NodeId("c"), count(1), timeout=5) == CountReply(1)


async def test_a_refusal_counts_as_a_failure(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    node.refuse = PermissionDenied("not a member")
    at = await setup(world, nursery, node)
    with pytest.raises(Unavailable, match="not a member"):
        await at.pool.call(B, count(1), timeout=5)
    assert at.broken == [B]


async def test_a_cancelled_caller_does_not_end_the_dial_of_the_others(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    world.network.set_delay(0.5, 0.5)
    got = []

    async def ask() -> None:
        got.append(await at.pool.call(B, count(1), timeout=10))

    async with trio.open_nursery() as callers:
        callers.start_soon(ask)
        with trio.move_on_after(0.7):
            await at.pool.call(B, count(2), timeout=10)
        with pytest.raises(DeadlineExceeded):
            await at.pool.call(B, count(2), timeout=0.1)
    assert got == [CountReply(1)]
    assert node.greeted == 1


async def test_a_silent_address_ends_at_the_callers_timeout_and_then_fails_fast(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    at = await setup(world, nursery, Node(world, "b"))
    world.network.block("a", "b")
    with pytest.raises(DeadlineExceeded):
        await at.pool.call(B, count(1), timeout=1)
    with pytest.raises(Unavailable):
        await at.pool.call(B, count(1), timeout=60)
    assert trio.current_time() == pytest.approx(5.0)
    began = trio.current_time()
    with pytest.raises(Unavailable):
        await at.pool.call(B, count(1), timeout=60)
    assert trio.current_time() == began


async def test_dropping_ends_calls_and_dials(world: World, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    at.pool.drop(B)
    await at.pool.call(B, count(1), timeout=5)
    async with trio.open_nursery() as callers:

        async def ask() -> None:
            with pytest.raises(ConnectionLost, match="dropped"):
                await at.pool.call(B, count("never"), timeout=60)

        callers.start_soon(ask)
        await until(lambda: node.running == 1)
        at.pool.drop(B)
    assert at.pool.statistics() == []
    world.network.set_delay(0.5, 0.5)
    async with trio.open_nursery() as callers:

        async def dial() -> None:
            with pytest.raises(Unavailable):
                await at.pool.call(B, count(1), timeout=60)

        callers.start_soon(dial)
        await trio.sleep(0.1)
        at.pool.drop(B)
    await until(lambda: node.server.connections == 0)
    assert at.broken == []
    assert await at.pool.call(B, count(1), timeout=60) == CountReply(1)


async def test_a_peer_that_says_goodbye_is_not_broken(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    await at.pool.call(B, count(1), timeout=5)
    await node.server.drain(1.0)
    await until(lambda: at.pool.statistics()[0].connections == 0)
    assert at.broken == []


async def test_joining_uses_a_connection_of_its_own(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(world, "b")
    at = await setup(world, nursery, node)
    assert await at.pool.call_address(node.address, count(4), 5) == CountReply(4)
    await until(lambda: node.server.connections == 0)
    with pytest.raises(NotFound):
        await at.pool.call_address(node.address, count("missing"), 5)
    with pytest.raises(ConnectionLost):
        await at.pool.call_address(Address("nowhere", 1), count(4), 5)
    assert at.pool.statistics() == []


async def test_a_pool_that_does_not_run_says_so(world: World, nursery: trio.Nursery) -> None:
    pool = Pool(world.host("a"), world.clock, random.Random(1), lambda: HELLO, lambda _: Address("b", 1))
    with pytest.raises(Unavailable):
        await pool.call(B, count(1), timeout=1)
