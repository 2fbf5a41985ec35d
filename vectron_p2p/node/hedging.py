"""When another owner is asked too, because the first is late ("The Tail at Scale", Dean and Barroso 2013).

Late is who takes longer than its round trips promise, within bounds. A hedge costs a token of the budget; when there is
none, the owner is pinged: one that answers is busy, and asking others would only make them so too; one that does not is
stopped or cut off, and is replaced at no cost, as if its call had failed. The one whose answer comes too late is
cancelled, by whoever asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.traffic import HedgeFigures
from vectron_p2p.traffic.hedge_budget import HedgeBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.runtime import Clock


class Hedging:
    """Of all searches and reads that this node coordinates."""

    def __init__(self, peers: Peers, clock: Clock, limits: Limits) -> None:
        self._peers = peers
        self._clock = clock
        self._limits = limits
        self._budget = HedgeBudget()

    def requested(self) -> None:
        """A request was sent that is no hedge."""
        self._budget.requested()

    def won(self) -> None:
        """The answer to a hedge came before that of the owner that was late."""
        self._budget.won += 1

    def delay(self, node: NodeId, kind: str) -> float:
        """Seconds after which an answer of `node` is late."""
        known = self._peers.timeout(node, kind)
        if not known:
            return self._limits.hedge_after
        return min(max(known, self._limits.hedge_least), self._limits.hedge_most)

    async def late(self, node: NodeId, kind: str, others: Callable[[], bool]) -> bool:
        """Waits until `node` is late and another is to be asked. False: there are no `others`."""
        pause, denied = self.delay(node, kind), False
        while True:
            await self._clock.sleep(pause)
            self._peers.late(node)
            if not others():
                return False
            if self._budget.take():
                return True
            if not denied:
                denied = True
                self._budget.denied += 1
            if await self._peers.silent(node):
                return others()
            pause *= 2

    def figures(self) -> HedgeFigures:
        budget = self._budget
        return HedgeFigures(budget.requests, budget.sent, budget.won, budget.denied)
