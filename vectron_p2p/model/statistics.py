"""What nodes measure of themselves: operations, resources, connections, replicas; and their sums over the cluster.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_bytes`, `_percent` (of one core for CPU); a plain count
has none. Rates are per second. Windows are seconds back from `at`, of `WINDOWS_S`. -1 and an empty string mean that
nobody says. Everything is measured by the process itself: what it sent and received on its own sockets, not what the
machine did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vectron_p2p.model.traffic import TrafficFigures

WINDOWS_S = (60, 300, 3600)
"""The windows of `OperationStatistics`, seconds."""

CLIENT = "client"
PEER = "peer"
"""Kinds of a caller: of an operation, and of a connection."""


@dataclass(frozen=True, slots=True)
class OperationStatistics:
    """One operation over one window. Percentiles are within 3.2 % of the true ones, and 0.0 where `count` is 0.

    Times are those of the server: from the request's last byte to its answer being queued for sending.
    """

    operation: str
    """`upsert`, `search`, `search_batch`, `get`, ... of clients (`upsert_if` and `delete_if` are conditional or
    linearizable ones); `apply_rows`, `search_shards`, ... between nodes."""
    kind: str
    """Who asks: "client" or "peer"."""
    window_s: int
    count: int = 0
    """Requests answered, errors included; a batch is one."""
    rate: float = 0.0
    """`count` per second of the window, or of the uptime where that is shorter."""
    errors: int = 0
    """Those that failed by no fault of the caller."""
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    bytes_in: int = 0
    """Of requests, without framing."""
    bytes_out: int = 0
    """Of answers, without framing."""
    rejected: int = 0
    """Requests of clients that were at fault themselves (`VectronError.callers_fault`), as HTTP counts 4xx apart."""


@dataclass(frozen=True, slots=True)
class NetworkStatistics:
    """Bytes on this process's TCP connections and in its gossip packets; rates over the last sampled second."""

    client_in_per_s: float = 0.0
    client_out_per_s: float = 0.0
    peer_in_per_s: float = 0.0
    peer_out_per_s: float = 0.0
    client_in_bytes: int = 0
    client_out_bytes: int = 0
    peer_in_bytes: int = 0
    peer_out_bytes: int = 0
    """Totals since the start."""


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """One connection that the node serves."""

    address: str
    """From where it was opened."""
    kind: str
    """"client" or "peer"; "" before its greeting."""
    node: str
    """The peer's id; "" for a client."""
    since: float
    """When it was opened, Unix seconds."""
    requests: int = 0
    """Taken since then."""
    in_flight: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """The way from this node to another one, as its pool of connections sees it."""

    node: str
    connections: int
    in_flight: int
    pending_bytes: int
    failures: int
    """Dials in a row that failed."""
    retry_in_s: float
    """Until calls may dial again; 0.0: now."""


