"""Figures of what this node's calls and requests came to, from those who count them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.traffic import TrafficFigures

if TYPE_CHECKING:
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.limiter import Limiter
    from vectron_p2p.node.peers import Peers


class Traffic:
    """Since the node's start."""

    def __init__(self, peers: Peers, hedging: Hedging, limiter: Limiter) -> None:
        self._peers = peers
        self._hedging = hedging
        self._limiter = limiter

    def figures(self) -> TrafficFigures:
        return TrafficFigures(self._peers.figures(), self._hedging.figures(), self._limiter.figures())
