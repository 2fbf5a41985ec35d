"""Rows, and their form on disk.

A row's value: format (1 byte) | flags (1) | version (40) | vector bytes (u32) | payload bytes (u32) | crc32 (u32) |
vector | payload | mark, big-endian. The checksum covers the key too, so a value that strays to another key is found.
Vector and payload are the bytes that came over the wire, never packed again. Rows that a round wrote (format 2) end
with its mark (`replication.ballots`); plain rows (format 1) have none.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from vectron_p2p.model.ids import PointId, decode_point_id
from vectron_p2p.replication.version import VERSION_SIZE
from vectron_p2p.storage.kv import Corrupt

FORMAT, MARKED = 1, 2
_HEAD = struct.Struct(f">BB{VERSION_SIZE}sII")
_CRC = struct.Struct(">I")
_OFFSET = _HEAD.size + _CRC.size
_HAS_VECTOR, _HAS_PAYLOAD = 1, 2


class Row(NamedTuple):
    """One row of a shard replica. A NamedTuple, not a dataclass: made for every row that passes, at half the cost.

    `vector` None: a tombstone. Vector, payload and mark are opaque bytes here; `mark` is empty in plain rows.
    """

    id: PointId
    version: bytes
    vector: bytes | None
    payload: bytes | None
    mark: bytes = b""

    @property
    def live(self) -> bool:
        return self.vector is not None


def encode_row(row: Row, key: bytes) -> bytes:
    """The value to store; `key` is `encode_point_id(row.id)`, which the caller has already."""
    _, version, vector, payload, mark = row
    if len(version) != VERSION_SIZE:  # struct would pad or cut it silently
        raise ValueError(f"a version has {VERSION_SIZE} bytes, this one {len(version)}")
    flags = (_HAS_VECTOR if vector is not None else 0) | (_HAS_PAYLOAD if payload is not None else 0)
    vector, payload = vector or b"", payload or b""
    head = _HEAD.pack(MARKED if mark else FORMAT, flags, version, len(vector), len(payload))
    crc = crc32(mark, crc32(payload, crc32(vector, crc32(head, crc32(key)))))
    return b"".join((head, _CRC.pack(crc), vector, payload, mark))


def decode_row(key: bytes, value: bytes, *, share: bool = False) -> Row:
    """Inverse of `encode_row`. With `share` the vector is a view of `value` and no copy: for who looks at all rows and
    keeps none, which takes a third less then.

    Raises:
        Corrupt: Any bit differs from what was written, or the format is unknown.
    """
    if len(value) < _OFFSET:
        raise Corrupt(f"row of {len(value)} bytes is cut short")
    kind, flags, version, vector_size, payload_size = _HEAD.unpack_from(value)
    if kind not in (FORMAT, MARKED):
        raise Corrupt(f"row of unknown format {kind}; this software writes formats {FORMAT} and {MARKED}")
    middle = _OFFSET + vector_size
    end = middle + payload_size
    if not (end < len(value) if kind == MARKED else end == len(value)):
        raise Corrupt(f"row of {len(value)} bytes says {end}")
    view = memoryview(value)
    crc = crc32(view[_OFFSET:], crc32(view[: _HEAD.size], crc32(key)))
    if crc != _CRC.unpack_from(value, _HEAD.size)[0]:
        raise Corrupt(f"row {key[:40]!r} fails its checksum")
    try:
        point_id = decode_point_id(key)
    except ValueError as error:
        raise Corrupt(f"row under a key that is no point id: {key[:40]!r}") from error
    return Row(
        point_id,
        version,
        (view if share else value)[_OFFSET:middle] if flags & _HAS_VECTOR else None,  # type: ignore[arg-type]
        value[middle:end] if flags & _HAS_PAYLOAD else None,
        value[end:],
    )
