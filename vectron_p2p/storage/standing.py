"""What a shard store has, read from its disk: how many batches it took, its promises, the sums of its rows.

Owns the record of the batches; it lies outside of the rows' keys.

    m sequence    the batches written so far, raised in each batch: a store that is behind what it acknowledged (cut
                  files, an old copy put back) shows by it

A store reads these when it is opened, and again after a failed write, to see whether it still has what it acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.replication.ballots import BALLOT_SIZE
from vectron_p2p.replication.merkle import MerkleTree
from vectron_p2p.replication.version import VERSION_SIZE
from vectron_p2p.storage.kv import Corrupt
from vectron_p2p.storage.retention import ID_AT, LIVE, VERSION, VERSION_END

if TYPE_CHECKING:
    from vectron_p2p.storage.kv import Reader

SEQUENCE = b"m sequence"
PROMISE, PROMISE_END = b"p", b"q"


def read_sequence(kv: Reader) -> int:
    """Raises Corrupt when the record makes no sense."""
    stored = kv.get(SEQUENCE)
    if stored is not None and len(stored) != 8:
        raise Corrupt(f"record of the batches written of {len(stored)} bytes")
    return 0 if stored is None else int.from_bytes(stored, "big")


def sequence_put(sequence: int) -> tuple[bytes, bytes | None]:
    return SEQUENCE, sequence.to_bytes(8, "big")


def promised(kv: Reader) -> dict[bytes, bytes]:
    """The promises given, by id key."""
    found: dict[bytes, bytes] = {}
    for key, ballot in kv.iterate(PROMISE, PROMISE_END):
        if len(ballot) != BALLOT_SIZE:
            raise Corrupt(f"promise of {len(ballot)} bytes")
        found[key[1:]] = ballot
    return found


def summed(kv: Reader) -> tuple[MerkleTree, int, int]:
    """Merkle sums, live rows and tombstones, from the version entries."""
    merkle, live, dead = MerkleTree(), 0, 0
    for key, entry in kv.iterate(VERSION, VERSION_END):
        if len(entry) != VERSION_SIZE + 1:
            raise Corrupt(f"version entry of {len(entry)} bytes")
        merkle.add(key[ID_AT:], entry[:VERSION_SIZE])
        if entry[VERSION_SIZE:] == LIVE:
            live += 1
        else:
            dead += 1
    return merkle, live, dead
