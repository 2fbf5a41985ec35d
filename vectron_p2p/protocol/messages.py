"""Every message on the wire, as frozen dataclasses.

Owns the schemas. `@message(tag)` gives a class its number on the wire (never reused) and has its fields validated from
their annotations when it is decoded. Vectors are raw little-endian float32 bytes, batches are columnar, payloads are the
client's msgpack bytes, versions the 40 bytes of `replication.version`.

Requests from clients name a collection by name; requests between nodes by UUID, so that a recreated name never meets old
data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message

# --- handshake: the first message in each direction ---------------------------------------------------------------------


@message(1)
@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a connection. `role` "client" or "peer"; `cluster` None when the client has not pinned one yet.

    `counter` is the peer's durable counter (rollback detection), `boot` its boot number.
    """

    versions: list[int]
    role: str
    cluster: str | None = None
    node: str | None = None
    counter: int = 0
    boot: int = 0
    generation: int = 0
    epoch: int = 0


@message(2)
@dataclass(frozen=True, slots=True)
class Welcome:
    """Answers `Hello`: the version chosen, and who answers."""

    version: int
    cluster: str
    node: str
    name: str
    generation: int
    epoch: int
    software: str


# --- client requests ----------------------------------------------------------------------------------------------------


@message(10)
@dataclass(frozen=True, slots=True)
class GetCluster:
    """-> ClusterReply. `shards`: ask every owner for its replicas' figures."""

    shards: bool = True


@message(11)
@dataclass(frozen=True, slots=True)
class ClusterReply:
    """`info` is `dataclasses.asdict(model.nodes.ClusterInfo)`."""

    info: dict[str, Any]


@message(12)
@dataclass(frozen=True, slots=True)
class GetStatus:
    """-> StatusReply."""


@message(13)
@dataclass(frozen=True, slots=True)
class StatusReply:
    """`status` is `dataclasses.asdict(model.nodes.ClusterStatus)`."""

    status: dict[str, Any]


@message(14)
@dataclass(frozen=True, slots=True)
class CreateCollection:
    """-> CollectionReply."""

    name: str
    dimension: int
    metric: str
    shards: int | None
    replicas: int
    m: int
    ef_construction: int
    if_not_exists: bool
    operation_id: str


@message(15)
@dataclass(frozen=True, slots=True)
class DeleteCollection:
    """-> Done."""

    name: str
    operation_id: str


@message(16)
@dataclass(frozen=True, slots=True)
class ListCollections:
    """-> CollectionsReply."""


@message(17)
@dataclass(frozen=True, slots=True)
class DescribeCollection:
    """-> CollectionReply, with counts."""

    name: str


@message(18)
@dataclass(frozen=True, slots=True)
class CollectionReply:
    """`info` is `dataclasses.asdict(model.collections.CollectionInfo)`."""

    info: dict[str, Any]


@message(19)
@dataclass(frozen=True, slots=True)
class CollectionsReply:
    infos: list[dict[str, Any]]


