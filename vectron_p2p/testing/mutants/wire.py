"""What goes over the wire."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "checksum_unseen",
        "wire",
        "nothing is decoded of bytes that changed on their way",
        (
            Edit("protocol.frames:FrameReader.next_frame", "if _checksum(body) != body_sum:", "if False:"),
            Edit("membership.wire:decode_packet", "!= data[:CHECKSUM_BYTES]:", "is None:"),
        ),
        scenario="corrupt",
        seeds=(1,),
        seconds=15.0,
    ),
)
