"""The calls about alerts, of both clients: their bases."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vectron_p2p.client import alerting

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow
    from vectron_p2p.model.alerts import AlertsReport

T = TypeVar("T")


class AlertCalls:
    """Of `Client`."""

    session: Session

    def run(self, flow: Flow[T]) -> T:
        """Drives a flow to its result."""
        raise NotImplementedError

    def alerts(self) -> AlertsReport:
        """Alerts that are active and of the last day, rules, silences and routes, as the answering node knows them.

        Nodes that can reach each other know the same within seconds, also when the catalog has no quorum.
        """
        return self.run(alerting.alerts(self.session))

    def acknowledge_alert(self, alert: str) -> AlertsReport:
        """Says that somebody is at it: it stays in the list and is sent nowhere any more until it is resolved.

        Raises:
            NotFound: No alert with that id is active.
            Unavailable: Too few voters are alive to agree on it.
        """
        return self.run(alerting.handle(self.session, alert, "acknowledge"))

    def resolve_alert(self, alert: str) -> AlertsReport:
        """Closes an alert by hand, also while its cause lasts: it fires again when the cause ends and comes back.

        Raises:
            NotFound: No alert with that id is active.
            Unavailable: Too few voters are alive to agree on it.
        """
        return self.run(alerting.handle(self.session, alert, "resolve"))

    def silence_alerts(self, target: str, for_s: float) -> AlertsReport:
        """Alerts of a rule, or about a node or collection, are sent nowhere for a time; they are shown all the same.

        Args:
            target: A rule's name, or name or id of a node or collection.
            for_s: Seconds, at most 30 days; 0 ends a silence.
        """
        return self.run(alerting.silence(self.session, target, for_s))

    def set_alert_rule(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        threshold: float | None = None,
        for_s: float | None = None,
        severity: str | None = None,
    ) -> AlertsReport:
        """Changes a rule; what is None stays as it is.

        Args:
            name: Of the rule.
            enabled: Whether it is looked at.
            threshold: In the rule's unit, within its bounds.
            for_s: Seconds that the condition has to last before it fires.
            severity: "info", "warning" or "critical".
        """
        return self.run(
            alerting.set_rule(self.session, name, enabled=enabled, threshold=threshold, for_s=for_s, severity=severity)
        )

    def set_alert_route(self, name: str, url: str, *, severity: str = "warning") -> AlertsReport:
        """Has alerts of a severity or worse posted to a URL, as JSON, each when it fires and when it is resolved. One
        node sends each, and others if it cannot.

        Args:
            name: Of the route; one that there is already is replaced.
            url: http or https.
            severity: "info", "warning" or "critical".
        """
        return self.run(alerting.set_route(self.session, name, url, severity))

    def remove_alert_route(self, name: str) -> AlertsReport:
        """Takes a route away."""
        return self.run(alerting.set_route(self.session, name, None, "warning"))


class AsyncAlertCalls:
    """Of `AsyncClient`."""

    session: Session

    async def run(self, flow: Flow[T]) -> T:
        """As `AlertCalls.run`."""
        raise NotImplementedError

    async def alerts(self) -> AlertsReport:
        """As `Client.alerts`."""
        return await self.run(alerting.alerts(self.session))

    async def acknowledge_alert(self, alert: str) -> AlertsReport:
        """As `Client.acknowledge_alert`."""
        return await self.run(alerting.handle(self.session, alert, "acknowledge"))

    async def resolve_alert(self, alert: str) -> AlertsReport:
        """As `Client.resolve_alert`."""
        return await self.run(alerting.handle(self.session, alert, "resolve"))

    async def silence_alerts(self, target: str, for_s: float) -> AlertsReport:
        """As `Client.silence_alerts`."""
        return await self.run(alerting.silence(self.session, target, for_s))

    async def set_alert_rule(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        threshold: float | None = None,
        for_s: float | None = None,
        severity: str | None = None,
    ) -> AlertsReport:
        """As `Client.set_alert_rule`."""
        return await self.run(
            alerting.set_rule(self.session, name, enabled=enabled, threshold=threshold, for_s=for_s, severity=severity)
        )

    async def set_alert_route(self, name: str, url: str, *, severity: str = "warning") -> AlertsReport:
        """As `Client.set_alert_route`."""
        return await self.run(alerting.set_route(self.session, name, url, severity))

    async def remove_alert_route(self, name: str) -> AlertsReport:
        """As `Client.remove_alert_route`."""
        return await self.run(alerting.set_route(self.session, name, None, "warning"))
