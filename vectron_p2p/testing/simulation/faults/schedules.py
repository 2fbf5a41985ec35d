"""Faults that meet: each brings about, with all its times and places left to chance, a schedule that some rules of the
protocol are there for. Single faults would meet like this once in hundreds of runs.

They are in a group that only narrow scenarios name. A new one is a group of its own, for what a scenario draws depends
on how many faults its groups have: the seeds that are stored for mutants would stand for other runs.
"""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.commands import StartMove
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.node import SYSTEM
from vectron_p2p.node.replica import kv_name
from vectron_p2p.testing.simulation.faults import moves
from vectron_p2p.testing.simulation.faults.table import fault
from vectron_p2p.testing.simulation.workload.clients import POINTS, SHARED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.simulation.faults.table import Draw, Drawn
    from vectron_p2p.testing.simulation.plan import Action, Shape
    from vectron_p2p.testing.simulation.world import World

LATE = (0.3, 1.0, 3.0)  # seconds
ASIDE = (0.2, 0.4, 0.8)  # seconds: long enough for many calls of others, and no node is missed
LOOK = 0.05  # seconds between looks whether a move is over
LOOKS = 60  # it takes half a second where nothing hinders it
STRETCH = (1.0, 100.0, 300.0)  # of a synced batch of rows: a third of a second, one second
DOWN = 0.3  # seconds without power: as short as it can be, before others have what was lost


def _seeded(shortest: float, longest: float) -> Draw:
    """Every host, in an order, the victim last; the value seeds what else is drawn when the fault begins."""

    def draw(rng: random.Random, shape: Shape) -> Drawn:
        hosts = [host for host in rng.sample(shape.hosts, len(shape.hosts)) if host != shape.victim]
        return (*hosts, shape.victim), rng.uniform(shortest, longest), round(rng.random(), 6)

    return draw


@contextmanager
def _slowed(world: World, pairs: Iterable[tuple[str, str]], seconds: float) -> Iterator[None]:
    ways = list(pairs)
    world.cluster.network.slow(ways, seconds)
    try:
        yield
    finally:
        world.cluster.network.slow(ways, 0.0)


@contextmanager
def _slow_commits(world: World, name: str, stretch: float) -> Iterator[None]:
    """Rows take long to get on disk; reads and the catalog do not."""
    executor = world.host(name).executor
    if executor is not None:
        executor.stretched["disk"] = stretch
    try:
        yield
    finally:
        if executor is not None:
            executor.stretched.clear()


@contextmanager
def _catalog_lag(world: World, name: str) -> Iterator[None]:
    """No message of the catalog's log gets to a node; all others do. So it goes on by the routes that it knows."""
    node = world.host(name).node
    if node is None or not world.host(name).up:
        yield
        return
    catalog = node.catalog
    catalog.receive = lambda body, sender: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del catalog.receive


def _names(world: World, action: Action, state: ClusterState) -> dict[NodeId, str]:
    """The hosts that are up, by the nodes on them."""
    return {member.node: name for name in moves.up(world, action) for member in state.active() if member.name == name}


def _moves_of_points(state: ClusterState) -> list[tuple[ShardId, NodeId, NodeId]]:
    """Shard, who may leave, who may come: of the collection with most calls."""
    return [each for each in moves.possible(state) if state.collections[each[0].collection].name == POINTS]


@fault("late", "narrow", _seeded(1.0, 6.0))
async def late(world: World, action: Action) -> None:
    """What one host sends gets to each other one at another time: a request is old when it comes, or comes after what
    was sent later by others.
    """
    rng = random.Random(action.value)
    source, *others = rng.sample(action.hosts, len(action.hosts))
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(_slowed(world, [(source, other)], rng.choice((0.0, *LATE))))
        await trio.sleep(action.lasts)


@fault("few first", "few first", _seeded(1.0, 3.0))
async def few_first(world: World, action: Action) -> None:
    """Each host that owns nothing of what clients compete for either reaches one of the owners in time, mostly the one
    that readers ask last, and the others late: what it writes is at a minority for a while. Or it gets the owners'
    answers late: what they promise to its rounds they keep for a while.
    """
    rng, state = random.Random(action.value), moves.state_of(world, action)
    if state is None or world.cluster.network.slowed:
        return  # one at a time: the end of each would be that of others
    key = next(key for key, collection in state.collections.items() if collection.name == SHARED)
    names = _names(world, action, state)
    owners = [names[owner] for owner in sorted(state.owners(ShardId(key, 0))) if owner in names]
    with ExitStack() as stack:
        for name in sorted(set(names.values()).difference(owners)):
            first = owners[-1] if rng.random() < 0.7 else rng.choice(owners)
            late = [(name, owner) for owner in owners if owner != first]
            answers = [(owner, name) for owner in owners]
            stack.enter_context(_slowed(world, late if rng.random() < 0.6 else answers, rng.choice(ASIDE)))
        await trio.sleep(action.lasts)


