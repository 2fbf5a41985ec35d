"""Faults of the network: cuts of all shapes, slow paths, broken connections, changed bits. (Loss, delay, order and
doubling of datagrams are the plan's, for the whole run.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.testing.simulation.faults.table import all_hosts, anyone, fault, hosts_apart, pair, some
from vectron_p2p.testing.simulation.world import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.testing.simulation.plan import Action
    from vectron_p2p.testing.simulation.world import World

Pairs = list[tuple[str, str]]
BREAK_EVERY = 0.7  # seconds between resets: calls get through in between, and some are cut off
HANG_UP_EVERY = 0.4  # as of resets; clients call several times a second, so every look finds some waiting


def between(here: Iterable[str], there: Iterable[str], *, both: bool = True) -> Pairs:
    """The ways from here to there, and back."""
    far = list(there)
    out = [(source, target) for source in here for target in far]
    return out + [(target, source) for source, target in out] if both else out


async def cut(world: World, action: Action, pairs: Pairs) -> None:
    network = world.cluster.network
    network.cut(pairs)
    await trio.sleep(action.lasts)
    network.mend(pairs)


def _others(world: World, names: Iterable[str]) -> list[str]:
    inside = set(names)
    return [name for name in world.names if name not in inside]


@fault("partition", "network", some(1.0, 20.0), weight=1.5)
async def partition(world: World, action: Action) -> None:
    await cut(world, action, between(action.hosts, _others(world, action.hosts)))


@fault("half-partition", "network", some(1.0, 20.0))
async def half_partition(world: World, action: Action) -> None:
    """Nothing leaves one side; it hears all."""
    await cut(world, action, between(action.hosts, _others(world, action.hosts), both=False))


@fault("isolate", "network", anyone(1.0, 25.0))
async def isolate(world: World, action: Action) -> None:
    await cut(world, action, between(action.hosts, _others(world, action.hosts)))


@fault("one-way", "network", pair(1.0, 20.0))
async def one_way(world: World, action: Action) -> None:
    await cut(world, action, [(action.hosts[0], action.hosts[1])])


@fault("bridge", "network", all_hosts(1.0, 20.0))
async def bridge(world: World, action: Action) -> None:
    """Two sides that only the first host reaches both of."""
    others = action.hosts[1:]
    half = len(others) // 2
    await cut(world, action, between(others[:half], others[half:]))


@fault("ring", "network", all_hosts(1.0, 20.0))
async def ring(world: World, action: Action) -> None:
    """Each sees a majority, and no two see the same one: with five hosts the neighbours in a ring, with fewer those
    behind it.
    """
    hosts = action.hosts
    count = len(hosts)
    if count >= 5:
        apart = [(i, j) for i in range(count) for j in range(count) if min((i - j) % count, (j - i) % count) > 1]
    else:
        apart = [(i, (i + 1) % count) for i in range(count)]
    await cut(world, action, [(hosts[i], hosts[j]) for i, j in apart])


@fault("slow", "network", pair(0.5, 15.0, (0.1, 0.3, 1.0, 3.0)))
async def slow(world: World, action: Action) -> None:
    """A clogged path: all that goes there takes `value` longer."""
    network, (source, target) = world.cluster.network, action.hosts
    network.slow([(source, target)], action.value)
    await trio.sleep(action.lasts)
    network.slow([(source, target)], 0.0)


@fault("resets", "network", anyone(0.5, 6.0))
async def resets(world: World, action: Action) -> None:
    """Connections of a host break again and again."""
    name, end = action.hosts[0], trio.current_time() + action.lasts
    while True:
        for other in _others(world, [name]):
            world.cluster.network.break_streams(name, other)
        if trio.current_time() + BREAK_EVERY > end:
            break
        await trio.sleep(BREAK_EVERY)


@fault("cut-client", "network", anyone(1.0, 10.0), weight=0.5)
async def cut_client(world: World, action: Action) -> None:
    """The clients do not reach a host, which is well otherwise."""
    await cut(world, action, between(action.hosts, [CLIENT]))


@fault("corrupt", "corrupt", pair(1.0, 6.0, (0.02, 0.1, 0.3)))
async def corrupt(world: World, action: Action) -> None:
    """Bits change on the way from one host to another, and no checksum below ours sees it."""
    network, pairs = world.cluster.network, [(action.hosts[0], action.hosts[1])]
    network.corrupt(pairs, action.value)
    await trio.sleep(action.lasts)
    network.corrupt(pairs, 0.0)


# Of the group "narrow", which is drawn only where a scenario names them: each makes one schedule likely.


@fault("lag", "narrow", hosts_apart(0.3, 2.5, (0.1, 0.3, 0.6, 1.2)))
async def lag(world: World, action: Action) -> None:
    """A clogged path between two nodes: what one of them sends reaches this owner late, the others in time."""
    await slow(world, action)


@fault("clog", "narrow", hosts_apart(1.0, 3.0, (1.5, 2.5)))
async def clog(world: World, action: Action) -> None:
    """A `lag` so long that a process is killed and back before what was sent comes: still within a round's patience."""
    await slow(world, action)


@fault("island", "narrow", anyone(3.0, 9.0), weight=0.15)
async def island(world: World, action: Action) -> None:
    """The clients reach a host, the other nodes do not: it has to refuse them."""
    others = [name for name in _others(world, action.hosts) if name != CLIENT]
    await cut(world, action, between(action.hosts, others))


@fault("hang-up", "narrow", anyone(2.0, 6.0, (0.05, 0.15, 0.3)))
async def hang_up(world: World, action: Action) -> None:
    """A host's answers to clients take long and their connections break: what was done was not heard of."""
    network, name, end = world.cluster.network, action.hosts[0], trio.current_time() + action.lasts
    network.slow([(name, CLIENT)], action.value)
    while trio.current_time() + HANG_UP_EVERY < end:
        await trio.sleep(HANG_UP_EVERY)
        network.break_streams(name, CLIENT)
    network.slow([(name, CLIENT)], 0.0)
