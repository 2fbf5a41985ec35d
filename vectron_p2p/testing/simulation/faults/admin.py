"""What administrators do in the middle of it all. Steps that last end by themselves, as all actions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.commands import RemoveNode, StartMove
from vectron_p2p.model.ids import OperationId, ShardId
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.testing.simulation.faults.table import fault

if TYPE_CHECKING:
    import random

    from vectron_p2p.testing.simulation.plan import Action, Shape
    from vectron_p2p.testing.simulation.world import World

NEWCOMERS = ("j1", "j2")  # more would cost much and show little


def _newcomer(rng: random.Random, shape: Shape) -> tuple[tuple[str, ...], float, float]:
    return (rng.choice(NEWCOMERS),), 0.0, 0.0


@fault("join", "admin", _newcomer, weight=0.7)
async def join(world: World, action: Action) -> None:
    """A new node joins; its supervisor starts it."""
    (name,) = action.hosts
    if name not in world.cluster.hosts:
        zones = world.plan.zones or ("default",)
        zone = zones[len(world.cluster.hosts) % len(zones)]
        host = world.cluster.add_host(name, zone=zone, durability=world.plan.shape.durability)
        await world.cluster.start(host.name, join=[other.address for other in world.cluster.hosts.values()], wait=False)


def _fraction(rng: random.Random, shape: Shape) -> tuple[tuple[str, ...], float, float]:
    return (), 0.0, round(rng.random(), 6)


@fault("move", "admin", _fraction, weight=2.0)
async def move(world: World, action: Action) -> None:
    """Some replica of some shard goes to a node that has none of it: from a lost node, if one owns the shard."""
    if not world.cluster.up:
        return
    state = world.cluster.node(world.cluster.up[0].name).catalog.state
    shards = sorted(
        ShardId(collection.id, index) for collection in state.collections.values() for index in range(collection.shards)
    )
    if not shards:
        return
    pick = int(action.value * 1_000_000)
    shard = shards[pick % len(shards)]
    owners = sorted(state.route(shard).read)
    lost = [owner for owner in owners if state.members[owner].name in world.lost]
    free = sorted(
        node
        for node, member in state.members.items()
        if member.state is NodeState.ACTIVE and node not in owners and member.name not in world.lost
    )
    if free:
        leaving, coming = (lost or owners)[pick % len(lost or owners)], free[pick % len(free)]
        await world.administer(StartMove(shard.collection, shard.index, leaving, coming))


@fault("remove-lost", "admin", _fraction, weight=0.7)
async def remove_lost(world: World, action: Action) -> None:
    """A node whose disk is lost is removed for good."""
    await remove_all_lost(world, f"remove {action.at}")


async def remove_all_lost(world: World, operation: str) -> None:
    if not world.cluster.up:
        return
    state = world.cluster.node(world.cluster.up[0].name).catalog.state
    for node, member in sorted(state.members.items()):
        if member.name in world.lost and member.state is not NodeState.REMOVED:
            await world.administer(RemoveNode(OperationId(f"{operation} {member.name}"), node))