@fault("contested move", "narrow", _seeded(1.5, 4.0))
async def contested_move(world: World, action: Action) -> None:
    """A shard is moved while it is written by hosts that one of its owners hears late. What they write is at a bare
    majority of the old owners, the one that leaves among them; its disk, or that of the node that comes, may be slow,
    so that requests are under way for long; and some node may not hear of the move.
    """
    rng, state = random.Random(action.value), moves.state_of(world, action)
    if state is None or state.moves or any(host.executor and host.executor.stretched for host in world.cluster.up):
        return  # one at a time: with every disk slow nothing happens at all
    names, possible = _names(world, action, state), _moves_of_points(state)
    if not possible:
        return
    shard, leaving, coming = rng.choice(possible)
    staying = [owner for owner in state.owners(shard) if owner != leaving]
    involved = {leaving, coming, *staying}
    if not involved.issubset(names):
        return
    behind = names[rng.choice(staying)]
    writers = [name for node, name in names.items() if name != behind and node != coming]
    apart = [name for node, name in names.items() if node not in involved]
    with ExitStack() as stack:
        early = [name for name in writers if name in apart or rng.random() < 0.7]
        stack.enter_context(_slowed(world, [(name, behind) for name in early], rng.choice((0.8, 1.5))))
        stack.enter_context(_slow_commits(world, names[leaving], rng.choice(STRETCH)))
        stack.enter_context(_slow_commits(world, names[coming], rng.choice((1.0, 1.0, 50.0))))
        if apart and rng.random() < 0.7:
            stack.enter_context(_catalog_lag(world, rng.choice(apart)))
        await trio.sleep(rng.uniform(0.1, 0.5))
        await moves.propose(world, action, StartMove(shard.collection, shard.index, leaving, coming))
        await trio.sleep(action.lasts)


@fault("late deletions", "late deletions", _seeded(2.0, 5.0))
async def late_deletions(world: World, action: Action) -> None:
    """A shard is moved by a copy that takes long, and what others write reaches the node that comes still later: it has
    rows that were deleted after they were copied, and no deletion, at the end of the copy or for seconds after it.
    """
    rng, state = random.Random(action.value), moves.state_of(world, action)
    if state is None or state.moves:
        return  # one at a time, so that each copy meets what this one is about
    names = _names(world, action, state)
    possible = [each for each in _moves_of_points(state) if names.keys() >= {*state.owners(each[0]), each[2]}]
    if not possible:
        return
    shard, leaving, coming = rng.choice(possible)
    source, target = names[leaving], names[coming]
    others = [name for name in world.cluster.hosts if name not in (source, target)]
    slowness = rng.choice(LATE[:2])
    with ExitStack() as stack:
        stack.enter_context(_slowed(world, [(source, target)], slowness))
        stack.enter_context(_slow_commits(world, target, rng.choice(STRETCH)))
        await moves.propose(world, action, StartMove(shard.collection, shard.index, leaving, coming))
        await trio.sleep(slowness * rng.uniform(1.0, 3.0))  # the fence has passed: it would wait for all of them
        stack.enter_context(_slowed(world, [(name, target) for name in others], LATE[-1]))
        await trio.sleep(action.lasts)


@fault("old shards", "narrow", _seeded(2.5, 7.0))
async def old_shards(world: World, action: Action) -> None:
    """The victim's shards, but not its own records, are restored from a copy `lasts` seconds old: each of which the
    node knows that it had come further. (Of the last second it may not know, and nothing else tells.)
    """
    await _restored(world, action, partial(trio.sleep, action.lasts))


@fault("old shards among new owners", "old shards among new owners", _seeded(1.5, 3.0))
async def old_shards_among_new_owners(world: World, action: Action) -> None:
    """The same, but meanwhile all other owners of a shard of the victim have been replaced: what they have collected
    since the copy was made nobody knows but by what they passed on.
    """
    rng, victim = random.Random(action.value), action.hosts[-1]

    async def replace() -> None:
        await trio.sleep(action.lasts)
        state = moves.state_of(world, action)
        if state is None or state.moves:
            return
        me = {name: node for node, name in _names(world, action, state).items()}.get(victim)
        shards = [shard for shard, *_ in _moves_of_points(state) if me in state.owners(shard)]
        if not shards:
            return
        shard = rng.choice(shards)
        old = state.owners(shard)
        fresh = sorted({member.node for member in state.active()}.difference(old))
        for leaving, coming in zip([owner for owner in old if owner != me], fresh, strict=False):
            await moves.propose(world, action, StartMove(shard.collection, shard.index, leaving, coming))
            for _ in range(LOOKS):
                await trio.sleep(LOOK)
                now = moves.state_of(world, action)
                if now is None or shard not in now.moves:
                    break

    await _restored(world, action, replace)


