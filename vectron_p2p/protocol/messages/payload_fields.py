"""What stands in payloads: of a collection to clients, of some of its shards to peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vectron_p2p.protocol.registry import message


@message(211)
@dataclass(frozen=True, slots=True)
class GetPayloadFields:
    """-> PayloadFieldsReply. A client's: `name` of the collection."""

    name: str


@message(212)
@dataclass(frozen=True, slots=True)
class PayloadFieldsReply:
    """`fields` is `asdict(model.payload_fields.PayloadFields)`; `shards`, to a peer: those that it is about."""

    fields: dict[str, Any]
    shards: list[int]


@message(213)
@dataclass(frozen=True, slots=True)
class GetShardFields:
    """-> PayloadFieldsReply. To a peer: of these shards of a collection (UUID), as far as it can tell."""

    collection: str
    shards: list[int]
