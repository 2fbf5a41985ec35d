"""The requests of clients about alerts. Looking needs no quorum; every change is an entry of the catalog."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog import commands
from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.alerts import (
    MAX_FOR_S,
    MAX_SILENCE_S,
    RULES,
    check_number,
    check_rule,
    check_severity,
    check_url,
)
from vectron_p2p.model.collections import check_name
from vectron_p2p.model.errors import InvalidArgument, NotFound, Unavailable
from vectron_p2p.model.ids import CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.node.alert_reports import AlertReports
    from vectron_p2p.node.catalog import Catalog

KEPT_OF_TIMEOUT = 0.5  # of a change's time, for the word on why it was not decided
MAX_OPERATION = 64  # as for every change of the catalog


class AlertService:
    """`handlers` answer messages within a timeout."""

    def __init__(
        self,
        reports: AlertReports,
        catalog: Catalog,
        *,
        liveness: Callable[[NodeId], Liveness],
        wall_ms: Callable[[], int],
        me: NodeId,
    ) -> None:
        self._reports = reports
        self._catalog = catalog
        self._liveness = liveness
        self._wall_ms = wall_ms
        self._me = me
        self.handlers: dict[type, Callable[[Any, float], Awaitable[m.AlertsReply]]] = {
            m.GetAlerts: self._get,
            m.SetAlertRule: self._set_rule,
            m.HandleAlert: self._handle,
            m.SilenceAlerts: self._silence,
            m.SetAlertRoute: self._set_route,
        }

    def _reply(self) -> m.AlertsReply:
        return m.AlertsReply(dataclasses.asdict(self._reports.report()))

    async def _get(self, message: m.GetAlerts, timeout: float) -> m.AlertsReply:
        return self._reply()

    async def _set_rule(self, message: m.SetAlertRule, timeout: float) -> m.AlertsReply:
        check_rule(message.rule)
        rule = self._catalog.state.alerts.rule(message.rule)
        threshold = rule.threshold if message.threshold is None else message.threshold
        for_s = rule.for_s if message.for_s is None else message.for_s
        if rule.unit:
            check_number(threshold, rule.low, rule.high, field="threshold")
        return await self._change(
            commands.SetAlertRule(
                _operation(message.operation_id),
                rule.name,
                rule.enabled if message.enabled is None else message.enabled,
                float(threshold),
                check_number(for_s, 0.0, MAX_FOR_S, field="for_s"),
                check_severity(rule.severity if message.severity is None else message.severity),
            ),
            timeout,
        )

    async def _handle(self, message: m.HandleAlert, timeout: float) -> m.AlertsReply:
        if message.action not in ("acknowledge", "resolve"):
            raise InvalidArgument("action is acknowledge or resolve", field="action")
        operation, report = _operation(message.operation_id), self._reports.report()
        done = self._catalog.state.result(operation)  # a second attempt: resolved meanwhile, it is active no more
        alert = next((each for each in report.active if each.id == message.alert), None)
        if alert is None and done is None:
            raise NotFound(f"no alert {message.alert!r:.40} is active; `vectron alerts` lists them", field="alert")
        if alert is None:
            return self._reply()
        onset_ms = round(alert.since * 1000)
        return await self._change(
            commands.HandleAlert(operation, alert.rule, alert.subject, onset_ms, message.action, self._wall_ms()),
            timeout,
        )

    async def _silence(self, message: m.SilenceAlerts, timeout: float) -> m.AlertsReply:
        seconds = check_number(message.for_s, 0.0, MAX_SILENCE_S, field="for_s")
        now = self._wall_ms()
        return await self._change(
            commands.SilenceAlerts(
                _operation(message.operation_id), self._target(message.target), now + round(seconds * 1000), now
            ),
            timeout,
        )

    async def _set_route(self, message: m.SetAlertRoute, timeout: float) -> m.AlertsReply:
        url = check_url(message.url) if message.url else ""
        return await self._change(
            commands.SetAlertRoute(
                _operation(message.operation_id), check_name(message.name), url, check_severity(message.severity)
            ),
            timeout,
        )

    def _target(self, target: str) -> str:
        """A rule, "catalog" or "cluster", or the id of a node or collection that is given by name or id."""
        state = self._catalog.state
        if target in RULES or target in ("catalog", "cluster") or target in state.alerts.silences:
            return target
        if NodeId(target) in state.members or CollectionId(target) in state.collections:
            return target
        named = [node for node in state.current() if state.members[node].name == target]
        collection = state.collection(target)
        if named and collection is not None:
            raise InvalidArgument(f"{target!r} is a node and a collection: give the id", field="target")
        if not named and collection is None:
            raise NotFound(f"{target!r:.140} is no rule, node or collection", field="target")
        return named[0] if named else collection.id if collection is not None else target

    async def _change(self, command: commands.Command, timeout: float) -> m.AlertsReply:
        """Says at once that nothing can be agreed on, rather than after the whole timeout."""
        voters = self._catalog.state.voters
        alive = sum(voter == self._me or self._liveness(voter) is not Liveness.DEAD for voter in voters)
        if alive < majority(self._catalog.state):
            raise Unavailable(
                f"{alive} of {len(voters)} voters are alive: rules, acknowledgements, silences and routes are changes "
                "of the catalog, which are not possible now; alerts themselves are shown all the same. Retry when more "
                "nodes are back"
            )
        await self._catalog.propose(command, timeout=max(timeout - KEPT_OF_TIMEOUT, timeout / 2))
        return self._reply()


def _operation(operation_id: str) -> OperationId:
    if not 0 < len(operation_id) <= MAX_OPERATION:
        raise InvalidArgument(f"operation_id has 1 to {MAX_OPERATION} characters", field="operation_id")
    return OperationId(operation_id)
