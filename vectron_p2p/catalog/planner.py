"""Which moves the cluster wants: from a state to the owners that its shards should have, and the moves that lead there.

Pure and deterministic; must not know liveness (a dead node keeps what it owns until it is removed) nor how moves are
carried out. Owners are wanted active, `replicas` per shard as far as there are nodes, in distinct zones, spread evenly
per collection and then over all (`catalog.balance`), with as few replicas moved as that takes.

Invariant: a state in which all targets are reached has none. Targets stay good while members, zones and wishes do
(`basis`), so that nothing has to be planned again after each finished move.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog.apply_moves import MAX_MOVES, STREAMS, sources, streams
from vectron_p2p.catalog.balance import Board, level_loads
from vectron_p2p.catalog.commands import StartMove
from vectron_p2p.model.ids import ShardId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vectron_p2p.catalog.moves import Owners
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId

Targets = dict[ShardId, "Owners"]
LOOKED_AT = 200  # targets at a time: 2 ms on the event loop, and more than the moves that can be under way


@dataclass(frozen=True, slots=True)
class Planned:
    """A move that is wanted."""

    shard: ShardId
    leaving: NodeId | None
    coming: NodeId | None

    def command(self) -> StartMove:
        return StartMove(self.shard.collection, self.shard.index, self.leaving or "", self.coming or "")


def basis(state: ClusterState) -> Any:
    """What targets follow from, apart from the owners themselves."""
    return (
        state.generation,
        [(node, member.zone, member.state) for node, member in state.members.items()],
        [(each.id, each.options.replicas) for each in state.collections.values()],
    )


def targets(state: ClusterState) -> Targets:
    """The shards whose owners should change, with the owners that they should have; the most urgent first.

    A shard that is being moved is left alone until that is over.
    """
    nodes = {member.node: member.zone for member in state.active()}
    if not nodes:
        return {}
    load = dict.fromkeys(nodes, 0)
    boards: dict[Any, Board] = {}
    for key in sorted(state.collections):
        collection = state.collections[key]
        rows, locked = [], []
        for index, owners in enumerate(collection.placement):
            move = state.moves.get(ShardId(key, index))
            if move is not None:
                locked.append(index)
                owners = state.route(move.shard).write[-1]  # those after the move
            rows.append([owner for owner in owners if owner in nodes])
            for owner in rows[-1]:
                load[owner] += 1
        boards[key] = Board(rows, nodes, collection.options.replicas, locked, load)
    every = list(boards.values())
    for board in every:
        board.fill()
        board.level()
        board.cheapen()
    while any(board.level() for board in every) | level_loads(every, nodes, load):
        pass
    found: Targets = {}
    for key, board in boards.items():
        for index, owners in enumerate(state.collections[key].placement):
            if index not in board.locked and set(owners) != set(board.rows[index]):
                found[ShardId(key, index)] = tuple(board.rows[index])
    return dict(sorted(found.items(), key=lambda item: (_urgency(state, *item), item[0])))


def _urgency(state: ClusterState, shard: ShardId, target: Owners) -> tuple[int, int]:
    """Fewest replicas first, then what keeps a node from leaving, then balance, then replicas too many."""
    states = [state.members[owner].state for owner in state.collections[shard.collection].placement[shard.index]]
    there = len(states) - states.count(NodeState.REMOVED)
    if there < len(target):
        return 0, there
    if NodeState.DRAINING in states:
        return 1, 0
    return (3, 0) if there > len(target) else (2, 0)


def next_move(state: ClusterState, shard: ShardId, target: Owners) -> Planned | None:
    """The next move on the way to `target`, None when there is none.

    A surplus owner goes first, then a missing one comes; but one that was removed is replaced before any comes, since
    each one more would ask for a larger majority of those that can answer.
    """
    owners = state.collections[shard.collection].placement[shard.index]
    going = [owner for owner in owners if owner not in target]
    coming = [node for node in target if node not in owners]
    if not going and not coming:
        return None
    rank = {NodeState.REMOVED: 0, NodeState.DRAINING: 1}
    pairs: list[tuple[NodeId | None, NodeId | None]]
    if len(owners) > len(target):
        pairs = [(each, None) for each in going]
    elif len(owners) < len(target) and not any(state.members[each].state is NodeState.REMOVED for each in going):
        pairs = [(None, each) for each in coming]
    else:
        pairs = [(one, other) for one in going for other in coming]

    def worth(pair: tuple[NodeId | None, NodeId | None]) -> tuple[int, int, str]:
        leaves, comes = pair
        after = {state.members[owner].zone for owner in (*owners, comes) if owner not in (None, leaves)}
        first = 2 if leaves is None else rank.get(state.members[leaves].state, 2)
        return first, -len(after), f"{leaves} {comes}"

    return Planned(shard, *min(pairs, key=worth))


def startable(
    state: ClusterState, wanted: Mapping[ShardId, Owners], there: Callable[[NodeId], bool] = lambda node: True
) -> list[Planned]:
    """The moves towards the targets `wanted` that can be started now, together, in the order of `wanted`.

    `there`: whether a node can take part now: all owners have to, but those that were removed. Only the first ones of
    many targets are looked at.
    """
    into, out = streams(state)
    room = MAX_MOVES - len(state.moves)
    found: list[Planned] = []
    for shard, target in islice(wanted.items(), LOOKED_AT):
        if len(found) >= room:
            break
        if shard in state.moves:
            continue
        move = next_move(state, shard, target)
        if move is None:
            continue
        owners = state.collections[shard.collection].placement[shard.index]
        needed = [owner for owner in owners if state.members[owner].state is not NodeState.REMOVED]
        if not all(map(there, needed)) or (move.coming is not None and not there(move.coming)):
            continue  # it would wait at its fence, and keep others from being started
        if move.coming is not None:
            givers = sources(state, shard, move.leaving)
            if into[move.coming] >= STREAMS or any(out[giver] >= STREAMS for giver in givers):
                continue
            into[move.coming] += 1
            out.update(givers)
        found.append(move)
    return found


def rest(state: ClusterState, wanted: Targets) -> Targets:
    """`wanted` without the targets that were reached, as far as the first ones of many go."""
    done = [
        shard
        for shard, target in islice(wanted.items(), LOOKED_AT)
        if shard.collection not in state.collections
        or (shard not in state.moves and next_move(state, shard, target) is None)
    ]
    return {shard: target for shard, target in wanted.items() if shard not in done} if done else wanted
