"""Requests of clients that are decided per point by a round.

`retried`: an earlier attempt of the same operation, at any node, may have done it. `expires`: when, on the clock of the
node asked, who sent it may have gone elsewhere: after that it is not to be begun; 0: never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vectron_p2p.protocol.registry import message


@message(130)
@dataclass(frozen=True, slots=True)
class UpsertIf:
    """-> WriteReply. Rows as in `Upsert`. `mode` "upsert", "insert" (fails where there is a point) or "update" (fails
    where there is none); `if_versions`: empty, or per row the version that must be held (None: any).
    """

    collection: str
    ids: list[int | str]
    dimension: int
    vectors: bytes
    payloads: list[bytes]
    mode: str
    if_versions: list[bytes | None]
    operation_id: str
    retried: bool = False
    expires: float = 0.0


@message(131)
@dataclass(frozen=True, slots=True)
class DeleteIf:
    """-> WriteReply. Either `ids` (linearizable; count: ids asked), or with no ids all points that match `filter`
    (count: points deleted).
    """

    collection: str
    ids: list[int | str]
    filter: dict[str, Any] | None
    operation_id: str
    retried: bool = False
    expires: float = 0.0


@message(132)
@dataclass(frozen=True, slots=True)
class ChangePayload:
    """-> WriteReply: points changed. Sets the top-level keys of `update` (a msgpack dict) and takes `remove` away, in
    the points of `ids` that are there, or with no ids in all that match `filter`.
    """

    collection: str
    ids: list[int | str]
    filter: dict[str, Any] | None
    update: bytes
    remove: list[str]
    operation_id: str
    retried: bool = False
    expires: float = 0.0
