"""Between nodes, about shards: rows, searches, repair. They name a collection by its UUID."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.messages.requests import HitList
from vectron_p2p.protocol.registry import message


@message(50)
@dataclass(frozen=True, slots=True)
class ApplyRows:
    """-> ApplyReply. Rows of one shard, each applied only if newer than the one held.

    Row i: `ids[i]`, `versions[i]`, `vectors[i]` (None in a tombstone), `payloads[i]` (None in a tombstone), `marks[i]`
    (`replication.ballots`; no column at all: plain rows only). Writes, accepts of rounds, write-back, hints and repair
    all come this way; `kind` says which, for the statistics.
    """

    collection: str
    shard: int
    epoch: int
    kind: str
    ids: list[int | str]
    versions: list[bytes]
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    marks: list[bytes] = field(default_factory=list)


@message(51)
@dataclass(frozen=True, slots=True)
class ApplyReply:
    """`held[i]` is the version held after the call: equal to the one sent means "applied exactly this version"; a
    greater one means "newer", or "busy" if it is the mark of a promise (`ballots.is_busy`); None means the stamp was
    refused (clock skew).
    """

    held: list[bytes | None]


@message(52)
@dataclass(frozen=True, slots=True)
class FetchRows:
    """-> RowsReply, tombstones included: rows are returned as stored.

    `learning`, here and in the messages of repair: a learner asks, and takes what another learner has too.
    """

    collection: str
    shard: int
    epoch: int
    ids: list[int | str]
    with_vector: bool
    with_payload: bool
    learning: bool = False


@message(53)
@dataclass(frozen=True, slots=True)
class RowsReply:
    """Columns over the ids asked; `versions[i]` None: never seen; `tombstones[i]` true: deleted; `marks` as in
    `ApplyRows`.
    """

    versions: list[bytes | None]
    tombstones: list[bool]
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    marks: list[bytes] = field(default_factory=list)


@message(54)
@dataclass(frozen=True, slots=True)
class SearchShards:
    """-> ShardsReply. The queries of `Search`, on several shards of one collection that this node owns; k includes
    offset.

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
    """`results[s][q]`: hits of query q on the s-th shard asked (with `merge`: s is 0 only); `refused[s]`: why the
    s-th shard asked could not be searched, as an error in wire form; None where it was.
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
    """-> RowsPage: live rows that match, ids after `after` (byte form), in order.

    `order_by`, a path in payloads: in the order of the values there, after (`after_value`, `after`), or from the
    beginning if the value is None (`query.ordering`).
    """

    collection: str
    shard: int
    epoch: int
    after: bytes
    limit: int
    filter: dict[str, Any] | None
    with_vector: bool
    order_by: str = ""
    descending: bool = False
    after_value: int | float | str | None = None


@message(59)
@dataclass(frozen=True, slots=True)
class RowsPage:
    ids: list[int | str]
    versions: list[bytes]  # content versions, as clients see them
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    more: bool


@message(70)
@dataclass(frozen=True, slots=True)
class MerkleRoots:
    """-> MerkleRootsReply: roots of the shards (collection UUID, index) asked; None where there is no such replica
    here, or only a learner.
    """

    epoch: int
    collections: list[str]
    shards: list[int]


@message(71)
@dataclass(frozen=True, slots=True)
class MerkleRootsReply:
    roots: list[bytes | None]
    learners: list[bool] = field(default_factory=list)


@message(72)
@dataclass(frozen=True, slots=True)
class MerkleLeaves:
    """-> MerkleLeavesReply: all leaf sums of one shard replica, concatenated (16 bytes each)."""

    collection: str
    shard: int
    epoch: int
    learning: bool = False


@message(73)
@dataclass(frozen=True, slots=True)
class MerkleLeavesReply:
    """`floors`: the replica's own (`replication.floors`), read after the sums."""

    leaves: bytes
    floors: bytes = b""


@message(74)
@dataclass(frozen=True, slots=True)
class LeafVersions:
    """-> LeafVersionsReply: id and version of every row (tombstones too) in the leaves named."""

    collection: str
    shard: int
    epoch: int
    leaves: list[int]
    learning: bool = False


@message(75)
@dataclass(frozen=True, slots=True)
class LeafVersionsReply:
    """`collected[i]`: floor up to which tombstones were collected in the i-th leaf asked, read after the rows; empty
    when nothing was.
    """

    ids: list[int | str]
    versions: list[bytes]
    collected: list[int] = field(default_factory=list)


@message(64)
@dataclass(frozen=True, slots=True)
class AwaitFence:
    """-> Done once this owner has the catalog entry `fence`, a step of the shard's move, on disk, and no request that
    it admitted by an older one is under way. `epoch` is the asker's.
    """

    collection: str
    shard: int
    epoch: int
    fence: int
