"""Ballots of per-point rounds, and the mark that a round leaves on the row it writes.

A ballot is the first 24 bytes of a version (stamp | node), so ballots and versions are in one order; the row that a
round writes has the ballot as the beginning of its version. A mark is what such a row carries besides its content: the
content version (that of the write that made the content, which an identity round keeps) and the last steps that led to
it, each the id of an operation and a hash of the content version that it changed. It is covered by the version's
digest, so replicas that hold one version hold the same bytes. Rows of plain writes have no mark (`b""`).

On disk and on the wire: kind (1 byte) | content version (40, of kind KEPT only) | steps (16 + 8 each), newest last.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.replication.version import (
    DIGEST_SIZE,
    STAMP_SIZE,
    VERSION_SIZE,
    content_digest,
    node_bytes,
)

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId, PointId

BALLOT_SIZE = STAMP_SIZE + 16
OPERATION_SIZE = 16  # 2^64 operations before two are expected to collide
BASE_SIZE = 8  # a hash that only has to tell a few versions of one point apart
STEP_SIZE = OPERATION_SIZE + BASE_SIZE
STEPS = 16  # kept per row, and who comes back later cannot tell what became of his operation; four clients that compete
# for one point have been seen to get through nine between two attempts of one
NEVER = b""  # the (content) version of a row that nobody has written

_BUSY = b"\xff" * (DIGEST_SIZE + 1)  # one byte longer than any version's rest, hence above it and none itself
_OWN, _KEPT, _ABSENT = 0, 1, 2


def make_ballot(stamp: int, node: NodeId) -> bytes:
    return stamp.to_bytes(STAMP_SIZE, "big") + node_bytes(node)


def ballot_of(version: bytes) -> bytes:
    """The ballot of a row's version, or of what `busy` made."""
    return version[:BALLOT_SIZE]


def busy(ballot: bytes) -> bytes:
    """What a replica says it holds when it is a promise that refuses a row: above every version of that ballot."""
    return ballot + _BUSY


def is_busy(held: bytes) -> bool:
    """Whether `held` is a promise, not the version of a row."""
    return len(held) > VERSION_SIZE


def passes(version: bytes, mark: bytes, promise: bytes) -> bool:
    """Whether a row may be applied over a promise: it is above it, or is the row of that very round.

    A plain row with the promised ballot is not: a node may use a stamp twice when its clock was overtaken.
    """
    ballot = ballot_of(version)
    return ballot > promise or (ballot == promise and bool(mark))


def operation_key(operation_id: str) -> bytes:
    """The operation id as rows keep it."""
    return blake2b(operation_id.encode(), digest_size=OPERATION_SIZE).digest()


def base_key(content: bytes) -> bytes:
    """A content version as steps keep it."""
    return blake2b(content, digest_size=BASE_SIZE).digest()


class Mark(NamedTuple):
    """`content`: None where the content was written with this very version; `NEVER` where there never was any."""

    content: bytes | None
    steps: tuple[bytes, ...]

    def pack(self) -> bytes:
        if self.content is None:
            head = bytes([_OWN])
        else:
            head = bytes([_KEPT]) + self.content if self.content else bytes([_ABSENT])
        return head + b"".join(self.steps)


def unpack_mark(packed: bytes) -> Mark:
    """Inverse of `Mark.pack`; ValueError when it is none."""
    kind = packed[0] if packed else None
    if kind == _OWN:
        content, at = None, 1
    elif kind == _ABSENT:
        content, at = NEVER, 1
    elif kind == _KEPT and len(packed) > VERSION_SIZE:
        content, at = packed[1 : 1 + VERSION_SIZE], 1 + VERSION_SIZE
    else:
        raise ValueError(f"no mark: {packed[:8]!r}")
    steps = packed[at:]
    if len(steps) % STEP_SIZE or len(steps) > STEPS * STEP_SIZE:
        raise ValueError(f"a mark has up to {STEPS} steps of {STEP_SIZE} bytes, not {len(steps)} bytes")
    return Mark(content, tuple(steps[i : i + STEP_SIZE] for i in range(0, len(steps), STEP_SIZE)))


def content_version(version: bytes, mark: bytes) -> bytes:
    """The version that clients see and conditions compare: an identity round does not change it."""
    if not mark:
        return version
    content = unpack_mark(mark).content
    return version if content is None else content


def round_version(ballot: bytes, point: PointId, vector: bytes | None, payload: bytes | None, mark: bytes) -> bytes:
    """The version of a row that a round writes under `ballot`."""
    return ballot + blake2b(content_digest(point, vector, payload) + mark, digest_size=DIGEST_SIZE).digest()
