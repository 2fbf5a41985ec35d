"""What a shard store says of itself, in its own LevelDB: how many batches it took, and whether it has forgotten any.

Owns the two records and their form. They lie outside of the rows' keys.

    m sequence    the batches written so far, raised in each batch: a store that is behind what it acknowledged (cut
                  files, an old copy put back) shows by it
    m learner     why rows may be missing here, and the stamp up to which this replica takes none (PROTOCOLS §5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgpack

from vectron_p2p.storage.kv import Corrupt

if TYPE_CHECKING:
    from vectron_p2p.storage.kv import Reader

SEQUENCE = b"m sequence"
LEARNER = b"m learner"


class Standing(NamedTuple):
    """`learner`: why the replica may have forgotten rows; "" when it has not, or has them again. The stamp stays: what
    this replica had promised up to it is gone for good."""

    sequence: int = 0
    learner: str = ""
    refuse_below: int = 0


def read_standing(kv: Reader) -> Standing:
    """Raises Corrupt when a record makes no sense."""
    sequence, learner = kv.get(SEQUENCE), kv.get(LEARNER)
    try:
        reason, stamp = ("", 0) if learner is None else msgpack.unpackb(learner)
    except ValueError as error:
        raise Corrupt("the record of what a replica has forgotten makes no sense") from error
    return Standing(0 if sequence is None else int.from_bytes(sequence, "big"), str(reason), int(stamp))


def sequence_put(sequence: int) -> tuple[bytes, bytes | None]:
    return SEQUENCE, sequence.to_bytes(8, "big")


def learner_put(reason: str, stamp: int) -> tuple[bytes, bytes | None]:
    return LEARNER, msgpack.packb([reason, stamp])
