"""What the core asks its driver to do, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.membership.messages import Incarnation, Message
    from vectron_p2p.model.ids import Address, NodeId
    from vectron_p2p.model.nodes import Liveness


@dataclass(frozen=True, slots=True)
class SendPacket:
    """One UDP packet; may be lost."""

    address: Address
    node: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class SendStream:
    """One message over TCP; must not hold up what follows. A refused connection goes to `Swim.stream_refused`."""

    node: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """This node thinks differently of a member, or knows it at another address.

    `before` None: it was added; `after` None: it was removed; both equal: only `address` changed.
    """

    node: NodeId
    before: Liveness | None
    after: Liveness | None
    address: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Refuted:
    """Others took this node for `accused` (said `by`); it answered with a higher incarnation."""

    incarnation: Incarnation
    accused: Liveness
    by: NodeId


Effect: TypeAlias = SendPacket | SendStream | MemberChanged | Refuted
