"""Alerts of a node, each second: look, claim, follow what others claim, tell the outside what is this node's to tell.

The board (`vectron_p2p.alerts`) decides; this drives it. What dies with this process is told again by others: claims
stop counting, and words that were sent and not noted yet are sent once more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vectron_p2p.alerts.delivery import Delivery, Word, next_number
from vectron_p2p.model.alerts import SEVERITIES, Alert
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.net.outlet import NotDelivered
from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import trio

    from vectron_p2p.alerts.board import Board
    from vectron_p2p.alerts.watch import Watch
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.alert_reports import AlertReports
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.alert_exchange import AlertExchange
    from vectron_p2p.node.services.sightings import Sightings

log = get_logger(__name__)

LOOK_S = 1.0
COMMAND_ROUTE = "command:"  # then the node's id: its own program, which no other node can run


class Alerts:
    """`on_change` is told when an alert is new, over, or dealt with otherwise.

    `command`: a program of this machine that is handed each alert. It is no matter of the catalog: whoever may
    change that could have all machines run anything.
    """

    def __init__(
        self,
        me: NodeId,
        board: Board,
        watch: Watch,
        exchange: AlertExchange,
        sightings: Sightings,
        reports: AlertReports,
        runtime: Runtime,
        *,
        state: Callable[[], ClusterState],
        liveness: Callable[[NodeId], Liveness],
        wall_ms: Callable[[], int],
        command: str | None,
        on_change: Callable[[], None],
        background: trio.Nursery,
    ) -> None:
        self._me = me
        self._board = board
        self._watch = watch
        self._exchange = exchange
        self._sightings = sightings
        self._reports = reports
        self._runtime = runtime
        self._state = state
        self._liveness = liveness
        self._wall_ms = wall_ms
        self._command = command
        self._on_change = on_change
        self._background = background
        self._delivery = Delivery(me, runtime.random)
        self._logged: dict[str, Alert] = {}
        self._shown: list[tuple[str, str, float]] = []

    async def run(self) -> None:
        while True:
            await self.run_once()
            await self._runtime.clock.sleep(LOOK_S)

    async def run_once(self) -> None:
        members = self._state().current()
        live = [node for node in members if node == self._me or self._liveness(node) is not Liveness.DEAD]
        seen = await self._sightings.look(live)
        now, wall = self._runtime.clock.now(), self._wall_ms()
        standing = self._watch.look(seen, now, wall)
        if self._board.tick(standing, live, members, now, wall):
            self._exchange.spread(live)
        current = self._reports.current()
        self._log({alert.id: alert for alert in current if alert.active})
        shown = [(alert.id, alert.state, alert.silenced_until) for alert in current]
        if shown != self._shown:
            self._shown = shown
            self._on_change()
        for word in self._delivery.due(self._wanted(current), live, now):
            self._background.start_soon(self._say, word)

    def _log(self, alerts: dict[str, Alert]) -> None:
        for alert in alerts.values():
            if alert.id not in self._logged:
                log.warning("alert", id=alert.id, rule=alert.rule, subject=alert.name, cause=alert.cause)
        for alert in self._logged.values():
            if alert.id not in alerts:
                log.info("alert_over", id=alert.id, rule=alert.rule, subject=alert.name)
        self._logged = alerts

    # --- the outside --------------------------------------------------------------------------------------------------

    def _routes(self) -> dict[str, tuple[str, str]]:
        """URL and least severity by name."""
        own = {f"{COMMAND_ROUTE}{self._me}": ("", SEVERITIES[0])} if self._command else {}
        return {**self._state().alerts.routes, **own}

    def _wanted(self, current: list[Alert]) -> Iterator[Word]:
        """What the outside does not know yet, whoever is to tell it."""
        if not self._routes():
            return
        by_cause = {(alert.rule, alert.subject): alert for alert in current if alert.active}
        over = {cause for cause, _ in self._board.history} | {(alert.rule, alert.subject) for alert in current}
        for route, (_, least) in sorted(self._routes().items()):
            for cause in sorted(by_cause.keys() | over):
                alert, told = by_cause.get(cause), self._board.told(route, cause)
                if alert is not None and not told % 2:
                    quiet = alert.silenced_until or alert.state != "firing"
                    if quiet or SEVERITIES.index(alert.severity) < SEVERITIES.index(least):
                        continue
                number = next_number(told, firing=alert is not None)
                if number > told:
                    yield Word(route, cause, number)

    async def _say(self, word: Word) -> None:
        done = False
        try:
            alert = self._reports.latest(word.cause)
            if alert is not None:
                url, _ = self._routes()[word.route]
                await self._runtime.executor.run("notify", self._send, url, alert, word)
            done = True
            self._board.tell(word.route, word.cause, word.number)
            log.info("alert_told", route=word.route, cause=word.cause, number=word.number)
        except (NotDelivered, KeyError) as error:  # no such route any more: nothing is wanted along it
            log.warning("alert_not_told", route=word.route, cause=word.cause, error=str(error))
        finally:
            self._delivery.ended(word, done=done, now=self._runtime.clock.now())

    def _send(self, url: str, alert: Alert, word: Word) -> None:
        outlet, body = self._runtime.outlet, self._body(alert, word)
        if self._command and word.route == f"{COMMAND_ROUTE}{self._me}":
            outlet.run(self._command, body)
        else:
            # Equal for equal words: a receiver can tell what it had before.
            outlet.post(url, body, {"Idempotency-Key": f"{word.route}-{alert.id}-{word.number}"})

    def _body(self, alert: Alert, word: Word) -> bytes:
        return json.dumps(
            {
                "cluster": self._state().cluster,
                "status": "firing" if word.firing else "resolved",
                "id": alert.id,
                "rule": alert.rule,
                "severity": alert.severity,
                "subject": alert.subject,
                "name": alert.name,
                "cause": alert.cause,
                "since": alert.since,
                "ended": alert.ended,
            }
        ).encode()
