"""Requests of clients that change where shards lie, and how far that is. Nodes by name or UUID."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vectron_p2p.protocol.registry import message


@message(160)
@dataclass(frozen=True, slots=True)
class DrainNode:
    """-> MovesReply. The node is to give its shards away and leave; with `cancel` it stays after all."""

    node: str
    operation_id: str
    cancel: bool = False


@message(161)
@dataclass(frozen=True, slots=True)
class RemoveNode:
    """-> MovesReply, once a majority of the voters that are left has it on disk. The node is dead for good."""

    node: str
    operation_id: str


@message(162)
@dataclass(frozen=True, slots=True)
class SetReplicas:
    """-> CollectionReply."""

    name: str
    replicas: int
    operation_id: str


@message(163)
@dataclass(frozen=True, slots=True)
class GetMoves:
    """-> MovesReply. `node`: one to tell about too. `newest`: look for a newer epoch first, for what another client has
    just changed.
    """

    node: str | None = None
    newest: bool = False


@message(164)
@dataclass(frozen=True, slots=True)
class MovesReply:
    """`report` is `dataclasses.asdict(model.moves.MovesReport)`."""

    report: dict[str, Any]
