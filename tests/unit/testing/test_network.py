from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from vectron_p2p.model.ids import Address
from vectron_p2p.net.interfaces import MAX_PACKET, ConnectionLost
from vectron_p2p.runtime.real import TrioClock
from vectron_p2p.testing.memory_stream import WINDOW, MemoryStream
from vectron_p2p.testing.network import PACKET_QUEUE, MemoryEndpoint, MemoryNetwork


@pytest.fixture
def world() -> MemoryNetwork:
    return MemoryNetwork(TrioClock(), random.Random(3))


async def pair(world: MemoryNetwork, a: str = "a", b: str = "b") -> tuple[MemoryStream, MemoryStream, MemoryEndpoint]:
    endpoint = await world.host(b).listen(Address(b, 0))
    here = await world.host(a).connect(endpoint.address, timeout=5)
    return here, await endpoint.accept(), endpoint


async def read(stream: MemoryStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some(size - len(data))
    return data


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_bytes_arrive_in_order_both_ways(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    world.set_delay(0.001, 0.2)
    here, far, endpoint = await pair(world)
    assert here.remote == endpoint.address
    assert far.remote.host == "a"
    sent = bytes(range(256)) * 20
    for start in range(0, len(sent), 100):
        await here.send_all(sent[start : start + 100])
        assert far.send_nowait(sent[start : start + 100]) == len(sent[start : start + 100])
    assert await read(far, len(sent)) == sent
    assert await read(here, len(sent)) == sent


async def test_delay_is_kept_and_loss_costs_time(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    world.set_delay(0.5, 0.5)
    here, far, _ = await pair(world)
    began = trio.current_time()
    assert began == pytest.approx(1.0), "a round trip to connect"
    await here.send_all(b"x")
    await read(far, 1)
    assert trio.current_time() - began == pytest.approx(0.5)
    world.set_loss(1.0)
    await here.send_all(b"x")
    await read(far, 1)
    assert trio.current_time() - began >= 1.2


async def test_buffers_are_bounded(world: MemoryNetwork, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    here, far, _ = await pair(world)
    done = trio.Event()

    async def send() -> None:
        await here.send_all(bytes(3 * WINDOW))
        done.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert here.outgoing.size == WINDOW
    assert here.send_nowait(b"x") == 0
    assert len(await read(far, 3 * WINDOW)) == 3 * WINDOW
    await done.wait()


async def test_the_end_comes_behind_the_data(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    here, far, _ = await pair(world)
    await here.send_all(b"last")
    await here.aclose()
    await here.aclose()
    assert await read(far, 4) == b"last"
    assert await far.receive_some(10) == b""
    assert await far.receive_some(10) == b""
    assert far.send_nowait(b"x") == 0
    with pytest.raises(ConnectionLost, match="reset"):
        await far.send_all(b"x")
    with pytest.raises(ConnectionLost, match="closed here"):
        await here.receive_some(1)
    assert world._streams == {}


async def test_closing_wakes_who_waits(world: MemoryNetwork, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    here, _, endpoint = await pair(world)

    async def expect_lost(call: object, *args: object) -> None:
        with pytest.raises(ConnectionLost):
            await call(*args)  # type: ignore[operator]

    async with trio.open_nursery() as waiting:
        waiting.start_soon(expect_lost, here.receive_some, 10)
        waiting.start_soon(expect_lost, here.send_all, bytes(2 * WINDOW))
        waiting.start_soon(expect_lost, endpoint.accept)
        waiting.start_soon(expect_lost, endpoint.receive_packet)
        await wait_all_tasks_blocked()
        await here.aclose()
        await endpoint.aclose()


async def test_connecting_where_nobody_listens(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    with pytest.raises(ConnectionLost, match="refused"):
        await world.host("a").connect(Address("b", 1), timeout=5)
    endpoint = await world.host("b").listen(Address("b", 1))
    with pytest.raises(OSError, match="in use"):
        await world.host("b").listen(Address("b", 1))
    await endpoint.aclose()
    await world.host("b").listen(Address("b", 1))


async def test_streams_not_accepted_are_reset(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    endpoint = await world.host("b").listen(Address("b", 1))
    here = await world.host("a").connect(endpoint.address, timeout=5)
    await endpoint.aclose()
    with pytest.raises(ConnectionLost, match="reset"):
        await here.receive_some(1)


# --- partitions -------------------------------------------------------------------------------------------------------


async def test_a_partition_stalls_and_after_it_streams_go_on_or_break(
    world: MemoryNetwork, autojump_clock: MockClock
) -> None:
    outcomes = set()
    for number in range(20):
        here, far, _ = await pair(world, f"a{number}", f"b{number}")
        idle, _, _ = await pair(world, f"a{number}", f"b{number}")
        world.partition([[f"a{number}"], [f"b{number}"]])
        await here.send_all(b"held")
        with trio.move_on_after(30):
            await far.receive_some(10)
            pytest.fail("went through")
        world.heal()
        try:
            outcomes.add(await far.receive_some(10))
        except ConnectionLost:
            outcomes.add(b"broken")
        await idle.send_all(b"idle streams notice nothing")
    assert outcomes == {b"held", b"broken"}


async def test_blocks_have_one_direction(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    here, far, _ = await pair(world)
    world.block("a", "b")
    await far.send_all(b"through")
    assert await read(here, 7) == b"through"
    await here.send_all(b"held")
    with trio.move_on_after(5) as scope:
        await far.receive_some(10)
    assert scope.cancelled_caught
    with pytest.raises(ConnectionLost, match="no answer"):
        await world.host("b").connect(Address("a", 1), timeout=3)


async def test_connecting_through_a_partition_waits_for_its_end(
    world: MemoryNetwork, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    endpoint = await world.host("b").listen(Address("b", 1))
    world.partition([["a"]])

    async def heal() -> None:
        await trio.sleep(3)
        world.heal()

    nursery.start_soon(heal)
    with pytest.raises(ConnectionLost):
        await world.host("a").connect(endpoint.address, timeout=2)
    await world.host("a").connect(endpoint.address, timeout=2)
    assert trio.current_time() == pytest.approx(3)


async def test_groups_and_the_rest(world: MemoryNetwork) -> None:
    world.partition([["a", "b"], ["c"]])
    assert not world.is_blocked("a", "b")
    assert world.is_blocked("a", "c")
    assert world.is_blocked("c", "d")
    assert not world.is_blocked("d", "e")
    world.heal()
    assert not world.is_blocked("a", "c")


# --- kill and pause ---------------------------------------------------------------------------------------------------


async def test_a_killed_host_is_reset_or_silent_and_its_handles_are_dead(autojump_clock: MockClock) -> None:
    seen = set()
    for seed in range(10):
        world = MemoryNetwork(TrioClock(), random.Random(seed))
        here, far, endpoint = await pair(world)
        dead = world.host("b")
        world.kill("b")
        world.kill("b")
        with pytest.raises(ConnectionLost):
            await far.send_all(b"x")
        for call in (endpoint.accept, endpoint.receive_packet):
            with pytest.raises(ConnectionLost):
                await call()
        await endpoint.send_packet(b"x", Address("a", 1))
        with pytest.raises(ConnectionLost):
            await dead.listen(Address("b", 5))
        with pytest.raises(ConnectionLost):
            await dead.connect(Address("a", 5), timeout=1)
        with trio.move_on_after(20) as scope:
            with pytest.raises(ConnectionLost):
                await here.receive_some(1)
        with pytest.raises(ConnectionLost) as caught:
            await world.host("a").connect(endpoint.address, timeout=1)
        seen.add((scope.cancelled_caught, "refused" in str(caught.value)))
        again = world.host("b")
        assert again is not dead
        await again.listen(endpoint.address)
        await world.host("a").connect(endpoint.address, timeout=1)
    assert seen == {(True, False), (False, True)}


async def test_a_paused_host_neither_sends_nor_receives(
    world: MemoryNetwork, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    here, far, endpoint = await pair(world)
    other = await world.host("a").listen(Address("a", 9))
    world.pause("b")
    await here.send_all(b"for later")
    await other.send_packet(b"packet", endpoint.address)
    got: list[object] = []

    async def receive() -> None:
        got.append(await far.receive_some(100))
        got.append((await endpoint.receive_packet())[0])
        await far.send_all(b"answer")

    nursery.start_soon(receive)
    await trio.sleep(10)
    assert got == []
    assert far.send_nowait(b"x") == 0
    world.resume("b")
    world.resume("b")
    assert await read(here, 6) == b"answer"
    assert got == [b"for later", b"packet"]


# --- packets ----------------------------------------------------------------------------------------------------------


async def packets(world: MemoryNetwork, count: int) -> list[int]:
    one, two = await world.host("a").listen(Address("a", 1)), await world.host("b").listen(Address("b", 1))
    got = []
    for number in range(count):
        await one.send_packet(number.to_bytes(4, "big"), two.address)
    with trio.move_on_after(10):
        while True:
            data, source = await two.receive_packet()
            assert source == one.address
            got.append(int.from_bytes(data, "big"))
    return got


async def test_packets_arrive(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    assert await packets(world, 50) == list(range(50))


async def test_packets_are_lost_doubled_and_reordered(world: MemoryNetwork, autojump_clock: MockClock) -> None:
    world.set_loss(0.3)
    world.set_duplication(0.2)
    world.set_delay(0.0, 1.0)
    got = await packets(world, 300)
    assert 150 < len(set(got)) < 270
    assert len(got) > len(set(got))
    assert got != sorted(got)


async def test_packets_that_cannot_arrive_are_lost_without_a_word(
    world: MemoryNetwork, autojump_clock: MockClock
) -> None:
    one = await world.host("a").listen(Address("a", 1))
    two = await world.host("b").listen(Address("b", 1))
    await one.send_packet(b"x", Address("nowhere", 1))
    await one.send_packet(bytes(MAX_PACKET + 1), two.address)
    world.block("a", "b")
    await one.send_packet(b"x", two.address)
    world.heal()
    for _ in range(PACKET_QUEUE + 50):
        await one.send_packet(b"flood", two.address)
    got = 0
    with trio.move_on_after(1):
        while True:
            await two.receive_packet()
            got += 1
    assert got == PACKET_QUEUE


# --- determinism ------------------------------------------------------------------------------------------------------


async def test_equal_seeds_give_equal_traces(autojump_clock: MockClock) -> None:
    async def run(seed: int) -> list[object]:
        world = MemoryNetwork(TrioClock(), random.Random(seed))
        trace: list[object] = []
        start = trio.current_time()
        world.trace = lambda now, *rest: trace.append((round(now - start, 9), *rest))
        world.set_delay(0.001, 0.05)
        world.set_loss(0.3)
        world.set_duplication(0.1)
        here, far, endpoint = await pair(world)
        other = await world.host("a").listen(Address("a", 0))
        for number in range(30):
            await here.send_all(bytes(number + 1))
            await other.send_packet(bytes(number), endpoint.address)
            await far.receive_some(1000)
        world.partition([["a"], ["b"]])
        await here.send_all(b"stalled")
        world.heal()
        world.kill("b")
        return trace

    first = await run(1)
    assert first == await run(1)
    assert first != await run(2)
    kinds = {event[1] for event in first}  # type: ignore[index]
    assert {"connect", "stream", "packet", "lose", "kill"} <= kinds
