"""Shards that are moved while all else goes wrong, and moves that are cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.commands import CancelMove, StartMove
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.testing.simulation.faults.table import fault

if TYPE_CHECKING:
    import random

    from vectron_p2p.catalog.commands import Command
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.simulation.plan import Action, Shape
    from vectron_p2p.testing.simulation.world import World

GIVE_UP = 10.0  # virtual seconds for an entry: without a majority of voters there is none, and the run goes on


def _any(rng: random.Random, shape: Shape) -> tuple[tuple[str, ...], float, float]:
    return tuple(rng.sample(shape.hosts, len(shape.hosts))), 0.0, round(rng.random(), 6)


@fault("move", "moves", _any, weight=4.0)
async def move(world: World, action: Action) -> None:
    """Some replica goes to some node that has none of its shard."""
    state = state_of(world, action)
    if state is None:
        return
    choices = possible(state)
    if choices:
        shard, leaving, coming = choices[min(int(action.value * len(choices)), len(choices) - 1)]
        await propose(world, action, StartMove(shard.collection, shard.index, leaving, coming))


@fault("cancel move", "moves", _any)
async def cancel(world: World, action: Action) -> None:
    """Some move is cancelled, if it still can be."""
    state = state_of(world, action)
    if state is not None and state.moves:
        shard = sorted(state.moves)[min(int(action.value * len(state.moves)), len(state.moves) - 1)]
        await propose(world, action, CancelMove(shard.collection, shard.index, state.moves[shard].id))


def possible(state: ClusterState) -> list[tuple[ShardId, NodeId, NodeId]]:
    """Shard, an owner that may leave, a node that may come."""
    active = {member.node for member in state.active()}
    return [
        (shard, leaving, coming)
        for key, collection in sorted(state.collections.items())
        for index, owners in enumerate(collection.placement)
        if (shard := ShardId(key, index)) not in state.moves
        for leaving in owners
        if leaving in active
        for coming in sorted(active.difference(owners))
    ]


def up(world: World, action: Action) -> list[str]:
    return [name for name in action.hosts if world.host(name).up and not world.is_frozen(name)]


def state_of(world: World, action: Action) -> ClusterState | None:
    names = up(world, action)
    return world.cluster.node(names[0]).catalog.state if names else None


async def propose(world: World, action: Action, command: Command) -> None:
    node = world.cluster.node(up(world, action)[0])
    with trio.move_on_after(GIVE_UP):
        try:
            await node.catalog.propose(command, timeout=GIVE_UP)
            world.note(f"done: {command}")
        except VectronError as error:
            world.note(f"not done: {error.message}")