async def _restored(world: World, action: Action, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Copies the victim's shards, and restores them after `meanwhile`."""
    victim = action.hosts[-1]
    host = world.host(victim)
    node = host.node
    if not world.may_destroy() or node is None or not node.serving:
        return
    image = host.disk.image()
    had = {kv_name(replica.shard): replica.store.sequence for replica in node.replicas.all()}
    began = trio.current_time()
    await meanwhile()
    if not world.may_destroy() or host.node is not node:
        return
    known = {name: node._records.sequence(name) for name in had}
    with world.kept_down(victim):
        world.cluster.kill(victim)
        now = host.disk.image()
        old = {name: image[name] for name in had if name in now and name in image and known[name] > had[name]}
        host.disk.restore({**now, **old})
        world.note(f"{victim}: {len(old)} shards are of {trio.current_time() - began:.1f} s ago")
        await trio.sleep(DOWN)


@fault("relay with rot", "narrow", _seeded(12.0, 16.0))
async def relay_with_rot(world: World, action: Action) -> None:
    """What is acknowledged while one host is down, another one has and the victim. Then the victim's shards rot, and
    the other one goes down instead: of those who are there now none knows. The victim may notice at its next start.
    """
    rng = random.Random(action.value)

    async def harm(victim: str) -> None:
        if rng.random() < 0.7:
            world.cluster.kill(victim)
        disk = world.host(victim).disk
        for name in disk.names():
            if name != SYSTEM and rng.random() < 0.8:
                disk.rot(name)
                world.note(f"{victim}: all of {name} is damaged")
        await trio.lowlevel.checkpoint()

    if world.may_destroy():
        await _relay(world, action, rng, harm)


@fault("relay with power", "narrow", _seeded(6.0, 9.0))
async def relay_with_power(world: World, action: Action) -> None:
    """The same, but the victim's machine loses power, and what it had not synced."""

    async def harm(victim: str) -> None:
        with world.kept_down(victim):
            world.cluster.kill(victim, power=world.may_lose_power(victim))
            await trio.sleep(DOWN)

    await _relay(world, action, random.Random(action.value), harm)


async def _relay(world: World, action: Action, rng: random.Random, harm: Callable[[str], Awaitable[None]]) -> None:
    first, second, *_, victim = action.hosts
    before = rng.uniform(0.3, 1.5)
    if not all(host.up and host.node is not None and host.node.serving for host in world.cluster.hosts.values()):
        return  # with some other host down this would stop everything, and nothing could be seen
    with ExitStack() as stack:
        with world.kept_down(first):
            world.cluster.kill(first)
            await trio.sleep(before)
            stack.enter_context(world.kept_down(second))
            world.cluster.kill(second)
            await harm(victim)
        await trio.sleep(action.lasts - before)


@fault("votes and power", "voters", _seeded(3.0, 6.0))
async def votes_and_power(world: World, action: Action) -> None:
    """Two voters have chosen an entry, which the third one has not heard of and only the first one's clients. Then the
    first one dies, and the second one's machine loses power for a moment: what it voted for is on its disk or nowhere.
    """
    rng = random.Random(action.value)
    proposer, voter, *others = rng.sample(action.hosts, len(action.hosts))
    if not all(host.up and host.node is not None and host.node.serving for host in world.cluster.hosts.values()):
        return
    network, unheard = world.cluster.network, [(proposer, other) for other in others]
    with ExitStack() as stack:
        network.cut(unheard)
        stack.callback(network.mend, unheard)
        with _slowed(world, [(proposer, voter)], rng.choice(LATE[:2])):
            await trio.sleep(rng.uniform(0.5, 2.5))
            stack.enter_context(world.kept_down(proposer))
            world.cluster.kill(proposer)
            with world.kept_down(voter):
                world.cluster.kill(voter, power=world.may_lose_power(voter))
                await trio.sleep(DOWN)
        await trio.sleep(action.lasts)


@fault("rot among rounds", "promises", _seeded(3.0, 6.0))
async def rot_among_rounds(world: World, action: Action) -> None:
    """What two hosts hear is late, so that rounds and writes are under way to them for long. Then one of them finds its
    shards damaged, and has forgotten what it promised, while it goes on.
    """
    rng = random.Random(action.value)
    *others, victim = action.hosts
    late = [(source, target) for target in (victim, rng.choice(others)) for source in action.hosts if source != target]
    if not world.may_destroy():
        return
    with _slowed(world, late, rng.uniform(0.7, 1.5)):
        await trio.sleep(rng.uniform(0.8, 1.6))
        disk = world.host(victim).disk
        for name in disk.names():
            if name != SYSTEM:
                disk.rot(name)
                world.note(f"{victim}: all of {name} is damaged")
        await trio.sleep(1.0)
    await trio.sleep(action.lasts)
