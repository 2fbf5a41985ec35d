"""What the cluster looks like from here: the catalog, this node's opinion of who lives, and what each live node says
of itself.

Invariant: a node that does not answer is shown as such, with empty figures; nothing is remembered from earlier answers.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, Liveness, NodeInfo, NodeStatus, ReplicaInfo, ShardInfo
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.catalog.state import ClusterState, Collection
    from vectron_p2p.node.peers import Peers

ASK_TIMEOUT = 1.5  # a status has to come soon or not at all: consoles ask every second, and think a silent peer lost


@dataclass(frozen=True, slots=True)
class ReplicaFigures:
    node: NodeId
    shard: ShardId
    fields: dict[str, Any]


class Reports:
    """Answers about the cluster, gathered from its live nodes."""

    def __init__(
        self,
        peers: Peers,
        *,
        state: Callable[[], ClusterState],
        liveness: Callable[[NodeId], Liveness],
        warnings: Callable[[], list[str]],
        alerts: Callable[[], int],
    ) -> None:
        self._peers = peers
        self._state = state
        self.liveness = liveness
        self._warnings = warnings
        self._alerts = alerts

    async def _ask_all(self, *, replicas: bool) -> dict[NodeId, m.NodeStatusReply]:
        replies: dict[NodeId, m.NodeStatusReply] = {}

        async def ask(node: NodeId) -> None:
            with contextlib.suppress(VectronError):  # who does not answer shows by absence
                replies[node] = await self._peers.call(node, m.GetNodeStatus(replicas=replicas), timeout=ASK_TIMEOUT)

        async with trio.open_nursery() as nursery:
            for node in self._state().current():
                if self._peers.alive(node):
                    nursery.start_soon(ask, node)
        return replies

    async def replicas(self) -> list[ReplicaFigures]:
        """The figures of every replica whose node answers."""
        replies = await self._ask_all(replicas=True)
        return [
            ReplicaFigures(node, ShardId(CollectionId(entry["collection"]), entry["shard"]), entry)
            for node in sorted(replies)
            for entry in replies[node].replicas
        ]

    async def moves(self) -> list[dict[str, Any]]:
        """How far each move is, as the nodes say that carry them out; nobody is asked while there are none."""
        replies = await self._ask_all(replicas=False) if self._state().moves else {}
        return [each for node in sorted(replies) for each in replies[node].moves]

    async def status(self) -> ClusterStatus:
        """Every current member with its live figures."""
        replies = await self._ask_all(replicas=False)
        state = self._state()
        nodes = []
        for node in state.current():
            member = state.members[node]
            said = replies[node].status if node in replies else {}
            nodes.append(
                NodeStatus(
                    **{
                        **said,
                        "id": node,
                        "name": member.name,
                        "zone": member.zone,
                        "state": member.state.value,
                        "address": said.get("address", str(member.address)),
                        "liveness": self.liveness(node).value,
                    }
                )
            )
        return ClusterStatus(
            cluster_id=state.cluster,
            epoch=state.epoch,
            answered_by=self._peers.me,
            nodes=nodes,
            voters=list(state.voters),
            collections=len(state.collections),
            under_replicated=state.under_replicated(),
            moves=len(state.moves),
            alerts=self._alerts(),
            warnings=[
                *self._warnings(),
                *(
                    f"{node.name} cannot open {node.failed_shards} of its shards: see its log; others answer for them"
                    for node in nodes
                    if node.failed_shards and node.id != self._peers.me
                ),
                *(
                    f"{node.name} learns {node.learners} of its shards; others answer for them"
                    for node in nodes
                    if node.learners and node.id != self._peers.me
                ),
            ],
        )

    async def cluster(self, *, replicas: bool, shards: bool = True) -> ClusterInfo:
        """Members and, with `shards`, who owns them, and with `replicas`, the figures of every replica."""
        figures = {(each.node, each.shard): each.fields for each in await self.replicas()} if replicas else {}
        state = self._state()
        found = []
        for collection in sorted(state.collections.values(), key=lambda each: each.name) if shards else ():
            for index in range(collection.shards):
                shard = ShardId(collection.id, index)
                infos = [_replica_info(owner, figures.get((owner, shard))) for owner in state.owners(shard)]
                move = state.moves.get(shard)
                leaving, coming = (move.leaving, move.coming) if move is not None else (None, None)
                found.append(ShardInfo(collection.name, index, infos, leaving or "", coming or ""))
        return ClusterInfo(
            cluster_id=state.cluster,
            epoch=state.epoch,
            nodes=[
                NodeInfo(
                    id=node,
                    name=member.name,
                    address=str(member.address),
                    zone=member.zone,
                    state=member.state.value,
                    liveness=self.liveness(node).value,
                )
                for node, member in sorted(state.members.items())
            ],
            shards=found,
            voters=list(state.voters),
            under_replicated=state.under_replicated(),
            warnings=self._warnings(),
        )

    def collection(self, collection: Collection, replicas: Sequence[ReplicaFigures]) -> CollectionInfo:
        """A collection; totals of one replica a shard (the fullest that answers), -1 where a shard did not answer."""
        by_shard: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for each in replicas:
            if each.shard.collection == collection.id:
                by_shard[each.shard.index].append(each.fields)
        totals = dict.fromkeys(("points", "indexed", "bytes", "payload_bytes", "payload_unindexed"), -1)
        if len(by_shard) == collection.shards:
            fullest = [max(entries, key=lambda entry: entry["points"]) for entries in by_shard.values()]
            totals = {name: sum(entry.get(name, 0) for entry in fullest) for name in totals}
        options = collection.options
        return CollectionInfo(
            name=collection.name,
            dimension=options.dimension,
            metric=options.metric,
            shards=collection.shards,
            replicas=options.replicas,
            m=options.m,
            ef_construction=options.ef_construction,
            count=totals["points"],
            indexed=totals["indexed"],
            bytes=totals["bytes"],
            id=collection.id,
            payload_index=chosen if isinstance(chosen := options.payload_index, bool) else list(chosen),
            payload_bytes=totals["payload_bytes"],
            payload_unindexed=totals["payload_unindexed"],
            under_replicated=sum(len(owners) < options.replicas for owners in collection.placement),
        )


def _replica_info(node: NodeId, fields: dict[str, Any] | None) -> ReplicaInfo:
    if fields is None:
        return ReplicaInfo(node, "unreachable", -1, -1, "")
    return ReplicaInfo(
        node=node,
        state=fields["state"],
        points=fields["points"],
        bytes=fields["bytes"],
        merkle_root=fields["merkle_root"],
        indexed=fields["indexed"],
        tombstones=fields["tombstones"],
        learner=fields.get("learner", ""),
        floor_ms=fields.get("floor_ms", 0),
    )
