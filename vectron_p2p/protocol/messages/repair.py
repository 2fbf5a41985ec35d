"""Repair, asked for by a client, and the floors of tombstones, between the owners of a shard (PROTOCOLS §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vectron_p2p.protocol.registry import message


@message(76)
@dataclass(frozen=True, slots=True)
class AgreeFloor:
    """-> FloorSums. To an owner: put this floor on disk, then add up the rows at or below it.

    Refused by one that knows other owners than `owners` (sorted), is a learner, or finds the floor too young.
    """

    collection: str
    shard: int
    epoch: int
    owners: list[str]
    floor: int


@message(77)
@dataclass(frozen=True, slots=True)
class FloorSums:
    """Merkle leaf sums (16 bytes each) over the rows at or below the floor."""

    sums: bytes


@message(78)
@dataclass(frozen=True, slots=True)
class CollectFloor:
    """-> Done. To an owner: all owners hold the same at or below the floor in these leaves; drop its tombstones."""

    collection: str
    shard: int
    epoch: int
    owners: list[str]
    floor: int
    leaves: list[int]


@message(79)
@dataclass(frozen=True, slots=True)
class RepairPass:
    """-> RepairReply with one entry. To a node: compare its replicas with their other owners, or say how far that is.

    `every` false: only with peers of a higher id, so that a whole cluster compares each pair once. With `start` a pass
    is begun, or the one under way is joined under this `token` too.
    """

    token: str
    start: bool
    every: bool


@message(150)
@dataclass(frozen=True, slots=True)
class Repair:
    """-> RepairReply. A client's: have one node (name or UUID) or all compare and repair; without `start`, how far."""

    token: str
    start: bool
    node: str | None = None


@message(151)
@dataclass(frozen=True, slots=True)
class RepairReply:
    """`passes` are `dataclasses.asdict(model.repair.NodeRepair)`."""

    passes: list[dict[str, Any]]
