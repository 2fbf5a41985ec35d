"""Replies into results: the dataclasses of `model`, from columns and dicts.

A field that a newer node added is left out; one that is missing is the node's defect and said to be so.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vectron_p2p.model.alerts import Alert, AlertRoute, AlertRule, AlertsReport, Silence
from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import Internal, InvalidArgument
from vectron_p2p.model.ids import Address, PointId, parse_address
from vectron_p2p.model.logs import LogRecord
from vectron_p2p.model.moves import MoveInfo, MovesReport
from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, NodeInfo, NodeStatus, ReplicaInfo, ShardInfo
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields
from vectron_p2p.model.points import Group, Hit, Page, Point, SearchResult, unpack_payload
from vectron_p2p.model.repair import NodeRepair, RepairReport
from vectron_p2p.model.statistics import (
    ClusterStatistics,
    CollectionTotals,
    ConnectionStatistics,
    History,
    NetworkStatistics,
    NodeStatistics,
    OperationStatistics,
    PeerStatistics,
    ReplicaStatistics,
)
from vectron_p2p.model.traffic import (
    HedgeFigures,
    LimitFigures,
    PeerFigures,
    RoundTripFigures,
    TrafficFigures,
)
from vectron_p2p.protocol.messages import HitList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vectron_p2p.model.points import Vector
    from vectron_p2p.protocol import messages
    from vectron_p2p.protocol.messages import GetReply, ScrollReply, SearchReply

D = TypeVar("D")


def build(cls: Callable[..., D], fields: dict[str, Any]) -> D:
    """The dataclass `cls` of the dict that `asdict` made of it at a node."""
    try:
        return cls(**{name: fields[name] for name in _names(cls) if name in fields})
    except TypeError as error:
        raise Internal(f"the node's answer is incomplete: {error}") from error


@functools.cache
def _names(cls: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(cls).parameters)


def _each(cls: Callable[..., D], items: Iterable[dict[str, Any]]) -> list[D]:
    return [build(cls, item) for item in items]


def collection_info(info: dict[str, Any]) -> CollectionInfo:
    return build(CollectionInfo, info)


def cluster_info(info: dict[str, Any]) -> ClusterInfo:
    """The answer to `cluster()`."""
    shards = [
        build(ShardInfo, {**shard, "replicas": _each(ReplicaInfo, shard.get("replicas", ()))})
        for shard in info.get("shards", ())
    ]
    return build(ClusterInfo, {**info, "nodes": _each(NodeInfo, info.get("nodes", ())), "shards": shards})


def cluster_status(status: dict[str, Any]) -> ClusterStatus:
    """The answer to `status()`."""
    return build(ClusterStatus, {**status, "nodes": _each(NodeStatus, status.get("nodes", ()))})


def cluster_statistics(fields: dict[str, Any]) -> ClusterStatistics:
    """The answer to `statistics()`."""
    return build(
        ClusterStatistics,
        {
            **fields,
            "nodes": [node_statistics(each) for each in fields.get("nodes", ())],
            "operations": _each(OperationStatistics, fields.get("operations", ())),
            "collections": _each(CollectionTotals, fields.get("collections", ())),
            "replicas": _each(ReplicaStatistics, fields.get("replicas", ())),
        },
    )


def node_statistics(fields: dict[str, Any]) -> NodeStatistics:
    return build(
        NodeStatistics,
        {
            **fields,
            "network": build(NetworkStatistics, fields.get("network", {})),
            "operations": _each(OperationStatistics, fields.get("operations", ())),
            "callers": _each(ConnectionStatistics, fields.get("callers", ())),
            "peers": _each(PeerStatistics, fields.get("peers", ())),
            "traffic": traffic_figures(fields.get("traffic", {})),
        },
    )


def traffic_figures(fields: dict[str, Any]) -> TrafficFigures:
    peers = [
        build(
            PeerFigures,
            {
                **each,
                "round_trips": {
                    kind: build(RoundTripFigures, figures) for kind, figures in each.get("round_trips", {}).items()
                },
            },
        )
        for each in fields.get("peers", ())
    ]
    return TrafficFigures(
        peers=peers,
        hedges=build(HedgeFigures, fields.get("hedges", {})),
        limits=build(LimitFigures, fields.get("limits", {})),
        peer_count=fields.get("peer_count", len(peers)),
        open_breakers=fields.get("open_breakers", sum(each.breaker != "closed" for each in peers)),
    )


def payload_fields(fields: dict[str, Any]) -> PayloadFields:
    """The answer to `fields()`."""
    return build(PayloadFields, {**fields, "fields": _each(PayloadField, fields.get("fields", ()))})


def history(fields: dict[str, Any]) -> History:
    """The answer to `history()`."""
    return build(History, fields)


def log_record(record: dict[str, Any]) -> LogRecord:
    """One of the answer to `logs()`."""
    return build(LogRecord, record)


def moves_report(report: dict[str, Any]) -> MovesReport:
    """The answer to `moves()`."""
    return build(MovesReport, {**report, "moves": _each(MoveInfo, report.get("moves", ()))})


def alerts_report(report: dict[str, Any]) -> AlertsReport:
    """The answer to `alerts()`."""
    kinds: dict[str, Callable[..., Any]] = {
        "active": Alert,
        "history": Alert,
        "rules": AlertRule,
        "silences": Silence,
        "routes": AlertRoute,
    }
    return build(AlertsReport, {name: _each(kind, report.get(name, ())) for name, kind in kinds.items()})


def repair_report(passes: Iterable[dict[str, Any]]) -> RepairReport:
    """The answer to `repair()`."""
    return RepairReport(_each(NodeRepair, passes))


def addresses(nodes: Iterable[NodeInfo | NodeStatus]) -> list[Address]:
    """Where the members listen; those too that the node which answered holds for dead: it may be the one cut off."""
    return parse_addresses(node.address for node in nodes if node.state in ("active", "draining"))


def parse_addresses(texts: Iterable[str]) -> list[Address]:
    """Those of `texts` that can be dialled."""
    found = []
    for text in texts:
        with contextlib.suppress(InvalidArgument):  # a form of address that this version does not know
            found.append(parse_address(text))
    return found


def search_results(reply: SearchReply) -> list[SearchResult]:
    """One result per query of the request."""
    missing, groups = reply.missing_shards, reply.groups
    for hits in reply.results:
        _check_columns(hits)
    if reply.sizes:
        return _apart(reply)
    found = [
        SearchResult(partial(_hits, hits), bool(missing), missing, reply.took_ms, reply.plan) for hits in reply.results
    ]
    if groups:
        if len(groups) != len(found):
            raise Internal("the node's lists of groups and of hits differ in number")
        for each, sizes in zip(found, groups, strict=True):
            each.groups = _groups(each.hits, sizes)
    return found


def _apart(reply: SearchReply) -> list[SearchResult]:
    """The results of all queries, whose hits came as one list."""
    if len(reply.results) != 1 or min(reply.sizes) < 0 or sum(reply.sizes) != len(reply.results[0].ids):
        raise Internal("the node's list of hits and the sizes of its parts differ")
    whole, missing = reply.results[0], reply.missing_shards
    ends = itertools.accumulate(reply.sizes, initial=0)
    return [
        SearchResult(partial(_hits_of, whole, at, end), bool(missing), missing, reply.took_ms, reply.plan)
        for at, end in itertools.pairwise(ends)
    ]


def _hits_of(whole: HitList, at: int, end: int) -> list[Hit]:
    row = len(whole.vectors) // len(whole.ids) if whole.ids else 0
    return _hits(
        HitList(
            whole.ids[at:end],
            whole.scores[4 * at : 4 * end],
            whole.versions[at:end],
            whole.payloads[at:end],
            whole.vectors[row * at : row * end],
        )
    )


def _groups(hits: list[Hit], sizes: Iterable[messages.Group]) -> list[Group]:
    groups, at = [], 0
    for each in sizes:
        groups.append(Group(each.value, hits[at : at + each.size]))
        at += each.size
    if at != len(hits):
        raise Internal("the node's groups and hits differ in number")
    return groups


def _check_columns(hits: HitList) -> None:
    """That hits can be built of the columns, which happens later if at all."""
    count = len(hits.ids)
    if len(hits.scores) != 4 * count or len(hits.versions) != count or (hits.payloads and len(hits.payloads) != count):
        raise Internal("the node's columns of hits differ in length")
    if hits.vectors and (not count or len(hits.vectors) % (4 * count)):
        raise Internal("the node's vectors and ids differ in number")


def _hits(hits: HitList) -> list[Hit]:
    ids, count = hits.ids, len(hits.ids)
    if not count:
        return []
    payloads: Iterable[Any] = map(unpack_payload, hits.payloads) if hits.payloads else (None,) * count
    vectors: Iterable[Any] = _rows(hits.vectors, count) if hits.vectors else (None,) * count
    scores = struct.unpack(f"<{count}f", hits.scores)
    versions = [version.hex() for version in hits.versions]
    return list(map(Hit, ids, scores, payloads, vectors, versions))


def _rows(vectors: bytes, count: int) -> list[Vector]:
    import numpy as np  # only results with vectors need it

    if len(vectors) % (4 * count):
        raise Internal("the node's vectors and ids differ in number")
    return list(np.frombuffer(vectors, "<f4").astype(np.float32).reshape(count, -1))


def points(ids: list[PointId], reply: GetReply) -> list[Point | None]:
    """The points of one `Get`, None where there is none, in the order asked."""
    if not len(ids) == len(reply.versions) == len(reply.vectors) == len(reply.payloads):
        raise Internal("the node's columns of points differ in length")
    return [
        None
        if version is None
        else Point(
            id=point_id,
            vector=None if vector is None else _rows(vector, 1)[0],
            payload=None if payload is None else unpack_payload(payload),
            version=version.hex(),
        )
        for point_id, version, vector, payload in zip(ids, reply.versions, reply.vectors, reply.payloads, strict=True)
    ]


def page(reply: ScrollReply) -> Page:
    """One page of a scroll."""
    count = len(reply.ids)
    if not count == len(reply.versions) == len(reply.payloads):
        raise Internal("the node's columns of points differ in length")
    vectors: Iterable[Any] = _rows(reply.vectors, count) if reply.vectors and count else (None,) * count
    payloads = map(unpack_payload, reply.payloads)
    versions = (version.hex() for version in reply.versions)
    return Page([Point(*row) for row in zip(reply.ids, vectors, payloads, versions, strict=True)], reply.cursor)
