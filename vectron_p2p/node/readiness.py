"""Whether a node should be sent requests, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.nodes import Liveness, NodeState
from vectron_p2p.replication.learners import FILLING

if TYPE_CHECKING:
    from vectron_p2p.node.node import Node


def not_ready(node: Node) -> list[str]:
    """In sentences; empty when the node is ready.

    One that sees too few voters alive is cut off from the catalog, and most likely from the owners of its shards, so
    that requests do better elsewhere. A replica that a move is filling is no reason: its other owners are all there.
    """
    if not node.serving:
        return ["it is starting: joining its cluster, opening its shards or catching up"]
    if node.stopping:
        return ["it is stopping"]
    reasons = []
    catalog, state = node.catalog, node.catalog.state
    member = state.members.get(node.identity.node)
    if member is None or member.state not in (NodeState.ACTIVE, NodeState.DRAINING):
        reasons.append(f"it is {member.state.value if member else 'not a member'} in the catalog")
    if catalog.alarm:
        reasons.append(f"the catalog has stopped: {catalog.alarm}")
    if catalog.waiting:
        reasons.append(f"the catalog waits: {catalog.waiting}")
    alive = sum(node.gossip.liveness(voter) is not Liveness.DEAD for voter in state.voters)
    if alive < majority(state):
        reasons.append(f"it sees {alive} of {len(state.voters)} voters alive: it may be cut off from the catalog")
    if failed := len(node.replicas.failed):
        reasons.append(f"{failed} of its shards cannot be opened")
    if learning := sum(why != FILLING for why in node.replicas.learners.values()):
        reasons.append(f"{learning} of its shards learn what they may have forgotten")
    return reasons
