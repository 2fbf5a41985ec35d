"""What the cluster looks like: nodes, replicas, shards, and the answers that describe them.

`state` is the catalog's word (agreed), `liveness` the answering node's own opinion (ephemeral): the two are never
mixed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class NodeState(enum.StrEnum):
    """Membership, as the catalog says."""

    JOINING = "joining"
    ACTIVE = "active"
    DRAINING = "draining"
    LEFT = "left"
    REMOVED = "removed"


class Liveness(enum.StrEnum):
    """Who answers, as one node sees it now."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    id: str
    name: str
    address: str
    zone: str
    state: str
    liveness: str


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """One replica. `points` and `bytes` are -1 and `merkle_root` empty where its node did not answer (state
    "unreachable").
    """

    node: str
    state: str
    points: int
    bytes: int
    merkle_root: str
    indexed: int = 0
    tombstones: int = 0
    learner: str = ""
    """Why it is a learner (state "learner", or "filling" by a move): it answers nothing until it has all rows."""
    floor_ms: int = 0
    """Writes stamped at or before this time (Unix milliseconds) are refused, and deleted points can be forgotten."""


@dataclass(frozen=True, slots=True)
class ShardInfo:
    collection: str
    shard: int
    replicas: list[ReplicaInfo] = field(default_factory=list)
    leaving: str = ""
    """Id of the node from which the shard is being moved; empty: from none."""
    coming: str = ""
    """Id of the node to which it is being moved."""


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """The cluster as the answering node sees it. `under_replicated`: shards with fewer owners than `replicas` asks."""

    cluster_id: str
    epoch: int
    nodes: list[NodeInfo]
    shards: list[ShardInfo]
    voters: list[str] = field(default_factory=list)
    under_replicated: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Live figures of one node; `liveness` other than alive means the rest is empty."""

    id: str
    name: str
    address: str
    zone: str
    state: str
    liveness: str
    version: str = ""
    epoch: int = -1
    uptime_s: float = 0.0
    loop_lag_ms: float = 0.0
    """p99 of the event-loop lag over the last minute."""
    loop_lag_max_ms: float = 0.0
    """Largest event-loop lag since the start."""
    rss_bytes: int = 0
    cpu_percent: float = 0.0
    disk_free_bytes: int = 0
    data_bytes: int = 0
    shards: int = 0
    points: int = 0
    unindexed: int = 0
    hints: int = 0
    connections: int = 0
    read_only: bool = False
    failed_shards: int = 0
    """Shards that the node owns and cannot open; their other owners answer for them."""
    learners: int = 0
    """Replicas that learn from their other owners before they answer again."""
    cache_hits: int = 0
    """Single queries since the start that were answered from the search cache, or by the search for an equal one."""
    cache_misses: int = 0
    cache_bytes: int = 0
    payload_bytes: int = 0
    """Memory of the payload indexes."""

    @property
    def cache_hit_ratio(self) -> float:
        """Of all single queries since the start."""
        asked = self.cache_hits + self.cache_misses
        return self.cache_hits / asked if asked else 0.0

    @property
    def answered(self) -> bool:
        """Whether the node itself gave these figures; a node may be believed alive and not have answered."""
        return self.version != ""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    cluster_id: str
    epoch: int
    answered_by: str
    nodes: list[NodeStatus]
    voters: list[str]
    collections: int
    under_replicated: int
    warnings: list[str] = field(default_factory=list)
    moves: int = 0
    """Shards that are being moved."""
    alerts: int = 0
    """Active ones, as the answering node knows them."""
