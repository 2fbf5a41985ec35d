"""Statistics: of one node to its peers, of the cluster to clients, and of the past."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(170)
@dataclass(frozen=True, slots=True)
class GetStatistics:
    """-> StatisticsReply. A client's; `replicas`: those of every replica too."""

    replicas: bool


@message(171, large=True)
@dataclass(frozen=True, slots=True)
class StatisticsReply:
    """`statistics` is `dataclasses.asdict(model.statistics.ClusterStatistics)`."""

    statistics: dict[str, Any]


@message(172)
@dataclass(frozen=True, slots=True)
class GetHistory:
    """-> HistoryReply. A client's: `figures` of the last `seconds`, of a node (name or id), or the cluster."""

    seconds: float
    figures: list[str]
    node: str | None = None


@message(173)
@dataclass(frozen=True, slots=True)
class HistoryReply:
    """`history` is `dataclasses.asdict(model.statistics.History)`."""

    history: dict[str, Any]


@message(174)
@dataclass(frozen=True, slots=True)
class GetNodeStatistics:
    """-> NodeStatisticsReply. To a peer: its own; `replicas`: those of its replicas too."""

    replicas: bool


@message(175)
@dataclass(frozen=True, slots=True)
class NodeStatisticsReply:
    """`statistics` is `asdict(NodeStatistics)` without operations; `operations` are `asdict(OperationStatistics)` with
    `histogram`, the bytes of `observability.histogram`; `replicas` are dicts: collection (UUID), shard, and the figures
    of ReplicaStatistics; `moves` as in NodeStatusReply.
    """

    statistics: dict[str, Any]
    operations: list[dict[str, Any]]
    replicas: list[dict[str, Any]] = field(default_factory=list)
    moves: list[dict[str, Any]] = field(default_factory=list)


@message(176)
@dataclass(frozen=True, slots=True)
class GetNodeHistory:
    """-> NodeHistoryReply. To a peer: its own past."""

    seconds: float
    figures: list[str]


@message(177)
@dataclass(frozen=True, slots=True)
class NodeHistoryReply:
    """`newest`: number of the newest step, Unix time over `step_s`; -1: it has no past yet."""

    step_s: int
    newest: int
    figures: dict[str, Any]
