"""Requests of clients and their answers. They name a collection by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


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
    payload_index: bool | list[str] = True


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
    """-> WriteReply. Row i: `ids[i]`, `vectors[4*d*i:4*d*(i+1)]`, `payloads[i]` (msgpack dict). `expires` as
    in `changes`.
    """

    collection: str
    ids: list[int | str]
    dimension: int
    vectors: bytes
    payloads: list[bytes]
    consistency: str
    operation_id: str
    expires: float = 0.0


@message(22)
@dataclass(frozen=True, slots=True)
class Delete:
    """-> WriteReply."""

    collection: str
    ids: list[int | str]
    consistency: str
    operation_id: str
    expires: float = 0.0


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
    """Columns over the ids asked: `versions[i]` None where there is no such point; `vectors[i]` and `payloads[i]`
    None when not asked for or missing.
    """

    versions: list[bytes | None]
    vectors: list[bytes | None]
    payloads: list[bytes | None]


@message(26, bulk="vectors")
@dataclass(frozen=True, slots=True)
class Search:
    """-> SearchReply. Either `vectors` (`count` queries of `dimension`), or `id`, or `positive` with `negative` (count
    1; those points themselves are left out).

    `filter` is the dict of INTERFACE, `score_threshold` None for none, `ef` None for the default. `group_by`: a path
    in payloads; then k counts groups of up to `group_size` hits. `together`: the hits of all queries may come as one
    list.
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
    positive: list[int | str] = field(default_factory=list)
    negative: list[int | str] = field(default_factory=list)
    group_by: str | None = None
    group_size: int = 1
    together: bool = False


@message(33)
@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one group: how many of a `HitList`, which has them group after group."""

    value: str | int | float | bool
    size: int


@message(27)
@dataclass(slots=True)  # as `model.points.Hit`: a batch has thousands
class HitList:
    """Hits of one query, best first: parallel columns; `scores` float32 bytes; `vectors` raw rows concatenated or
    empty; `payloads` empty when not asked for.
    """

    ids: list[int | str]
    scores: bytes
    versions: list[bytes]
    payloads: list[bytes]
    vectors: bytes


@message(28)
@dataclass(slots=True)
class SearchReply:
    """A list of hits for each query; or, if asked for, one of all queries, with how many are of each (`sizes`)."""

    results: list[HitList]
    missing_shards: list[int]
    took_ms: float
    plan: list[dict[str, Any]] | None
    groups: list[list[Group]] = field(default_factory=list)  # per query, of a search by group
    sizes: list[int] = field(default_factory=list)


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
    """-> ScrollReply: points in the order of their ids' byte form, after `cursor`; `order_by` (`key`, `direction`,
    `start_from`): in the order of a payload field.
    """

    collection: str
    filter: dict[str, Any] | None
    limit: int
    cursor: str | None
    with_vector: bool
    order_by: dict[str, Any] | None = None


@message(32)
@dataclass(frozen=True, slots=True)
class ScrollReply:
    ids: list[int | str]
    versions: list[bytes]
    payloads: list[bytes]
    vectors: bytes
    cursor: str | None
