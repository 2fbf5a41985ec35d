"""What administrators do in the middle of it all. Steps that last end by themselves, as all actions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.commands import CancelDrain, DrainNode, RemoveNode, SetReplicas
from vectron_p2p.model.ids import OperationId
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.testing.simulation.faults.table import anyone, fault
from vectron_p2p.testing.simulation.workload.clients import POINTS, SHARED

if TYPE_CHECKING:
    import random

    from vectron_p2p.catalog.state import ClusterState
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


@fault("remove-lost", "admin", _fraction, weight=0.7)
async def remove_lost(world: World, action: Action) -> None:
    """A node whose disk is lost is removed for good."""
    state = _state(world)
    for node, member in sorted(state.members.items()) if state is not None else ():
        if member.name in world.lost and member.state is not NodeState.REMOVED:
            await world.administer(RemoveNode(OperationId(f"remove {action.at} {node}"), node))


@fault("drain", "admin", anyone(0.0, 0.0), weight=0.7)
async def drain(world: World, action: Action) -> None:
    """A node gives its shards to others and leaves; its machine is then set up anew."""
    (name,) = action.hosts
    state, called = _state(world), world.host(name).node_name or name
    if state is not None:
        for node, member in sorted(state.members.items()):
            if member.name == called and member.state is NodeState.ACTIVE:
                world.drained.add(node)
                await world.administer(DrainNode(OperationId(f"drain {action.at}"), node))


@fault("replicas", "admin", _fraction, weight=0.7)
async def replicas(world: World, action: Action) -> None:
    """A collection gets more replicas, or fewer, but never so few that one lost disk is half of them."""
    pick = int(action.value * 1_000_000)
    operation = OperationId(f"replicas {action.at}")
    await world.administer(SetReplicas(operation, (POINTS, SHARED)[pick % 2], (3, 4, 5)[pick // 2 % 3]))


def _state(world: World) -> ClusterState | None:
    """As some node that serves knows it."""
    return world.cluster.node(world.cluster.up[0].name).catalog.state if world.cluster.up else None


async def settle(world: World, attempt: int) -> None:
    """What an administrator does in the end: lost nodes are removed, drains taken back."""
    state = _state(world)
    for node, member in sorted(state.members.items()) if state is not None else ():
        if member.name in world.lost and member.state is not NodeState.REMOVED:
            await world.administer(RemoveNode(OperationId(f"remove {attempt} {node}"), node))
        elif member.state is NodeState.DRAINING:
            await world.administer(CancelDrain(OperationId(f"cancel {attempt} {node}"), node))