@message(20)
@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to say but that it is done."""


@message(21)
@dataclass(frozen=True, slots=True)
class Upsert:
    """-> WriteReply. Row i: `ids[i]`, `vectors[4*d*i:4*d*(i+1)]`, `payloads[i]` (msgpack dict)."""

    collection: str
    ids: list[int | str]
    dimension: int
    vectors: bytes
    payloads: list[bytes]
    consistency: str
    operation_id: str


@message(22)
@dataclass(frozen=True, slots=True)
class Delete:
    """-> WriteReply."""

    collection: str
    ids: list[int | str]
    consistency: str
    operation_id: str


@message(23)
@dataclass(frozen=True, slots=True)
class WriteReply:
    count: int


@message(24)
@dataclass(frozen=True, slots=True)
class Get:
    """-> GetReply."""

    collection: str
    ids: list[int | str]
    with_vector: bool
    with_payload: bool
    consistency: str


@message(25)
@dataclass(frozen=True, slots=True)
class GetReply:
    """Columns over the ids asked: `versions[i]` None where there is no such point; `vectors[i]` and `payloads[i]` None when
    not asked for or missing.
    """

    versions: list[bytes | None]
    vectors: list[bytes | None]
    payloads: list[bytes | None]


@message(26)
@dataclass(frozen=True, slots=True)
class Search:
    """-> SearchReply. Either `vectors` (`count` queries of `dimension`) or `id` (count 1; that point itself is left out).

    `filter` is the dict of INTERFACE, `score_threshold` None for none, `ef` None for the default.
    """

    collection: str
    vectors: bytes
    count: int
    dimension: int
    id: int | str | None
    k: int
    offset: int
    filter: dict[str, Any] | None
    ef: int | None
    exact: bool
    score_threshold: float | None
    with_payload: bool
    with_vector: bool
    consistency: str
    timeout: float | None
    explain: bool


@message(27)
@dataclass(frozen=True, slots=True)
class HitList:
    """Hits of one query, best first: parallel columns; `scores` float32 bytes; `vectors` raw rows concatenated or empty;
    `payloads` empty when not asked for.
    """

    ids: list[int | str]
    scores: bytes
    versions: list[bytes]
    payloads: list[bytes]
    vectors: bytes


@message(28)
@dataclass(frozen=True, slots=True)
class SearchReply:
    results: list[HitList]
    missing_shards: list[int]
    took_ms: float
    plan: list[dict[str, Any]] | None


@message(29)
@dataclass(frozen=True, slots=True)
class Count:
    """-> CountReply."""

    collection: str
    filter: dict[str, Any] | None


@message(30)
@dataclass(frozen=True, slots=True)
class CountReply:
    count: int


@message(31)
@dataclass(frozen=True, slots=True)
class Scroll:
    """-> ScrollReply: points in the order of their ids' byte form, after `cursor`."""

    collection: str
    filter: dict[str, Any] | None
    limit: int
    cursor: str | None
    with_vector: bool


@message(32)
@dataclass(frozen=True, slots=True)
class ScrollReply:
    ids: list[int | str]
    versions: list[bytes]
    payloads: list[bytes]
    vectors: bytes
    cursor: str | None


# --- between nodes: shards ------------------------------------------------------------------------------------------------


@message(50)
@dataclass(frozen=True, slots=True)
class ApplyRows:
    """-> ApplyReply. Rows of one shard, each applied only if newer than the one held.

    Row i: `ids[i]`, `versions[i]`, `vectors[i]` (None in a tombstone), `payloads[i]` (None in a tombstone). Writes,
    write-back, hints and repair all come this way; `kind` says which, for the statistics.
    """

    collection: str
    shard: int
    epoch: int
    kind: str
    ids: list[int | str]
    versions: list[bytes]
    vectors: list[bytes | None]
    payloads: list[bytes | None]


@message(51)
@dataclass(frozen=True, slots=True)
class ApplyReply:
    """`held[i]` is the version held after the call: equal to the one sent means "applied exactly this version"; a greater one
    means "newer"; None means the stamp was refused (clock skew).
    """

    held: list[bytes | None]


@message(52)
@dataclass(frozen=True, slots=True)
class FetchRows:
    """-> RowsReply, tombstones included: rows are returned as stored."""

    collection: str
    shard: int
    epoch: int
    ids: list[int | str]
    with_vector: bool
    with_payload: bool


@message(53)
@dataclass(frozen=True, slots=True)
class RowsReply:
    """Columns over the ids asked; `versions[i]` None: never seen; `tombstones[i]` true: deleted."""

    versions: list[bytes | None]
    tombstones: list[bool]
    vectors: list[bytes | None]
    payloads: list[bytes | None]


@message(54)
@dataclass(frozen=True, slots=True)
class SearchShards:
    """-> ShardsReply. The queries of `Search`, on several shards of one collection that this node owns; k includes offset.

    `merge`: answer one list per query over all shards asked, cut to k, instead of one per shard.
    """

    collection: str
    shards: list[int]
    epoch: int
    merge: bool
    vectors: bytes
    count: int
    k: int
    filter: dict[str, Any] | None
    ef: int | None
    exact: bool
    score_threshold: float | None
    with_payload: bool
    with_vector: bool
    explain: bool


