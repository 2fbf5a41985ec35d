"""Faults that meet where something is forgotten for good: tombstones that are collected while old rows are still on
their way, to an owner or to a replica that learns (PROTOCOLS §5, §7).

Narrow as `schedules`; a group of their own, so that other scenarios draw as before.
"""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.replica import kv_name
from vectron_p2p.testing.simulation.faults import moves
from vectron_p2p.testing.simulation.faults.schedules import DOWN, _seeded, _slowed
from vectron_p2p.testing.simulation.faults.table import fault
from vectron_p2p.testing.simulation.workload.clients import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vectron_p2p.node.replica import Replica
    from vectron_p2p.testing.simulation.plan import Action
    from vectron_p2p.testing.simulation.world import World

LOOK = 0.02  # seconds between looks at what a replica is
NOTICED_WITHIN = 4.0  # seconds: damage is met by the next floor, and the replica replaced a second later
JITTER = 0.06  # seconds for which a path stays as slow as it is: of a list and of what it lists one may come late
LEARNED_WITHIN = 8.0  # seconds: four times what a learner needs with the short phases of these scenarios


@contextmanager
def _slow_reads(world: World, name: str, stretch: float) -> Iterator[None]:
    """Scans and reads take long; writes do not."""
    executor = world.host(name).executor
    if executor is not None:
        executor.stretched["read"] = stretch
    try:
        yield
    finally:
        if executor is not None:
            executor.stretched.pop("read", None)


def _shard(world: World, action: Action, rng: random.Random) -> tuple[ShardId, list[str], list[str]] | None:
    """A shard of the points; the hosts of its owners by node id, which is the order in which they propose and are
    learned from; the other hosts. None while one of them is down.
    """
    state = moves.state_of(world, action)
    names = {} if state is None else {member.node: member.name for member in state.active()}
    if state is None or any(name not in moves.up(world, action) for name in names.values()):
        return None
    collection = next((each for each in state.collections.values() if each.name == POINTS), None)
    if collection is None:
        return None
    shard = ShardId(collection.id, rng.randrange(len(collection.placement)))
    owners = [names[owner] for owner in sorted(state.owners(shard))]
    return shard, owners, [name for name in world.cluster.hosts if name not in owners]


def _replica(world: World, name: str, shard: ShardId) -> Replica | None:
    node = world.host(name).node
    return None if node is None else next((each for each in node.replicas.all() if each.shard == shard), None)


def _full(world: World, name: str, shard: ShardId) -> bool:
    replica = _replica(world, name, shard)
    return replica is not None and replica.learner is None


def _learns(world: World, name: str, shard: ShardId) -> bool:
    replica = _replica(world, name, shard)
    return replica is not None and replica.learner is not None


@contextmanager
def _alone(world: World, kind: str) -> Iterator[bool]:
    """Whether no other fault of this kind is under way: two of them would harm more copies than may be lost at once."""
    alone = kind not in world.under_way
    world.under_way.add(kind)
    try:
        yield alone
    finally:
        if alone:
            world.under_way.discard(kind)


async def _until(condition: Callable[[], bool], within: float) -> bool:
    for _ in range(round(within / LOOK)):
        if condition():
            return True
        await trio.sleep(LOOK)
    return condition()


@fault("old write", "forgotten", _seeded(2.0, 4.0))
async def old_write(world: World, action: Action) -> None:
    """What one coordinator sends comes to every owner late, to one a while before the others; and another owner takes
    long to add up its rows. So a write is on its way while all owners agree to a floor above it and find that they hold
    the same, and comes to an owner that has told so and has not collected yet.
    """
    rng = random.Random(action.value)
    found = _shard(world, action, rng)
    if found is None or not found[2]:
        return
    _, owners, others = found
    first, slow = rng.sample(owners[1:], 2)  # not the proposer, which adds up last
    source, late = rng.choice(others), rng.uniform(0.5, 1.2)
    with ExitStack() as stack:
        for owner in owners:
            extra = 0.0 if owner == first else rng.choice((0.0, 0.3, 0.8))
            stack.enter_context(_slowed(world, [(source, owner)], late + extra))
        stack.enter_context(_slow_reads(world, slow, rng.choice((500.0, 1000.0, 2000.0))))
        await trio.sleep(action.lasts)


@fault("stale copy", "forgotten", _seeded(3.0, 5.0))
async def stale_copy(world: World, action: Action) -> None:
    """A replica rots, and learns from the others. Near the end of that what one coordinator writes comes late to it and
    to the first that it learns from, and of what it copies from the last some comes late too: a row may be old when it
    comes, and its point deleted and collected.
    """
    rng = random.Random(action.value)
    found = _shard(world, action, rng)
    if found is not None and all(_full(world, owner, found[0]) for owner in found[1]):
        with _alone(world, action.kind) as alone:
            if alone:
                await _stale_copy(world, rng, *found)


async def _stale_copy(world: World, rng: random.Random, shard: ShardId, owners: list[str], others: list[str]) -> None:
    victim = rng.choice(owners)
    first, last = (owner for owner in owners if owner != victim)
    world.host(victim).disk.rot(kv_name(shard))
    world.note(f"{victim}: all of shard {shard.index} is damaged")
    if not await _until(lambda: _learns(world, victim, shard), NOTICED_WITHIN):
        return
    await trio.sleep(max(0.0, 2 * world.cluster.limits.phase_timeout - rng.uniform(0.0, 0.4)))
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(_slowed(world, [(other, victim)], 3.0))
            stack.enter_context(_slowed(world, [(other, first)], rng.uniform(0.3, 1.0)))
        for _ in range(round(LEARNED_WITHIN / JITTER)):
            if _full(world, victim, shard):
                break
            with _slowed(world, [(last, victim)], rng.choice((0.05, 0.8))):
                await trio.sleep(rng.uniform(0.5, 1.5) * JITTER)
        world.note(f"{victim} has learned: {_full(world, victim, shard)}")


@fault("one after the other", "forgotten", _seeded(6.0, 12.0))
async def one_after_the_other(world: World, action: Action) -> None:
    """Each owner loses its shard in turn, when the one before is whole again: the first two to rot, the last to an old
    copy, with points that were deleted since.
    """
    rng = random.Random(action.value)
    found = _shard(world, action, rng)
    if found is not None and all(_full(world, owner, found[0]) for owner in found[1]):
        with _alone(world, action.kind) as alone:
            if alone:
                await _one_after_the_other(world, rng, *found[:2])


async def _one_after_the_other(world: World, rng: random.Random, shard: ShardId, owners: list[str]) -> None:
    name = kv_name(shard)
    *rotting, last = rng.sample(owners, len(owners))
    image = world.host(last).disk.image()[name]
    world.note(f"{last}: a copy of shard {shard.index} is taken")
    await trio.sleep(rng.uniform(1.5, 3.5))
    for victim in rotting:
        world.host(victim).disk.rot(name)
        world.note(f"{victim}: all of shard {shard.index} is damaged")
        if not await _until(lambda: _learns(world, victim, shard), NOTICED_WITHIN):  # noqa: B023
            return
        if not await _until(lambda: _full(world, victim, shard), LEARNED_WITHIN):  # noqa: B023
            return
        world.note(f"{victim} has learned")
    with world.kept_down(last):
        world.cluster.kill(last)
        disk = world.host(last).disk
        disk.restore({**disk.image(), name: image})
        world.note(f"{last}: shard {shard.index} is what it was")
        await trio.sleep(DOWN)
