"""The parts of a node that are about alerts, put together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vectron_p2p import __version__
from vectron_p2p.alerts.board import Board
from vectron_p2p.alerts.watch import Watch
from vectron_p2p.node.alert_reports import AlertReports
from vectron_p2p.node.alert_service import AlertService
from vectron_p2p.node.services.alert_exchange import AlertExchange
from vectron_p2p.node.services.alerts import Alerts
from vectron_p2p.node.services.sightings import Sightings
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    import trio

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.gossip import Gossip
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.insight import Insight
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.anti_entropy import AntiEntropy
    from vectron_p2p.node.stamps import Stamps

WATCHED = 100  # resolved alerts that subscribers are sent: some screens full; `GetAlerts` has all


class Alerting:
    """Of one node. `command`: a program of this machine that is handed each alert."""

    def __init__(
        self,
        identity: Identity,
        catalog: Catalog,
        peers: Peers,
        gossip: Gossip,
        stamps: Stamps,
        repair: AntiEntropy,
        insight: Insight,
        runtime: Runtime,
        *,
        command: str | None,
        background: trio.Nursery,
    ) -> None:
        def state() -> ClusterState:
            return catalog.state

        me, measuring, wall_ms = identity.node, insight.measuring, stamps.wall_ms
        board = Board(me, identity.boot, __version__)
        self.reports = AlertReports(board, state=state, wall_ms=wall_ms)
        self.exchange = AlertExchange(board, runtime.clock, runtime.random, peers, background=background)
        sightings = Sightings(
            me,
            runtime,
            state=state,
            lag=lambda: measuring.health.quantiles(0.99)[0],
            operations=measuring.last_minute,
            behind=lambda: repair.behind(peers),
            off_by_ms=stamps.off_by_ms,
            software=board.software,
        )
        self._alerts = Alerts(
            me,
            board,
            Watch(),
            self.exchange,
            sightings,
            self.reports,
            runtime,
            state=state,
            liveness=gossip.liveness,
            wall_ms=wall_ms,
            command=command,
            on_change=lambda: insight.watching.changed("alerts"),
            background=background,
        )
        service = AlertService(self.reports, catalog, liveness=gossip.liveness, wall_ms=wall_ms, me=me)
        self.handlers = service.handlers
        insight.topics.add("alerts", self._topic)

    def active(self) -> int:
        """How many alerts there are."""
        return sum(alert.active for alert in self.reports.current())

    async def _topic(self) -> dict[str, Any]:
        """For subscriptions: alerts by id, with the newest that are resolved."""
        report = self.reports.report()
        return {each.id: dataclasses.asdict(each) for each in (*report.active, *report.history[:WATCHED])}

    def handles(self, message: object) -> bool:
        """Whether a peer's `message` is for `handle`."""
        return isinstance(message, m.ExchangeAlerts)

    async def handle(self, message: m.ExchangeAlerts) -> m.AlertsNews:
        return self.exchange.answer(message)

    async def run(self) -> None:
        await self._alerts.run()
