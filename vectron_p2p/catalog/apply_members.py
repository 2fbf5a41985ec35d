"""What the commands about members do to the state. They raise what they refuse.

Invariants: at most one vote comes or goes per entry; `left` and `removed` are for ever; no shard is left without as
many owners as it takes to know all that was acknowledged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog.apply_moves import without_moves_to
from vectron_p2p.catalog.state import ClusterState, Member
from vectron_p2p.catalog.voters import MAX_VOTERS, voter_change
from vectron_p2p.model.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from vectron_p2p.model.ids import ShardId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import AddMember, Result, UpdateAddress
    from vectron_p2p.model.ids import NodeId

GONE = (NodeState.LEFT, NodeState.REMOVED)


def member_of(state: ClusterState, node: NodeId) -> Member:
    """A current member.

    Raises:
        NotFound: It never was one.
        PermissionDenied: It is none any more, for ever.
    """
    member = state.members.get(node)
    if member is None:
        raise NotFound(f"node {node} is no member of this cluster", field="node")
    if member.state in GONE:
        verb = "has left" if member.state is NodeState.LEFT else "was removed from"
        raise PermissionDenied(f"node {node} {verb} this cluster for good: start it with an empty folder", field="node")
    return member


def _with_member(state: ClusterState, member: Member) -> ClusterState:
    if state.members.get(member.node) == member:
        return state
    return replace(state, members={**state.members, member.node: member})


def add(state: ClusterState, command: AddMember) -> tuple[ClusterState, Result]:
    result = {"node": command.node}
    if command.node in state.members:
        return _with_member(state, replace(member_of(state, command.node), address=command.address)), result
    if any(state.members[node].name == command.name for node in state.current()):
        raise AlreadyExists(f"a node named {command.name!r} is a member: choose another --name", field="name")
    joining = Member(command.node, command.name, command.address, command.zone, NodeState.JOINING)
    return _with_member(state, joining), result


def activate(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    member = member_of(state, node)
    if member.state is NodeState.JOINING:
        state = _with_member(state, replace(member, state=NodeState.ACTIVE))
        if len(state.voters) < MAX_VOTERS:
            state = replace(state, voters=tuple(sorted((*state.voters, node))))
    return state, {"node": node, "voter": node in state.voters}


def update_address(state: ClusterState, command: UpdateAddress) -> tuple[ClusterState, Result]:
    member = member_of(state, command.node)
    return _with_member(state, replace(member, address=command.address)), {"node": command.node}


def seat(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    member_of(state, node)
    match voter_change(state, node):
        case who, comes:
            others = [voter for voter in state.voters if voter != who]
            state = replace(state, voters=tuple(sorted([*others, who] if comes else others)))
    return state, {"node": node, "voter": node in state.voters}


def drain(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    member = state.members.get(node)
    if member is not None and member.state in (NodeState.DRAINING, NodeState.LEFT):
        return state, {"node": node, "state": member.state.value}
    member = member_of(state, node)
    if member.state is not NodeState.ACTIVE:
        raise InvalidArgument(f"{member.name} is still joining: it owns nothing to be drained of", field="node")
    left = len(state.active()) - 1
    if left == 0:
        raise InvalidArgument(f"{member.name} is the only active node: nobody could take its shards", field="node")
    for collection in state.collections.values():
        wish = collection.options.replicas
        if wish > left:
            raise InvalidArgument(
                f"collection {collection.name!r} asks for {wish} replicas, and {left} active nodes would be left: "
                f"add a node first, or lower it (`vectron collection set {collection.name} --replicas {left}`)",
                field="node",
            )
    state = without_moves_to(_with_member(state, replace(member, state=NodeState.DRAINING)), node)
    return state, {"node": node, "state": NodeState.DRAINING.value}


def cancel_drain(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    member = member_of(state, node)
    if member.state is NodeState.DRAINING:
        member = replace(member, state=NodeState.ACTIVE)
    elif member.state is not NodeState.ACTIVE:
        raise InvalidArgument(f"{member.name} is {member.state.value}, not draining", field="node")
    return _with_member(state, member), {"node": node, "state": member.state.value}


def leave(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    """A vote that was given up is so in an earlier entry. This one is decided by a majority of the voters that are
    left, each of which had that one on disk before it voted: so nobody needs the leaver any more (PROTOCOLS §1.3).
    """
    member = state.members.get(node)
    if member is not None and member.state is NodeState.LEFT:
        return state, {"node": node, "state": member.state.value}
    member = member_of(state, node)
    if member.state is not NodeState.DRAINING:
        raise InvalidArgument(f"{member.name} is {member.state.value}, not draining", field="node")
    if node in state.voters:
        raise InvalidArgument(f"{member.name} still votes", field="node")
    if state.parts(node):
        raise InvalidArgument(f"{member.name} still owns shards", field="node")
    return _with_member(state, replace(member, state=NodeState.LEFT)), {"node": node, "state": NodeState.LEFT.value}


def remove(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    """The node is named as an owner until its shards have been moved, so that quorums stay majorities of the same."""
    member = state.members.get(node)
    if member is not None and member.state in GONE:
        return state, {"node": node, "state": member.state.value}
    member = member_of(state, node)
    if not any(each.node != node for each in state.active()):
        raise InvalidArgument(f"{member.name} is the only active node: nobody would be left", field="node")
    if state.voters == (node,):
        raise InvalidArgument(f"{member.name} is the only voter: see `vectron cluster recover`", field="node")
    after = without_moves_to(_with_member(state, replace(member, state=NodeState.REMOVED)), node)
    after = replace(after, voters=tuple(voter for voter in after.voters if voter != node))
    lost = _hurt(after, node)
    if lost:
        shard, left = lost[0]
        raise InvalidArgument(
            f"{len(lost)} shards would lose rows that were acknowledged: too few of their owners would be left, "
            f"{left} for shard {shard.index} of {state.collections[shard.collection].name!r}. Bring {member.name} "
            "back; if it is lost for ever, delete these collections or see `vectron cluster recover`",
            field="node",
        )
    return after, {"node": node, "state": NodeState.REMOVED.value}


def _hurt(state: ClusterState, node: NodeId) -> list[tuple[ShardId, int]]:
    """Shards of `node` that have too few owners left which can ever answer again, with how many.

    A row that was acknowledged at QUORUM is on W of N owners, so N-W+1 of them know it, and can fence a move.
    """
    found = []
    for each in state.collections.values():
        for index, owners in enumerate(each.placement):
            shard = ShardId(each.id, index)
            if node not in owners and shard not in state.moves:
                continue
            for wanted in state.route(shard).write:
                left = sum(state.members[owner].state is not NodeState.REMOVED for owner in wanted)
                if node in wanted and left < len(wanted) - len(wanted) // 2:
                    found.append((shard, left))
                    break
    return found
