"""What a node of a large cluster says in a subscription, as bytes: figures of nodes and operations that all change with
each event, and a share of the shards.
"""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.nodes import ClusterInfo, NodeInfo
from vectron_p2p.model.statistics import (
    ConnectionStatistics,
    NetworkStatistics,
    NodeStatistics,
    OperationStatistics,
    PeerStatistics,
    ReplicaStatistics,
)
from vectron_p2p.model.traffic import HedgeFigures, LimitFigures, PeerFigures, RoundTripFigures, TrafficFigures
from vectron_p2p.node.event_parts import parts
from vectron_p2p.node.shortlist import shortlist
from vectron_p2p.protocol import messages, registry

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDS = 8  # different events, told again and again
REPLICAS = 3
OPERATIONS = ("search", "upsert", "get", "delete", "scroll", "count", "set_payload", "apply_rows", "read_rows", "ping")
CALLS = ("search", "read", "write", "other")


def node_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


class Cluster:
    """What a node of it says, event by event."""

    def __init__(self, nodes: int, shards: int, collections: int, share: float) -> None:
        self._rng = random.Random(1)
        self._nodes = nodes
        self._collections = [f"collection-{number:03}" for number in range(collections)]
        self._shards = [(self._collections[each % collections], each // collections) for each in range(shards)]
        self._share = share

    def events(self) -> list[list[bytes]]:
        """The parts of each event; the first event has everything."""
        return [self._parts(number) for number in range(ROUNDS + 1)]

    def _parts(self, number: int) -> list[bytes]:
        found = [each for each in parts({}, self._changed(number)) if each is not None]
        return [
            registry.encode(
                messages.WatchReply(
                    "s", at, node_id(0), 1.7e9 + number, 7, number == 0 and at == 0, part.changed, more=not part.last
                )
            )
            for at, part in enumerate(found)
        ]

    def _changed(self, number: int) -> dict[str, Any]:
        some = [each for each in self._shards if number == 0 or self._rng.random() < self._share]
        changed: dict[str, Any] = {
            "statistics": {node_id(each): dataclasses.asdict(self._statistics(each)) for each in range(self._nodes)},
            "operations": {
                "": self._operations(self._nodes),
                **{node_id(each): self._operations(1) for each in range(self._nodes)},
            },
            "collections": {name: dataclasses.asdict(self._collection(name)) for name in self._collections},
            "shards": {
                f"{name}/{shard}/{node}": dataclasses.asdict(self._replica(name, shard, node))
                for name, shard in some
                for node in self._owners(name, shard)
            },
        }
        if number == 0:
            changed |= {"cluster": {"": dataclasses.asdict(self._info())}, "moves": {}, "alerts": {}}
        return changed

    def _info(self) -> ClusterInfo:
        members = [
            NodeInfo(node_id(each), f"node-{each:03}", f"10.0.0.{each}:7700", f"zone-{each % 3}", "active", "alive")
            for each in range(self._nodes)
        ]
        return ClusterInfo("c1057e50-0000-4000-8000-000000000000", 7, members, [], [node_id(each) for each in range(7)])

    def _statistics(self, node: int) -> NodeStatistics:
        draw, others = self._rng.random, [node_id(each) for each in range(self._nodes) if each != node]
        trips = [{kind: RoundTripFigures(1 + draw(), 20 + draw(), int(1e6 * draw())) for kind in CALLS} for _ in others]
        whole = NodeStatistics(
            node_id(node), f"node-{node:03}", "active", "alive", f"10.0.0.{node}:7700", f"zone-{node % 3}",
            at=1.7e9, uptime_s=1e5 + draw(), version="1.0.0", epoch=7, cpu_percent=90 * draw(),
            rss_bytes=int(4e9 * draw()), disk_used_bytes=int(1e11 * draw()), disk_free_bytes=int(1e12 * draw()),
            disk_total_bytes=10**12, loop_lag_p99_ms=9 * draw(), loop_lag_max_ms=30 * draw(),
            shards=REPLICAS * len(self._shards) // self._nodes, points=int(1e8 * draw()), connections=100,
            network=NetworkStatistics(1e6 * draw(), 1e6 * draw(), 1e6 * draw(), 1e6 * draw()),
            peers=[PeerStatistics(each, 1, int(9 * draw()), int(1e5 * draw()), 0, 0.0) for each in others],
            traffic=TrafficFigures(
                [
                    PeerFigures(each, "closed", False, 0, 0, int(99 * draw()), 0, trip)
                    for each, trip in zip(others, trips, strict=True)
                ],
                HedgeFigures(int(1e6 * draw()), int(1e4 * draw())), LimitFigures(), peer_count=len(others),
            ),
            callers=[
                ConnectionStatistics(
                    f"10.0.0.{at}:{40_000 + at}", "peer", each, 1.7e9, int(1e6 * draw()), 0, int(1e9 * draw()),
                    int(1e9 * draw()),
                )
                for at, each in enumerate(others)
            ],
        )  # fmt: skip
        return shortlist(whole, self._nodes)

    def _operations(self, factor: int) -> list[dict[str, Any]]:
        draw = self._rng.random
        return [
            dataclasses.asdict(
                OperationStatistics(
                    name, "peer" if name in OPERATIONS[-3:] else "client", window, int(1000 * factor * draw()) + 1,
                    20 * factor * draw(), int(9 * draw()), draw(), draw(), 4 * draw(), 9 * draw(), 99 * draw(), 10**6,
                    10**7,
                )
            )
            for name in OPERATIONS
            for window in (60, 300, 3600)
        ]  # fmt: skip

    def _collection(self, name: str) -> CollectionInfo:
        shards = sum(each == name for each, _ in self._shards)
        points = int(1e8 * self._rng.random())
        return CollectionInfo(
            name, 384, "cosine", shards, REPLICAS, 16, 100, points, points, 1600 * points, f"id-{name}"
        )

    def _owners(self, name: str, shard: int) -> Iterable[str]:
        first = 7 * self._collections.index(name) + 3 * shard
        return (node_id((first + each) % self._nodes) for each in range(REPLICAS))

    def _replica(self, name: str, shard: int, node: str) -> ReplicaStatistics:
        points = 10_000 + int(1e6 * self._rng.random())
        return ReplicaStatistics(name, shard, node, "active", points, points // 50, 1600 * points, points, 0, 1.7e9)
