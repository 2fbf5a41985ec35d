"""Between nodes, about the cluster: catalog, joining, membership, figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


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
    """-> NodeStatusReply. What the answering node knows of itself; `replicas`: figures of each of its shard replicas
    too.
    """

    replicas: bool


@message(87)
@dataclass(frozen=True, slots=True)
class NodeStatusReply:
    """`status` is `asdict(NodeStatus)`; `replicas` are dicts: collection (UUID), shard, and the fields of
    ReplicaInfo; `moves`: `asdict(model.moves.MoveProgress)` of each move that the node drives.
    """

    status: dict[str, Any]
    replicas: list[dict[str, Any]] = field(default_factory=list)
    moves: list[dict[str, Any]] = field(default_factory=list)
