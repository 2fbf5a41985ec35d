"""The voter rule: which members decide the catalog.

Owns the choice of voters; the epoch log only counts them. Invariants: voters are active or draining members, at most 7,
and only one comes or goes per entry; liveness plays no part, so that no two sides of a partition can each shrink to a
majority of themselves.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId

MAX_VOTERS = 7  # three may fail; more voters make every change slower and buy little


def majority(state: ClusterState) -> int:
    return len(state.voters) // 2 + 1


def voter_change(state: ClusterState, node: NodeId) -> tuple[NodeId, bool] | None:
    """What should change so that `node` votes, or no longer does: (who, comes), or None when nothing should.

    A draining node votes until it has nothing to do with any shard any more: while its shards are moved, which takes
    many entries, the cluster is as safe from losing its voter majority as before.
    While there is room, a node of the zone with the fewest voters comes. When there is none, a voter of the most
    crowded zone goes if `node`'s zone has two fewer: its seat is then open, in a later entry, to that zone only.
    """
    member = state.members.get(node)
    if member is not None and member.state is NodeState.DRAINING and node in state.voters:
        return None if len(state.voters) == 1 or state.parts(node) else (node, False)
    if member is None or member.state is not NodeState.ACTIVE or node in state.voters:
        return None
    seats: Counter[str] = Counter({each.zone: 0 for each in state.active()})
    seats.update(state.members[voter].zone for voter in state.voters)
    waiting = {each.zone for each in state.active() if each.node not in state.voters}
    if seats[member.zone] > min(seats[zone] for zone in waiting):
        return None
    if len(state.voters) < MAX_VOTERS:
        return node, True
    crowded = min(seats, key=lambda zone: (-seats[zone], zone))
    if seats[crowded] < seats[member.zone] + 2:
        return None
    return max(voter for voter in state.voters if state.members[voter].zone == crowded), False
