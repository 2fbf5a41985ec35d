"""The board between nodes: who knows something else tells so in each packet of membership, and the two exchange it.

At rest nothing is sent but the digest that rides along. Invariants: with one peer one exchange at a time, and at most
two a second, whatever its digests say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.alerts.wire import known_from_wire, known_to_wire, news_from_wire, news_to_wire
from vectron_p2p.model.errors import VectronError
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    import trio

    from vectron_p2p.alerts.board import Board
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

PAUSE = 0.5  # seconds between exchanges with one peer
TIMEOUT = 2.0  # an exchange is small; the next packet brings the next attempt
AT_ONCE = 4  # exchanges begun here under way: news of a wide failure come from all sides
PUSHED_TO = 2  # peers told of a change without waiting for their packets


class AlertExchange:
    """Of one node."""

    def __init__(
        self, board: Board, clock: Clock, rng: random.Random, peers: Peers, *, background: trio.Nursery
    ) -> None:
        self._board = board
        self._clock = clock
        self._random = rng
        self._peers = peers
        self._background = background
        self._under_way: set[NodeId] = set()
        self._not_before: dict[NodeId, float] = {}

    @property
    def digest(self) -> bytes:
        return self._board.digest

    def heard(self, peer: NodeId, digest: bytes) -> None:
        """A packet of `peer` came; b"" is from a version that knows no alerts."""
        if digest and digest != self._board.digest:
            self._begin(peer)

    def spread(self, live: Collection[NodeId]) -> None:
        """This node has news."""
        others = sorted(node for node in live if node != self._peers.me)
        for peer in self._random.sample(others, min(PUSHED_TO, len(others))):
            self._begin(peer)

    def _begin(self, peer: NodeId) -> None:
        now = self._clock.now()
        if peer in self._under_way or len(self._under_way) >= AT_ONCE or now < self._not_before.get(peer, 0.0):
            return
        self._not_before = {each: at for each, at in self._not_before.items() if at > now}
        self._not_before[peer] = now + PAUSE
        self._under_way.add(peer)
        self._background.start_soon(self._exchange, peer)

    async def _exchange(self, peer: NodeId) -> None:
        """Ask for what is new there; if it lacks something, send that."""
        board = self._board
        try:
            reply = await self._peers.call(peer, m.ExchangeAlerts(known_to_wire(board.known)), timeout=TIMEOUT)
            board.merge(news_from_wire(reply.news))
            if news := board.news(known_from_wire(reply.known)):
                message = m.ExchangeAlerts(known_to_wire(board.known), news_to_wire(news))
                await self._peers.call(peer, message, timeout=TIMEOUT)
        except VectronError as error:  # dead, or of another version: its next packet brings the next attempt
            log.debug("alerts_not_exchanged", peer=peer, error=str(error))
        finally:
            self._under_way.discard(peer)

    def answer(self, message: m.ExchangeAlerts) -> m.AlertsNews:
        """Raises InvalidArgument for what makes no sense."""
        theirs = known_from_wire(message.known)
        self._board.merge(news_from_wire(message.news))
        return m.AlertsNews(known_to_wire(self._board.known), news_to_wire(self._board.news(theirs)))
