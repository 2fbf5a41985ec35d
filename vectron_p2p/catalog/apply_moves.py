"""What the commands about moves do to the state (PROTOCOLS §6). They raise what they refuse.

Owns the limits on moves under way: who proposes a move looks at an older state, and several may propose at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog.moves import Move, Step
from vectron_p2p.model.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from vectron_p2p.model.ids import NodeId, ShardId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import AdvanceMove, CancelMove, Result, StartMove
    from vectron_p2p.catalog.state import ClusterState

STREAMS = 2  # copies into, and out of, one node at a time: its disk and its cores serve requests too (PROTOCOLS §6.5)
MAX_MOVES = 64  # at a time: each step is an entry of the log, and these are decided one after another


def streams(state: ClusterState) -> tuple[Counter[NodeId], Counter[NodeId]]:
    """Copies under way into and out of each node."""
    into: Counter[NodeId] = Counter()
    out: Counter[NodeId] = Counter()
    for move in state.moves.values():
        if move.step is Step.BOTH and move.coming is not None:
            into[move.coming] += 1
            out.update(sources(state, move.shard, move.leaving))
    return into, out


def sources(state: ClusterState, shard: ShardId, leaving: NodeId | None) -> list[NodeId]:
    """Who a copy may be taken from: the node that leaves, or the other owners when there is none that can answer."""
    if leaving is not None and state.members[leaving].state is not NodeState.REMOVED:
        return [leaving]
    owners = state.collections[shard.collection].placement[shard.index]
    return [owner for owner in owners if state.members[owner].state is not NodeState.REMOVED]


def why_wait(state: ClusterState, shard: ShardId, leaving: NodeId | None, coming: NodeId | None) -> str | None:
    """Why such a move cannot be started yet; None when it can."""
    if shard in state.moves:
        return f"shard {shard} is being moved already"
    if len(state.moves) >= MAX_MOVES:
        return f"{MAX_MOVES} moves are under way"
    if coming is None:
        return None
    into, out = streams(state)
    if into[coming] >= STREAMS:
        return f"{coming} takes {STREAMS} shards already"
    for source in sources(state, shard, leaving):
        if out[source] >= STREAMS:
            return f"{source} gives {STREAMS} shards already"
    return None


def start(state: ClusterState, command: StartMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    leaving = NodeId(command.leaving) if command.leaving else None
    coming = NodeId(command.coming) if command.coming else None
    owners = state.route(shard).read
    if shard in state.moves:
        raise AlreadyExists(f"shard {shard} is being moved already", field="shard")
    if leaving is None and coming is None:
        raise InvalidArgument("a move has a node that leaves or one that comes", field="coming")
    if leaving is not None and leaving not in owners:
        raise NotFound(f"node {leaving} owns no shard {shard}", field="leaving")
    if coming in owners:
        raise AlreadyExists(f"node {coming} owns shard {shard} already", field="coming")
    if coming is not None:
        member = state.members.get(coming)
        if member is None or member.state is not NodeState.ACTIVE:
            raise InvalidArgument(f"node {coming} is not active", field="coming")
    _check_count(state, shard, leaving, coming)
    _check_zones(state, shard, leaving, coming)
    reason = why_wait(state, shard, leaving, coming)
    if reason is not None:
        raise Unavailable(f"{reason}: try again when some are over")
    epoch = state.epoch + 1
    return _with_move(state, Move(epoch, shard, leaving, coming, Step.BOTH, epoch)), {"move": epoch}


def _check_count(state: ClusterState, shard: ShardId, leaving: NodeId | None, coming: NodeId | None) -> None:
    """No owner more than the collection's wish; none less, but for nodes that are no longer to own anything."""
    collection = state.collections[shard.collection]
    owners, wish = len(collection.placement[shard.index]), collection.options.replicas
    if leaving is None and owners >= wish:
        raise InvalidArgument(f"shard {shard} has its {wish} replicas", field="coming")
    if coming is None and leaving is not None:
        if owners == 1:
            raise InvalidArgument(f"shard {shard} has no other owner", field="leaving")
        if owners <= wish and state.members[leaving].state is NodeState.ACTIVE:
            raise InvalidArgument(f"shard {shard} has no replica too many", field="leaving")


def _check_zones(state: ClusterState, shard: ShardId, leaving: NodeId | None, coming: NodeId | None) -> None:
    """No owner that could stay is given up for one that puts the shard into fewer zones."""
    if leaving is None or coming is None or state.members[leaving].state is not NodeState.ACTIVE:
        return
    owners = state.collections[shard.collection].placement[shard.index]
    before = {state.members[owner].zone for owner in owners}
    after = {state.members[owner].zone for owner in (*owners, coming) if owner != leaving}
    if len(after) < len(before):
        raise InvalidArgument(f"shard {shard} would lie in fewer zones", field="coming")


def advance(state: ClusterState, command: AdvanceMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    move = state.moves.get(shard)
    result = {"move": command.move}
    if move is None or move.id != command.move or move.step.value != command.step:
        return state, result  # it is further already, or gone
    epoch = state.epoch + 1
    if move.step is Step.BOTH:
        collection = state.collections[shard.collection]
        rows = list(collection.placement)
        rows[shard.index] = move.changed(rows[shard.index])
        collections = {**state.collections, collection.id: replace(collection, placement=tuple(rows))}
        state = replace(state, collections=collections)
        return _with_move(state, replace(move, step=Step.READ_NEW, epoch=epoch)), result
    return _without_moves(state, [shard]), result


def cancel(state: ClusterState, command: CancelMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    move = state.moves.get(shard)
    if move is not None and move.id == command.move:
        if move.step is not Step.BOTH:
            raise InvalidArgument("the new owners are read already: this move can only go on", field="move")
        state = _without_moves(state, [shard])
    return state, {"move": command.move}


def without_moves_to(state: ClusterState, node: NodeId) -> ClusterState:
    """Cancels the moves to `node` that can be."""
    return _without_moves(
        state, [shard for shard, move in state.moves.items() if move.coming == node and move.step is Step.BOTH]
    )


def _with_move(state: ClusterState, move: Move) -> ClusterState:
    return replace(state, moves={**state.moves, move.shard: move}).with_fences([move.shard], state.epoch + 1)


def _without_moves(state: ClusterState, over: list[ShardId]) -> ClusterState:
    if not over:
        return state
    moves = {each: move for each, move in state.moves.items() if each not in over}
    return replace(state, moves=moves).with_fences(over, state.epoch + 1)
