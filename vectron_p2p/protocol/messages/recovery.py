"""Forced recovery after a lost voter majority: the operator's request, and what survivors tell whoever opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(155)
@dataclass(frozen=True, slots=True)
class Recover:
    """-> RecoverReply. From a client, to one node, never sent again to another one. Without `force` it only looks.

    `lost`: names or ids of the nodes to give up; empty: all that the node asked believes dead.
    """

    force: bool
    lost: list[str] = field(default_factory=list)


@message(156)
@dataclass(frozen=True, slots=True)
class RecoverReply:
    """`info` is `dataclasses.asdict(model.recovery.RecoveryInfo)`."""

    info: dict[str, Any]


@message(157)
@dataclass(frozen=True, slots=True)
class GetCatalogView:
    """-> CatalogView. From a node that is about to open the next generation of the catalog."""


@message(158)
@dataclass(frozen=True, slots=True)
class CatalogView:
    """The answering node's durable state (`ClusterState.to_bytes()`), and what it accepted for the
    next epoch, with its ballot (None: nothing).
    """

    state: bytes
    round: int
    node: str
    value: bytes | None
