"""Who answers right now: SWIM with Lifeguard, as pure state machines.

Owns liveness, this node's own and ephemeral opinion of its peers. It never says who belongs to the cluster: the catalog
does, and hands the members in (`Swim.set_members`). A death changes routing, never ownership.

`swim` says how a driver uses it; `members` and `opinions` hold the one rule by which all nodes come to agree.
"""

from __future__ import annotations

from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.membership.effects import Effect, MemberChanged, Refuted, SendPacket, SendStream
from vectron_p2p.membership.members import MemberSeed, MemberView
from vectron_p2p.membership.messages import Incarnation, Update
from vectron_p2p.membership.swim import Swim
from vectron_p2p.membership.wire import BadPacket, Envelope, decode_packet, encode_packet

__all__ = [
    "BadPacket",
    "Effect",
    "Envelope",
    "Incarnation",
    "MemberChanged",
    "MemberSeed",
    "MemberView",
    "Refuted",
    "SendPacket",
    "SendStream",
    "Swim",
    "SwimConfig",
    "Update",
    "decode_packet",
    "encode_packet",
]
