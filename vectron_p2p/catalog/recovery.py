"""Forced recovery after a voter majority is lost for ever (PROTOCOLS §1.5): a new generation of the catalog.

Owns the step from the last state of one generation to the first of the next, what it costs (shards that lost their
quorum, or everything), and who may follow it. Pure; must not know how the survivors' positions are gathered.

A generation is a number and an id drawn at its opening, in one int: two recoveries that did not know of each other have
one number and two ids. The higher number wins; equal numbers with other ids are two histories, which nobody can join.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog import messages as wire
from vectron_p2p.catalog.placement import place
from vectron_p2p.catalog.state import BadCatalog, Branch, ClusterState, canonical, digest
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Collection as Several

    from vectron_p2p.catalog.state import Collection, Placement
    from vectron_p2p.model.ids import NodeId

START_ANEW = "keep its folder for a look, and start it with an empty one; it joins as a new node"
TWO_RECOVERIES = (
    "the cluster was recovered by force twice, and there are two of it now: choose the one to keep, and start the "
    "nodes of the other one with empty folders"
)
ID_BITS = 40  # drawn: two recoveries of one number share an id but once in 2^40; leaves 22 bits of number on the wire


def number(generation: int) -> int:
    """How many recoveries led here."""
    return generation >> ID_BITS


@dataclass(frozen=True, slots=True)
class HurtShard:
    """A shard that lost a majority of its owners. `left`: those that remain; none: its data are gone."""

    collection: str
    shard: int
    owners: tuple[NodeId, ...]
    left: tuple[NodeId, ...]

    @property
    def beyond_moves(self) -> bool:
        """Whether too few are left to know all that was acknowledged: then no move can mend it (PROTOCOLS §6.4)."""
        return len(self.left) < len(self.owners) - len(self.owners) // 2


def open_generation(
    state: ClusterState, lost: Several[NodeId], opener: NodeId, drawn: int
) -> tuple[ClusterState, list[HurtShard]]:
    """The first state of the next generation, in which `lost` are removed and `opener` is the only voter, and the
    shards that are hurt.

    The other survivors become voters by themselves, one per entry. Shards keep the owners that are left, also where
    those are no quorum; a shard that has none is placed anew, empty. `drawn`: ID_BITS random bits.
    """
    generation = (number(state.generation) + 1) << ID_BITS | drawn
    members = {
        node: replace(member, state=NodeState.REMOVED) if node in lost else member
        for node, member in state.members.items()
    }
    after = replace(
        state,
        generation=generation,
        epoch=state.epoch + 1,
        entry=digest(canonical(["recovery", generation, state.hash, opener, sorted(lost)])),
        members=members,
        voters=(opener,),
        branch=Branch(state.generation, state.epoch, state.hash),
        moves={},  # who is read now stays; a node that was still coming gives up what it has
    ).with_fences(state.moves, state.epoch + 1)
    gone = {node for node, member in members.items() if member.state is NodeState.REMOVED}  # some were before
    hurt: list[HurtShard] = []
    collections = {}
    for key in sorted(after.collections):
        collections[key] = _left_of(after.collections[key], after, gone, hurt)
    return replace(after, collections=collections), hurt


def _left_of(collection: Collection, after: ClusterState, lost: Several[NodeId], hurt: list[HurtShard]) -> Collection:
    rows = []
    anew: Placement = ()
    for index, owners in enumerate(collection.placement):
        left = tuple(owner for owner in owners if owner not in lost)
        if len(left) < len(owners) // 2 + 1:
            hurt.append(HurtShard(collection.name, index, owners, left))
        if not left:
            anew = anew or _placed_anew(collection, after)
            left = anew[index]
        rows.append(left)
    return replace(collection, placement=tuple(rows))


def _placed_anew(collection: Collection, after: ClusterState) -> Placement:
    nodes = [(member.node, member.zone) for member in after.active()]
    return place(collection.id, collection.shards, collection.options.replicas, nodes, after.load())


def why_not_follow(own: ClusterState, node: NodeId, new: ClusterState) -> str | None:
    """Why `node`, at `own`, cannot go over to `new`, a state of a higher generation; None if it can."""
    member = new.members.get(node)
    if member is None or member.state in (NodeState.REMOVED, NodeState.LEFT):
        return "this node was given up as lost when the cluster was recovered by force"
    branch = new.branch
    if branch is None or branch.generation != own.generation:
        return "the cluster was recovered by force more than once while this node was away"
    if own.epoch > branch.epoch:
        return f"the cluster was recovered by force at epoch {branch.epoch}, and this node had got to {own.epoch}"
    if own.epoch == branch.epoch and own.hash != branch.hash:
        return f"the cluster was recovered by force from another state than this node has at epoch {own.epoch}"
    return None


class Meeting(enum.Enum):
    """What one does about a peer of another generation."""

    ASK = "ask it for its state"
    TELL = "tell it ours"
    IGNORE = "ignore it"


def meet(own: ClusterState, node: NodeId, generation: int, body: wire.Message | None) -> Meeting | ClusterState | str:
    """`node`, at `own`, hears from a peer of another `generation`, by gossip or with a message: what it does, the state
    that it goes over to, or why it has to leave the cluster.

    Raises:
        BadCatalog: The message makes no sense.
    """
    ours, theirs = number(own.generation), number(generation)
    if ours == theirs:
        return TWO_RECOVERIES
    if theirs < ours:
        return Meeting.TELL if isinstance(body, wire.Pull) else Meeting.IGNORE
    if not isinstance(body, wire.Snapshot):
        return Meeting.ASK
    state = ClusterState.from_bytes(body.state)
    if (state.cluster, state.generation) != (own.cluster, generation):
        raise BadCatalog("snapshot of another cluster or generation than it says")
    reason = why_not_follow(own, node, state)
    return state if reason is None else f"{reason}: {START_ANEW}"
