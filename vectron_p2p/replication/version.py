"""Versions: the total order over all writes of a row.

A version is 40 bytes: stamp of the hybrid clock (8, big-endian) | UUID of the coordinator (16) | digest of the row's
content (16). Comparing the bytes compares the versions, so the order needs no decoding. Two different contents never
share a version, even if one node used a stamp twice.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id

VERSION_SIZE = 40
STAMP_SIZE = 8
DIGEST_SIZE = 16  # 2^64 contents under one stamp of one node before two are expected to collide
MAX_STAMP = 2**64 - 1

_ABSENT, _PRESENT = b"\x00", b"\x01"


@lru_cache(maxsize=1024)  # a cluster has few coordinators, and each stamps every row it takes
def node_bytes(node: NodeId) -> bytes:
    """The 16 bytes of a node's UUID; ValueError when it is none."""
    raw = bytes.fromhex(node.replace("-", ""))
    if len(raw) != 16:
        raise ValueError(f"no UUID: {node!r}")
    return raw


def make_version(stamp: int, node: NodeId, digest: bytes) -> bytes:
    """The version of a content with `digest`, stamped by `node`."""
    if len(digest) != DIGEST_SIZE:
        raise ValueError(f"a digest has {DIGEST_SIZE} bytes, this one {len(digest)}")
    return stamp.to_bytes(STAMP_SIZE, "big") + node_bytes(node) + digest


def stamp(version: bytes) -> int:
    """The hybrid clock's stamp in `version`."""
    return int.from_bytes(version[:STAMP_SIZE], "big")


def version_node(version: bytes) -> NodeId:
    """The coordinator that made `version`."""
    text = version[STAMP_SIZE : STAMP_SIZE + 16].hex()
    return NodeId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def content_digest(point_id: PointId, vector: bytes | None, payload: bytes | None) -> bytes:
    """Digest of a row's content: injective in its parts, so a tombstone differs from an empty row."""
    key = encode_point_id(point_id)
    parts = [len(key).to_bytes(2, "big"), key]
    for part in (vector, payload):
        parts += (_ABSENT,) if part is None else (_PRESENT, len(part).to_bytes(4, "big"), part)
    return blake2b(b"".join(parts), digest_size=DIGEST_SIZE).digest()


def format_version(version: bytes) -> str:
    """The text that clients see; orders as the version does."""
    return version.hex()


def parse_version(text: str) -> bytes:
    """Inverse of `format_version`; ValueError when it is none."""
    version = bytes.fromhex(text)
    if len(version) != VERSION_SIZE:
        raise ValueError(f"a version has {2 * VERSION_SIZE} hexadecimal digits, this one {len(text)}")
    return version
