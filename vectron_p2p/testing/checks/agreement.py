"""Agreement, looked at all the while a cluster runs.

P1: the catalog is a function of generation and epoch: two nodes at one never have different states, so no different
    placements either; the owners of a shard are distinct nodes.
S3: the catalog of a node never goes back, over restarts neither, and no history forks.
M1: the incarnation of a node only grows, and a restarted node begins above what it had.
C1: the mark of a node's clock, which bounds the stamps it gave, never goes back, over restarts neither: so no stamp is
    given twice, and no two rounds have one ballot.
M3: a removed node is alive to nobody who knows of the removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.nodes import Liveness, NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.node import Node

FORGETS_WITHIN = 8  # looks in a row: a removal is known to the catalog some moments before it is to membership


class Agreement:
    """`violated(invariant, text)` is told what does not hold."""

    def __init__(self, violated: Callable[[str, str], None]) -> None:
        self._violated = violated
        self._states: dict[tuple[int, int], bytes] = {}
        self._positions: dict[NodeId, tuple[int, int]] = {}
        self._incarnations: dict[NodeId, tuple[Any, Any]] = {}
        self._marks: dict[NodeId, int] = {}
        self._still_alive: dict[tuple[NodeId, NodeId], int] = {}

    def look(self, nodes: Iterable[Node]) -> None:
        """At running nodes. One whose disk is older than what it was leave out."""
        for node in nodes:
            state, me = node.catalog.state, node.identity.node
            self._one_state(state, me)
            position = (state.generation, state.epoch)
            if position < self._positions.get(me, position):
                self._violated("S3", f"{node.identity.name} went back from {self._positions[me]} to {position}")
            self._positions[me] = position
            self._incarnation(node)
            self._clock(node)
            self._removed(node)

    def _one_state(self, state: ClusterState, seen_by: NodeId) -> None:
        position = (state.generation, state.epoch)
        known = self._states.get(position)
        if known is None:
            self._states[position] = state.hash
            for collection in state.collections.values():
                if any(len(set(owners)) != len(owners) for owners in collection.placement):
                    self._violated("P1", f"{position}: a shard of {collection.name} has one owner twice")
        elif known != state.hash:
            self._violated("P1", f"{position}: {seen_by} has another state than the first that was seen of it")

    def _incarnation(self, node: Node) -> None:
        me, now = node.identity.node, node.gossip._swim.incarnation
        life, before = self._incarnations.get(me, (None, None))
        if before is not None and (now < before or (life != node.identity.boot and now == before)):
            self._violated("M1", f"{node.identity.name}: incarnation {now} comes after {before}")
        self._incarnations[me] = (node.identity.boot, now)

    def _clock(self, node: Node) -> None:
        me, now = node.identity.node, node.stamps.mark
        before = self._marks.get(me, 0)
        if now < before:
            self._violated("C1", f"{node.identity.name}: the mark of its clock went back from {before} to {now}")
        self._marks[me] = max(now, before)

    def _removed(self, node: Node) -> None:
        for member in node.catalog.state.members.values():
            if member.state is not NodeState.REMOVED:
                continue
            key = (node.identity.node, member.node)
            alive = node.gossip.liveness(member.node) is Liveness.ALIVE
            self._still_alive[key] = self._still_alive.get(key, 0) + 1 if alive else 0
            if self._still_alive[key] == FORGETS_WITHIN:
                self._violated("M3", f"{member.name} was removed and is alive to {node.identity.name}")
