"""The flows about alerts. Looking asks one node, which knows what all know; changes are entries of the catalog.

Sans-IO like `flows`. A change is sent under one operation id, however often; each returns the alerts as the node that
made it sees them afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.client import results
from vectron_p2p.client.flows import ask
from vectron_p2p.client.operations import cluster
from vectron_p2p.model.alerts import MAX_FOR_S, MAX_SILENCE_S, check_number, check_rule, check_severity, check_url
from vectron_p2p.model.collections import check_name
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow
    from vectron_p2p.model.alerts import AlertsReport


def alerts(session: Session) -> Flow[AlertsReport]:
    reply = yield from ask(session, messages.GetAlerts(), messages.AlertsReply)
    return results.alerts_report(reply.report)


def handle(session: Session, alert: object, action: str) -> Flow[AlertsReport]:
    """`action` "acknowledge" or "resolve"."""
    return _change(session, messages.HandleAlert(_text(alert, "alert"), action, session.operation_id()))


def silence(session: Session, target: object, for_s: object) -> Flow[AlertsReport]:
    """0 seconds ends a silence."""
    seconds = check_number(for_s, 0.0, MAX_SILENCE_S, field="for_s")
    return _change(session, messages.SilenceAlerts(_text(target, "target"), seconds, session.operation_id()))


def set_rule(
    session: Session,
    name: object,
    *,
    enabled: bool | None,
    threshold: float | None,
    for_s: float | None,
    severity: str | None,
) -> Flow[AlertsReport]:
    """None leaves as it is."""
    rule = check_rule(name)
    if threshold is not None:
        if not rule.unit:
            raise InvalidArgument(f"rule {rule.name} has no threshold", field="threshold")
        threshold = check_number(threshold, rule.low, rule.high, field="threshold")
    if for_s is not None:
        for_s = check_number(for_s, 0.0, MAX_FOR_S, field="for_s")
    if severity is not None:
        check_severity(severity)
    return _change(
        session, messages.SetAlertRule(rule.name, enabled, threshold, for_s, severity, session.operation_id())
    )


def set_route(session: Session, name: object, url: object, severity: object) -> Flow[AlertsReport]:
    """`url` None takes it away."""
    address = "" if url is None else check_url(url)
    return _change(
        session,
        messages.SetAlertRoute(check_name(name), address, check_severity(severity), session.operation_id()),
    )


def _change(session: Session, request: Any) -> Flow[AlertsReport]:
    """Makes it, and learns the epoch that knows of it: whichever node is asked next shows it."""
    reply = yield from ask(session, request, messages.AlertsReply)
    yield from cluster(session, shards=False)
    return results.alerts_report(reply.report)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{field} is a str", field=field)
    return value
