"""Times and sizes of a catalog state, of one entry of every kind on top of it, and of plans after a change of members.

An entry's time is what its decision costs on a node's event loop: parsing it, the next state, its bytes and its hash.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulations.large.model import Names, member, unevenness
from vectron_p2p.catalog.commands import (
    ActivateMember,
    AddMember,
    AdvanceMove,
    CancelDrain,
    CancelMove,
    CreateCollection,
    DeleteCollection,
    DrainNode,
    LeaveCluster,
    RemoveNode,
    SeatVoter,
    SetReplicas,
    StartMove,
    UpdateAddress,
    command_to_wire,
)
from vectron_p2p.catalog.entry import Entry, advance
from vectron_p2p.catalog.planner import targets
from vectron_p2p.catalog.state import ClusterState, digest
from vectron_p2p.model.ids import Address, CollectionId, OperationId, ShardId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.catalog.commands import Command

REPEATS = 5  # the best of them counts: what else runs on the machine only adds


@dataclass(frozen=True, slots=True)
class Applied:
    """An entry of kind `name`: its bytes, and milliseconds of the event loop."""

    name: str
    bytes: int
    ms: float


def best_ms(action: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Of `action`, with `before` ahead of each run."""
    best = float("inf")
    for _ in range(REPEATS):
        before()
        began = time.thread_time()
        action()
        best = min(best, time.thread_time() - began)
    return 1000 * best


def sizes(state: ClusterState) -> dict[str, float]:
    """What a state weighs, and what becomes of it when it travels."""
    data = state.to_bytes()
    fresh = ClusterState.from_bytes(data)  # one that came as a snapshot: nothing of it is known yet
    me = min(state.members)
    return {
        "bytes": len(data),
        "bytes_ms": best_ms(lambda: replace(state).to_bytes()),
        "hash_ms": best_ms(lambda: digest(data)),
        "read_snapshot_ms": best_ms(lambda: ClusterState.from_bytes(data)),
        "load_ms": best_ms(fresh.load),
        "under_replicated_ms": best_ms(fresh.under_replicated),
        "current_ms": best_ms(fresh.current),
        "owned_ms": best_ms(lambda: state.owned(me)),
    }


def entries(state: ClusterState, seed: int) -> list[Applied]:
    """One entry of every kind on top of `state`, or of what an entry before it left where it asks for that."""
    names = Names(seed + 2**32)  # other ids than those of the state
    out: list[Applied] = []

    def put(command: Command, base: ClusterState) -> ClusterState:
        proposal = Entry(
            base.generation, base.epoch + 1, base.hash, next(iter(base.members)), names(), command_to_wire(command)
        )
        data = proposal.to_bytes()

        def decide() -> ClusterState:
            after, _, result = advance(base, data)
            if "error" in result:
                raise AssertionError(f"{command} was refused: {result['error']}")
            after.hash  # noqa: B018  # made on demand; a node needs it at once
            return after

        # The node comes from `base`, so what states share is as it is for that one.
        out.append(Applied(type(command).__name__, len(data), best_ms(decide, before=lambda: replace(base).to_bytes())))
        return decide()

    def operation() -> OperationId:
        return OperationId(names())

    active = state.active()
    some, other = active[0], active[-1]
    new = member(names, len(state.members), 1)
    joining = put(AddMember(new.node, new.name, new.address, some.zone), state)
    put(ActivateMember(new.node), joining)
    put(UpdateAddress(some.node, Address("10.255.255.254", 7701)), state)
    put(SeatVoter(some.node), state)
    draining = put(DrainNode(operation(), other.node), state)
    put(CancelDrain(operation(), other.node), draining)
    idle = member(names, len(state.members) + 1, 1, NodeState.DRAINING)
    put(LeaveCluster(idle.node), replace(state, members={**state.members, idle.node: idle}))
    put(RemoveNode(operation(), other.node), state)
    options = next(iter(state.collections.values())).options
    put(CreateCollection(operation(), CollectionId(names()), "new", options, if_not_exists=False), state)
    collection = next(iter(state.collections.values()))
    put(DeleteCollection(operation(), collection.name), state)
    put(SetReplicas(operation(), collection.name, 1), state)
    shard, leaving, coming = _movable(state)
    moving = put(StartMove(shard.collection, shard.index, leaving, coming), state)
    number = moving.moves[shard].id
    put(CancelMove(shard.collection, shard.index, number), moving)
    read_new = put(AdvanceMove(shard.collection, shard.index, number, "both"), moving)
    put(AdvanceMove(shard.collection, shard.index, number, "read_new"), read_new)
    return out


@dataclass(frozen=True, slots=True)
class Plan:
    """What the planner wants after one change of the members."""

    after: str
    ms: float
    """On a thread."""
    moved: int
    """Replicas that go to another node."""
    ideal: float
    """The fewest that would do."""
    unevenness: float


def plans(state: ClusterState, seed: int) -> list[Plan]:
    """A node comes, one is removed, one is drained: each on top of `state`."""
    names = Names(seed + 2**33)
    load = state.load()
    zones = len({each.zone for each in state.members.values()})
    new = member(names, len(state.members), zones)
    old = max(state.active(), key=lambda each: load.get(each.node, 0))
    changes = (
        ("a node comes", new, sum(load.values()) / (len(state.active()) + 1)),
        ("a node is removed", replace(old, state=NodeState.REMOVED), float(load[old.node])),
        ("a node is drained", replace(old, state=NodeState.DRAINING), float(load[old.node])),
    )
    return [
        _plan(after, replace(state, members={**state.members, each.node: each}), ideal)
        for after, each, ideal in changes
    ]


def _plan(after: str, state: ClusterState, ideal: float) -> Plan:
    began = time.thread_time()
    wanted = targets(state)
    ms = 1000 * (time.thread_time() - began)
    moved, load = 0, Counter({each.node: 0 for each in state.active()})
    for collection in state.collections.values():
        for index, owners in enumerate(collection.placement):
            target = wanted.get(ShardId(collection.id, index), owners)
            moved += len(set(target) - set(owners))
            load.update(target)
    return Plan(after, ms, moved, ideal, unevenness(load.values()))


def _movable(state: ClusterState) -> tuple[ShardId, str, str]:
    """A shard, one of its owners, and a node of that one's zone that is none."""
    collection = next(iter(state.collections.values()))
    leaving = collection.placement[0][0]
    zone = state.members[leaving].zone
    coming = next(
        each.node for each in state.active() if each.zone == zone and each.node not in collection.placement[0]
    )
    return ShardId(collection.id, 0), leaving, coming
