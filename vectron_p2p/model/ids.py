"""Identities: nodes, clusters, collections, shards and points, and the byte form of a point id.

Invariants: the byte form of point ids is injective (`1` and `"1"` differ) and orders ints before strings, each in its
natural order, so it serves as a storage key and as the scroll order.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NewType, TypeAlias

from vectron_p2p.model.errors import InvalidArgument

NodeId = NewType("NodeId", str)
"""A node's UUID, canonical text form (36 characters); on its disk for ever."""
ClusterId = NewType("ClusterId", str)
CollectionId = NewType("CollectionId", str)
"""A collection's UUID: a name that is dropped and created again gets another."""
OperationId = NewType("OperationId", str)
"""Made by the client, the same over its retries of one call."""

PointId: TypeAlias = int | str

MAX_ID_BYTES = 512  # a key is read on every write and search hit; longer ids belong in the payload
MAX_INT_ID = 2**64 - 1  # 8 bytes big-endian in the key

_DIGITS = re.compile(r"0|[1-9][0-9]*")
_INT, _STR = b"\x01", b"\x02"


class ShardId(NamedTuple):
    """One shard of one collection."""

    collection: CollectionId
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody needs on two fields

    def __str__(self) -> str:
        return f"{self.collection}/{self.index}"


class Address(NamedTuple):
    """Where a node listens, TCP and UDP on one port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, field: str = "address") -> Address:
    """`HOST:PORT` (IPv6 in brackets) as an `Address`; port 0..65535.

    Raises:
        InvalidArgument: It is no such thing.
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"{text!r} is no HOST:PORT address", field=field)
    return Address(host, int(port))


def check_point_id(value: object, *, field: str = "id") -> PointId:
    """`value` as a point id: a non-empty str of at most 512 UTF-8 bytes, or an int 0..2^64-1 (numpy ints too, bool
    not).

    Raises:
        InvalidArgument: It is neither.
    """
    if isinstance(value, str):
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidArgument("an id must be valid Unicode text", field=field) from None
        if not 0 < size <= MAX_ID_BYTES:
            raise InvalidArgument(f"a str id has 1 to {MAX_ID_BYTES} bytes, this one {size}", field=field)
        return value
    if not isinstance(value, bool) and hasattr(value, "__index__") and type(value).__name__ != "bool":
        number = int(value.__index__())
        if 0 <= number <= MAX_INT_ID:
            return number
        raise InvalidArgument(f"an int id lies in 0..2^64-1, this one is {number}", field=field)
    raise InvalidArgument(f"an id is a str or an int, not {type(value).__name__}", field=field)


def parse_point_id(text: str) -> PointId:
    """The id that a person typed: digits without a leading zero are an int, all else a str; JSON quotes force a str."""
    if _DIGITS.fullmatch(text):
        return int(text)
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            value = json.loads(text)
        except ValueError:
            return text
        if isinstance(value, str):
            return value
    return text


def encode_point_id(point_id: PointId) -> bytes:
    """The byte form of a checked point id."""
    if isinstance(point_id, str):
        return _STR + point_id.encode()
    return _INT + point_id.to_bytes(8, "big")


def decode_point_id(key: bytes) -> PointId:
    """Inverse of `encode_point_id`; ValueError when `key` is no such form."""
    if key[:1] == _STR and len(key) > 1:
        return key[1:].decode()
    if key[:1] == _INT and len(key) == 9:
        return int.from_bytes(key[1:], "big")
    raise ValueError(f"no point id: {key[:20]!r}")