@dataclass(frozen=True, slots=True)
class ReplicaStatistics:
    """One replica of a shard, as its node says; -1 and state "unreachable" where that does not answer."""

    collection: str
    """Its name; its UUID where the answering node does not know it yet or any more."""
    shard: int
    node: str
    state: str = "unreachable"
    """active, filling (by a move), learner, damaged, failed, unreachable."""
    points: int = -1
    tombstones: int = -1
    bytes: int = -1
    """On disk, approximately."""
    indexed: int = -1
    """Points served from the graph."""
    unlinked: int = -1
    """Points searched exactly until they are linked."""
    compared_at: float = 0.0
    """When the replica was last found equal, or made so, to every other live owner, Unix seconds: how far repair lags
    behind. 0.0: not yet since the node's start, or there is nobody to compare with."""
    move: str = ""
    """Step of the shard's move, if there is one: "both" or "read_new"."""
    moving: str = ""
    """This replica's part in the move: "leaving", "coming" or ""."""
    moved_rows: int = 0
    move_rows: int = -1
    """Rows to move; -1: not known yet."""


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """One node. `version` empty: it did not answer, and the rest is not known."""

    node: str
    name: str
    state: str = ""
    """In the catalog."""
    liveness: str = ""
    """As the answering node sees it."""
    address: str = ""
    zone: str = ""
    at: float = 0.0
    """When it was measured, Unix seconds by the node's own clock."""
    uptime_s: float = 0.0
    version: str = ""
    epoch: int = -1
    cpu_percent: float = 0.0
    """Of one core, over the last sampled second."""
    rss_bytes: int = 0
    disk_used_bytes: int = 0
    """By the replicas of this node."""
    disk_free_bytes: int = 0
    """Of the file system that its folder is on."""
    disk_total_bytes: int = 0
    loop_lag_p50_ms: float = 0.0
    """Over the last minute."""
    loop_lag_p99_ms: float = 0.0
    loop_lag_max_ms: float = 0.0
    shards: int = 0
    points: int = 0
    """Live points of all its replicas."""
    unlinked: int = 0
    hints: int = 0
    """Rows kept for owners that were away."""
    hint_bytes: int = 0
    read_only: bool = False
    in_flight: int = 0
    """Requests being answered."""
    connections: int = 0
    """Connections being served; the busiest of them are in `callers`."""
    network: NetworkStatistics = field(default_factory=NetworkStatistics)
    queues: dict[str, int] = field(default_factory=dict)
    """Jobs that wait for a thread, by lane."""
    operations: list[OperationStatistics] = field(default_factory=list)
    """Those that happened in a window, by kind, operation and window."""
    callers: list[ConnectionStatistics] = field(default_factory=list)
    peers: list[PeerStatistics] = field(default_factory=list)
    """Connections to other nodes; in a cluster of more than 34 nodes those to the peers in `traffic`."""
    cache_hits: int = 0
    """Single queries since the start that the search cache answered, or the search for an equal one."""
    cache_misses: int = 0
    cache_bytes: int = 0
    traffic: TrafficFigures = field(default_factory=TrafficFigures)
    """Calls to other nodes (breakers, round trips, hedges) and limits on clients' requests."""

    @property
    def answered(self) -> bool:
        """Whether the node itself gave these figures."""
        return self.version != ""


@dataclass(frozen=True, slots=True)
class CollectionTotals:
    """Sums over the shards of a collection: of one replica each, the fullest that answers."""

    name: str
    shards: int
    replicas: int
    """Copies wished for of each shard."""
    points: int = 0
    tombstones: int = 0
    indexed: int = 0
    unlinked: int = 0
    bytes: int = 0
    all_bytes: int = 0
    """Of all replicas that answer."""
    missing_shards: int = 0
    """Shards of which no replica answers: what is summed lacks them."""


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """All nodes, as one of them gathered it just now. Who does not answer is there with `answered` False."""

    at: float
    """Unix seconds by the clock of the node that answers."""
    answered_by: str
    epoch: int
    nodes: list[NodeStatistics]
    operations: list[OperationStatistics] = field(default_factory=list)
    """Of all nodes that answer: counts and rates are sums, percentiles those of all requests together."""
    collections: list[CollectionTotals] = field(default_factory=list)
    replicas: list[ReplicaStatistics] = field(default_factory=list)

    @property
    def absent(self) -> list[NodeStatistics]:
        """Nodes that gave no figures."""
        return [node for node in self.nodes if not node.answered]


FIGURES = (
    "cpu_percent",
    "rss_bytes",
    "loop_lag_ms",
    "disk_used_bytes",
    "net_in_per_s",
    "net_out_per_s",
    "requests_per_s",
    "errors_per_s",
    "search_p50_ms",
    "search_p95_ms",
    "search_p99_ms",
    "points",
)
"""What is kept of the past. Requests and errors are those of clients; `loop_lag_ms` is the largest of the span."""


@dataclass(frozen=True, slots=True)
class History:
    """Figures of the past at equal steps, of one node or the cluster.

    Where a node was down, or did not exist yet, values are None. Of the cluster: sums; of loop lag and percentiles the
    worst node's.
    """

    node: str
    """Its id; "" for the cluster."""
    step_s: int
    """1, 10 or 60 seconds."""
    until: float
    """Unix seconds at the end of the last step."""
    figures: dict[str, list[float | None]] = field(default_factory=dict)
    """By name (`FIGURES`), oldest first, all of one length."""
    nodes: int = 1
    """How many nodes are in it."""
