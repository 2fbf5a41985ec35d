"""What members say to each other.

Owns the words (`Incarnation`, `Update`) and the messages. How they look on the wire is in `wire`, what they mean in
`opinions` and `probing`.

Every `Ping` and `Ack` names the incarnation and address of the node it is about, so that each exchange is evidence of a
live member by itself: a restarted or moved node is known to whomever it pings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address, NodeId


class Incarnation(NamedTuple):
    """Which life of a node, and how often it refuted in it; ordered.

    `boot` is persisted and raised at each start, so that a restart outranks every rumour about an earlier life.
    """

    boot: int
    counter: int


UNHEARD = Incarnation(0, 0)
"""Of a member that the catalog names but nobody has spoken of; boots start at 1."""

RANK = {Liveness.ALIVE: 0, Liveness.SUSPECT: 1, Liveness.DEAD: 2}
LIVENESS = (Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD)

Word: TypeAlias = tuple[Incarnation, int]
"""(incarnation, rank): all that can be said of one node, in a total order. The higher word wins, everywhere."""


@dataclass(frozen=True, slots=True)
class Update:
    """`by` says that `node` is `liveness` in `incarnation`.

    Alive is said by the node itself; so is a clean stop (dead).
    """

    node: NodeId
    address: Address
    incarnation: Incarnation
    liveness: Liveness
    by: NodeId

    @property
    def word(self) -> Word:
        return self.incarnation, RANK[self.liveness]

    @property
    def left(self) -> bool:
        """It stopped by its own will."""
        return self.liveness is Liveness.DEAD and self.by == self.node


Updates: TypeAlias = tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you `target`, and there? `incarnation` and `address` are the sender's own."""

    sequence: int
    target: NodeId
    incarnation: Incarnation
    address: Address
    updates: Updates = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """`node` is there; `incarnation` and `address` are its own. A relay passes it on with the asker's `sequence`."""

    sequence: int
    node: NodeId
    incarnation: Incarnation
    address: Address
    updates: Updates = ()


@dataclass(frozen=True, slots=True)
class PingReq:
    """Ping `target` for me, and pass its ack on."""

    sequence: int
    target: NodeId
    updates: Updates = ()


@dataclass(frozen=True, slots=True)
class Nack:
    """The relay is there, but had no ack yet."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Gossip:
    """News, or an answer to somebody who spoke of what is long past."""

    updates: Updates


@dataclass(frozen=True, slots=True)
class PushPull:
    """The sender's whole table; asks for the receiver's."""

    updates: Updates


@dataclass(frozen=True, slots=True)
class PushPullReply:
    updates: Updates


Message: TypeAlias = Ping | Ack | PingReq | Nack | Gossip | PushPull | PushPullReply
