"""What both socket shells share about one connection: the greeting, and the words for losing it.

Sans-IO over `protocol.Connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.client.leases import FRESH_S, leased
from vectron_p2p.client.results import parse_addresses
from vectron_p2p.client.steps import LinkLost
from vectron_p2p.protocol.client_connection import ClientConnection
from vectron_p2p.protocol.events import Closed, Event, HandshakeDone
from vectron_p2p.protocol.messages import Hello, Welcome

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.model.ids import Address

READ_BYTES = 256 * 1024  # one frame at a time; less makes more calls for large replies, more only costs memory


class Link:
    """The sans-IO side of one connection to one node."""

    def __init__(self, address: Address, session: Session) -> None:
        self.address = address
        self.said = (session.generation, session.epoch)
        """The catalog epoch this connection was opened with."""
        self.connection = ClientConnection(Hello([], "client", session.cluster, None, 0, 0, *self.said))
        self._session = session
        self._greeted = 0.0
        self._ahead: float | None = None

    @property
    def current(self) -> bool:
        """Whether requests may go out, the node was told the highest epoch seen (it pulls the catalog before it says
        that it knows no such collection), and its clock is known.
        """
        return self.current_at(self._session.now())

    def current_at(self, now: float) -> bool:
        session = self._session
        return (
            self.connection.accepting
            and self.said >= (session.generation, session.epoch)
            and (self._ahead is None or now - self._greeted < FRESH_S)
        )

    def leased(self, message: Any) -> tuple[Any, float]:
        """`message` as it is to be sent now, and `LinkLost.until` should it be lost."""
        return leased(message, self._session.now(), self._ahead, self.connection.pending_bytes)

    def greeted(self, events: list[Event]) -> bool:
        """Whether the handshake is complete with these events.

        Raises:
            VectronError: The node refused it, or belongs to another cluster.
            LinkLost: The connection ended.
        """
        for event in events:
            if isinstance(event, HandshakeDone) and isinstance(event.peer, Welcome):
                peer = event.peer
                self._session.welcomed(self.address, peer.cluster, peer.generation, peer.epoch)
                self._session.learn(parse_addresses(peer.nodes))
                self._greeted = self._session.now()
                self._ahead = peer.now - self._greeted if peer.now else None
                # The node knows its own epoch: nothing more to tell it.
                self.said = max(self.said, (peer.generation, peer.epoch))
                return True
            if isinstance(event, Closed):
                raise self.closed(event, sent=False)
        return False

    def closed(self, event: Closed, *, sent: bool) -> Exception:
        """What a `Closed` means for whoever waits."""
        return event.error or self.lost(event.reason, sent=sent)

    def lost(self, reason: object, *, sent: bool) -> LinkLost:
        return LinkLost(f"{self.address}: {reason}", sent=sent)