@message(55)
@dataclass(frozen=True, slots=True)
class ShardsReply:
    """`results[s][q]`: hits of query q on the s-th shard asked (with `merge`: s is 0 only); `refused[s]`: why the s-th shard
    asked could not be searched, as an error in wire form; None where it was.
    """

    results: list[list[HitList]]
    refused: list[dict[str, Any] | None]
    plan: list[dict[str, Any]] | None


@message(56)
@dataclass(frozen=True, slots=True)
class CountShards:
    """-> CountsReply: live points that match, per shard asked (-1: could not)."""

    collection: str
    shards: list[int]
    epoch: int
    filter: dict[str, Any] | None


@message(57)
@dataclass(frozen=True, slots=True)
class CountsReply:
    counts: list[int]


@message(58)
@dataclass(frozen=True, slots=True)
class ScrollShard:
    """-> RowsPage: live rows that match, ids after `after` (byte form), in order."""

    collection: str
    shard: int
    epoch: int
    after: bytes
    limit: int
    filter: dict[str, Any] | None
    with_vector: bool


@message(59)
@dataclass(frozen=True, slots=True)
class RowsPage:
    ids: list[int | str]
    versions: list[bytes]
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    more: bool


# --- between nodes: anti-entropy ----------------------------------------------------------------------------------------


@message(70)
@dataclass(frozen=True, slots=True)
class MerkleRoots:
    """-> MerkleRootsReply: roots of the shards (collection UUID, index) asked; None where there is no such replica here."""

    epoch: int
    collections: list[str]
    shards: list[int]


@message(71)
@dataclass(frozen=True, slots=True)
class MerkleRootsReply:
    roots: list[bytes | None]


@message(72)
@dataclass(frozen=True, slots=True)
class MerkleLeaves:
    """-> MerkleLeavesReply: all leaf sums of one shard replica, concatenated (16 bytes each)."""

    collection: str
    shard: int
    epoch: int


@message(73)
@dataclass(frozen=True, slots=True)
class MerkleLeavesReply:
    leaves: bytes


@message(74)
@dataclass(frozen=True, slots=True)
class LeafVersions:
    """-> LeafVersionsReply: id and version of every row (tombstones too) in the leaves named."""

    collection: str
    shard: int
    epoch: int
    leaves: list[int]


@message(75)
@dataclass(frozen=True, slots=True)
class LeafVersionsReply:
    ids: list[int | str]
    versions: list[bytes]


# --- between nodes: cluster ---------------------------------------------------------------------------------------------


@message(80)
@dataclass(frozen=True, slots=True)
class Propose:
    """-> ProposeReply. A catalog command in wire form (`catalog.commands`), to be proposed by the node asked."""

    command: dict[str, Any]


@message(81)
@dataclass(frozen=True, slots=True)
class ProposeReply:
    epoch: int
    result: dict[str, Any]


@message(82)
@dataclass(frozen=True, slots=True)
class CatalogNote:
    """One-way: a message of the epoch log (`catalog.log`), in wire form."""

    body: dict[str, Any]


@message(83)
@dataclass(frozen=True, slots=True)
class JoinCluster:
    """-> JoinReply. Sent with role "peer" by a node that is no member yet; its member entry is made `joining`."""

    node: str
    name: str
    address: str
    zone: str


@message(84)
@dataclass(frozen=True, slots=True)
class JoinReply:
    """The state to start from: `catalog.state.ClusterState.to_bytes()` at its epoch."""

    snapshot: bytes


@message(85)
@dataclass(frozen=True, slots=True)
class SwimNote:
    """One-way over TCP: a membership message in wire form (`membership.messages`): fallback pings, push-pull."""

    packet: bytes


@message(86)
@dataclass(frozen=True, slots=True)
class GetNodeStatus:
    """-> NodeStatusReply. What the answering node knows of itself; `replicas`: figures of each of its shard replicas too."""

    replicas: bool


@message(87)
@dataclass(frozen=True, slots=True)
class NodeStatusReply:
    """`status` is `asdict(NodeStatus)`; `replicas` are dicts: collection (UUID), shard, and the fields of ReplicaInfo."""

    status: dict[str, Any]
    replicas: list[dict[str, Any]] = field(default_factory=list)
