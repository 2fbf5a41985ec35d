"""What a subscription gives, in the forms that the screens read.

Pure. A node that did not answer has identity and liveness only; nothing is filled in from what it said before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, NodeStatus, ReplicaInfo, ShardInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vectron_p2p.model.alerts import Alert
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.moves import MoveInfo
    from vectron_p2p.model.statistics import NodeStatistics, OperationStatistics, ReplicaStatistics
    from vectron_p2p.model.watching import WatchEvent

TOPICS = ("cluster", "statistics", "operations", "collections", "shards", "moves", "alerts")
FAILED = ("failed", "damaged")
GONE = ("left", "removed")
SLICE = 250  # shards made in one go: 2 ms, so that a key need not wait for thousands


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one moment, as one node sees it."""

    status: ClusterStatus
    cluster: ClusterInfo
    collections: list[CollectionInfo]
    moves: list[MoveInfo]
    statistics: Mapping[str, NodeStatistics]
    """By node id."""
    operations: Mapping[str, list[OperationStatistics]]
    """By node id; under the empty key those of all nodes together."""
    alerts: list[Alert]
    at: float
    """By the clock of the node, Unix seconds."""


class Snapshots:
    """Makes them, one after the other. What has not changed since the one before is taken over from it: with thousands
    of shards it is most of them, and screens know it by its identity.
    """

    def __init__(self) -> None:
        self._shards = Shards()

    def steps(self, event: WatchEvent) -> Iterator[None]:
        """Does most of the work of `take` before it is called, and stops after each few milliseconds."""
        return self._shards.steps(event.view["shards"])

    def take(self, event: WatchEvent) -> Snapshot:
        view: Mapping[str, Mapping[str, Any]] = event.view
        info: ClusterInfo = view["cluster"][""]
        statistics: Mapping[str, NodeStatistics] = view["statistics"]
        replicas: Mapping[str, ReplicaStatistics] = view["shards"]
        moves: list[MoveInfo] = list(view["moves"].values())
        return Snapshot(
            _status(info, statistics, replicas.values(), len(view["collections"]), len(moves), event.node),
            replace(info, shards=self._shards.take(replicas)),
            [view["collections"][name] for name in sorted(view["collections"])],
            moves,
            statistics,
            view["operations"],
            list(view["alerts"].values()),
            event.at,
        )


def _status(
    info: ClusterInfo,
    statistics: Mapping[str, NodeStatistics],
    replicas: Iterable[ReplicaStatistics],
    collections: int,
    moves: int,
    answered_by: str,
) -> ClusterStatus:
    odd = [replica for replica in replicas if replica.state != "active"]
    failed = Counter(replica.node for replica in odd if replica.state in FAILED)
    learners = Counter(replica.node for replica in odd if replica.state == "learner")
    nodes = []
    for member in info.nodes:
        if member.state in GONE:
            continue
        node = NodeStatus(member.id, member.name, member.address, member.zone, member.state, member.liveness)
        said = statistics.get(member.id)
        if said is not None and said.answered:
            node = replace(
                node,
                version=said.version,
                epoch=said.epoch,
                uptime_s=said.uptime_s,
                loop_lag_ms=said.loop_lag_p99_ms,
                loop_lag_max_ms=said.loop_lag_max_ms,
                rss_bytes=said.rss_bytes,
                cpu_percent=said.cpu_percent,
                disk_free_bytes=said.disk_free_bytes,
                data_bytes=said.disk_used_bytes,
                shards=said.shards,
                points=said.points,
                unindexed=said.unlinked,
                hints=said.hints,
                connections=said.connections,
                read_only=said.read_only,
                failed_shards=failed[member.id],
                learners=learners[member.id],
            )
        nodes.append(node)
    warnings = [
        *info.warnings,
        *(
            f"{node.name} cannot open {node.failed_shards} of its shards: see its log"
            for node in nodes
            if node.failed_shards
        ),
        *(f"{node.name} learns {node.learners} of its shards; others answer" for node in nodes if node.learners),
    ]
    return ClusterStatus(
        cluster_id=info.cluster_id,
        epoch=info.epoch,
        answered_by=answered_by,
        nodes=nodes,
        voters=list(info.voters),
        collections=collections,
        under_replicated=info.under_replicated,
        warnings=warnings,
        moves=moves,
    )


class Shards:
    """Shards in order of collection and number, each with its owners."""

    def __init__(self) -> None:
        self._replicas: Mapping[str, ReplicaStatistics] = {}
        self._built: dict[tuple[str, int], ShardInfo] = {}
        self._keys: dict[tuple[str, int], list[str]] = {}
        """Of the replicas of each shard."""

    def take(self, replicas: Mapping[str, ReplicaStatistics]) -> list[ShardInfo]:
        """All of them, from their replicas by key. Those whose replicas are the same objects as before are too."""
        for _ in self.steps(replicas):
            pass
        return list(self._built.values())

    def steps(self, replicas: Mapping[str, ReplicaStatistics]) -> Iterator[None]:
        """A slice of the work after the other; to be run to its end."""
        if replicas is self._replicas:
            return
        before, self._replicas = self._replicas, replicas
        changed = {(each.collection, each.shard) for key, each in replicas.items() if before.get(key) is not each}
        if before.keys() != replicas.keys():
            self._order(replicas)
            changed |= {(before[key].collection, before[key].shard) for key in before.keys() - replicas.keys()}
        yield
        for number, shard in enumerate(changed & self._keys.keys(), 1):
            self._built[shard] = _shard(*shard, [replicas[key] for key in self._keys[shard]])
            if number % SLICE == 0:
                yield

    def _order(self, replicas: Mapping[str, ReplicaStatistics]) -> None:
        """Replicas came or went."""
        self._keys = {}
        for key, each in replicas.items():
            self._keys.setdefault((each.collection, each.shard), []).append(key)
        nothing = ShardInfo("", 0, [])
        self._built = {shard: self._built.get(shard, nothing) for shard in sorted(self._keys)}


def _shard(name: str, number: int, replicas: list[ReplicaStatistics]) -> ShardInfo:
    # A replica that comes is no owner yet.
    owners = [
        ReplicaInfo(
            node=replica.node,
            state=replica.state,
            points=replica.points,
            bytes=replica.bytes,
            merkle_root="",
            indexed=replica.indexed,
            tombstones=replica.tombstones,
        )
        for replica in replicas
        if replica.moving != "coming"
    ]
    parts = {replica.moving: replica.node for replica in replicas if replica.moving}
    return ShardInfo(name, number, owners, parts.get("leaving", ""), parts.get("coming", ""))
