"""What a hundred nodes with five thousand shards say of themselves, and the topics that one of them makes of it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from simulations.large.model import build
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.model.statistics import ConnectionStatistics, NodeStatistics, PeerStatistics
from vectron_p2p.model.traffic import PeerFigures, RoundTripFigures, TrafficFigures
from vectron_p2p.node.reports import Reports
from vectron_p2p.node.shortlist import shortlist
from vectron_p2p.node.statistics import Statistics
from vectron_p2p.node.topics import Topics
from vectron_p2p.observability.meter import Meter
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol import registry
from vectron_p2p.runtime.real import TrioClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.ids import NodeId

NODES, COLLECTIONS, SHARDS = 100, 25, 200
OPERATIONS = 25  # names: more than a busy node has asked of it, by clients and peers together
KINDS = ("search", "read", "write", "other")


def of_node(node: str, others: Sequence[str], *, open_breakers: int = 0) -> NodeStatistics:
    """`node`, with all its peers and as many callers; `open_breakers` of the last peers are open."""
    trips = {kind: RoundTripFigures(1.5, 20.0, 1000) for kind in KINDS}
    peers = [
        PeerFigures(other, "open" if at >= len(others) - open_breakers else "closed", False, 0, 0, 3, 0, trips)
        for at, other in enumerate(others)
    ]
    return NodeStatistics(
        node,
        node,
        version="1.0.0",
        connections=len(others) + 100,
        queues={"read": 0, "write": 0, "search": 0},
        callers=[ConnectionStatistics(f"10.0.0.1:{port}", "peer", "", 1.7e9) for port in range(100)],
        peers=[PeerStatistics(other, 2, 0, 0, 0, 0.0) for other in others],
        traffic=TrafficFigures(peers, peer_count=len(peers), open_breakers=open_breakers),
    )


class Large:
    """A node of the cluster; what the others say is in `replies`."""

    def __init__(self, nodes: int = NODES, collections: int = COLLECTIONS, shards: int = SHARDS) -> None:
        self.state = build(nodes, collections, shards=shards, replicas=3, zones=3, operations=0, seed=1)
        meter = Meter(0.0)
        for number in range(OPERATIONS):
            meter.operation("client", f"operation_{number}").record(1.0, 0.01, failed=False, bytes_in=1, bytes_out=1)
        self._operations = [
            {**dataclasses.asdict(figures), "histogram": tally.histogram.to_bytes()}
            for figures, tally in meter.windows(1.0)
        ]
        self.replies = {node: self._reply(node) for node in self.state.current()}
        members = list(self.state.members)
        peers = SimpleNamespace(me=members[0], alive=lambda node: True, call=self._call)
        catalog = SimpleNamespace(state=self.state, collections=lambda: list(self.state.collections.values()))
        nobody = cast("Any", None)
        self.statistics = Statistics(
            nobody,
            cast("Any", peers),
            TrioClock(),
            cast("Any", catalog),
            lambda node: Liveness.ALIVE,
            nobody,
            nobody,
        )
        reports = Reports(
            cast("Any", peers),
            state=lambda: self.state,
            liveness=lambda node: Liveness.ALIVE,
            warnings=list,
            alerts=lambda: 0,
        )
        self.topics = Topics(TrioClock(), cast("Any", catalog), self.statistics, reports)

    async def _call(self, node: NodeId, message: Any, **options: Any) -> m.NodeStatisticsReply:
        return self.replies[node]

    def _reply(self, node: NodeId) -> m.NodeStatisticsReply:
        others = [each for each in self.state.current() if each != node]
        reply = m.NodeStatisticsReply(
            dataclasses.asdict(shortlist(of_node(node, others), len(self.state.current()))),
            self._operations,
            [
                {
                    "collection": shard.collection, "shard": shard.index, "state": "active", "points": 1000,
                    "tombstones": 3, "bytes": 10**6, "indexed": 900, "unlinked": 100, "compared_at": 1.7e9,
                    "merkle_root": "00ff", "payload_bytes": 10**5, "payload_unindexed": 0,
                }
                for shard in self.state.owned(node)
            ],
        )  # fmt: skip
        return cast("m.NodeStatisticsReply", registry.decode(registry.encode(reply)))
