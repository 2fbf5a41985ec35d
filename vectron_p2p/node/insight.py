"""What a node knows of itself and its cluster for those who look at it, put together: measuring, statistics,
subscriptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.node.statistics import Statistics
from vectron_p2p.node.topics import Topics
from vectron_p2p.node.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.node.measuring import Measuring
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.reports import Reports
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.upkeep import Upkeep


class Insight:
    """Of one node."""

    def __init__(self, measuring: Measuring, peers: Peers, upkeep: Upkeep, reports: Reports, runtime: Runtime) -> None:
        catalog = upkeep.catalog
        self.measuring = measuring
        self.statistics = Statistics(
            measuring, peers, runtime.clock, catalog, reports.liveness, upkeep.repair, upkeep.moves
        )
        self.topics = Topics(runtime.clock, catalog, self.statistics, reports)
        self.watching = Watching(
            peers.me,
            runtime,
            self.topics.read,
            topics=lambda: self.topics.names,
            epoch=lambda: catalog.state.epoch,
        )
        self.handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {
            **self.statistics.handlers,
            **self.watching.handlers,
        }
        """Requests of clients."""

    def handles(self, message: object) -> bool:
        """Whether a peer's `message` is for `handle`."""
        return self.statistics.handles(message)

    async def handle(self, message: Any) -> Any:
        return await self.statistics.handle(message)

    def members_changed(self) -> None:
        """Somebody came, left, died or came back."""
        self.watching.changed("cluster", "statistics")

    def catalog_changed(self) -> None:
        """The catalog has a new entry."""
        self.watching.changed("cluster", "collections", "totals", "shards", "moves")
