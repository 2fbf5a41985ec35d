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
    from collections.abc import Callable, Iterable

    import trio

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.model.nodes import Liveness
    from vectron_p2p.model.statistics import OperationStatistics
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.replication.hlc import HybridClock

WATCHED = 100  # resolved alerts that subscribers are sent: some screens full; `GetAlerts` has all


class Alerting:
    """`peers`, `lag`, `operations` and `behind` are not asked before the node is put together."""

    def __init__(
        self,
        identity: Identity,
        catalog: Catalog,
        hlc: HybridClock,
        runtime: Runtime,
        *,
        peers: Callable[[], Peers],
        liveness: Callable[[NodeId], Liveness],
        wall_ms: Callable[[], int],
        lag: Callable[[], float],
        operations: Callable[[], Iterable[OperationStatistics]],
        behind: Callable[[], float],
        command: str | None,
        on_change: Callable[[], None],
        background: trio.Nursery,
    ) -> None:
        def state() -> ClusterState:
            return catalog.state

        me, clock = identity.node, runtime.clock
        board = Board(me, identity.boot, __version__)
        self.reports = AlertReports(board, state=state, wall_ms=wall_ms)
        self.exchange = AlertExchange(board, clock, runtime.random, peers=peers, background=background)
        sightings = Sightings(
            me,
            runtime,
            state=state,
            lag=lag,
            operations=operations,
            behind=behind,
            off_by_ms=hlc.off_by_ms,
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
            liveness=liveness,
            wall_ms=wall_ms,
            command=command,
            on_change=on_change,
            background=background,
        )
        self.handlers = AlertService(self.reports, catalog, liveness=liveness, wall_ms=wall_ms, me=me).handlers

    def active(self) -> int:
        """How many alerts there are."""
        return sum(alert.active for alert in self.reports.current())

    async def topic(self) -> dict[str, Any]:
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
