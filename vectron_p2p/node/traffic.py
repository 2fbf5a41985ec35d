"""What keeps a node from asking, and being asked, too much: hedges, limits, and the figures of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.traffic import TrafficFigures
from vectron_p2p.node.hedging import Hedging
from vectron_p2p.node.limiter import Limiter

if TYPE_CHECKING:
    from vectron_p2p.node.config import Limits, NodeConfig
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.runtime import Clock


class Traffic:
    """Of one node, since its start."""

    def __init__(self, config: NodeConfig, limits: Limits, peers: Peers, clock: Clock) -> None:
        self._peers = peers
        self.hedging = Hedging(peers, clock, limits)
        self.limiter = Limiter(config, clock)

    def figures(self) -> TrafficFigures:
        peers = self._peers.figures()
        return TrafficFigures(
            peers,
            self.hedging.figures(),
            self.limiter.figures(),
            peer_count=len(peers),
            open_breakers=sum(each.breaker != "closed" for each in peers),
        )
