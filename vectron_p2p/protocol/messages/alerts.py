"""Alerts: the requests of clients, and what nodes tell each other. `report` is `asdict(model.alerts.AlertsReport)`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(200)
@dataclass(frozen=True, slots=True)
class GetAlerts:
    """-> AlertsReply, of what the node asked knows."""


@message(201)
@dataclass(frozen=True, slots=True)
class AlertsReply:
    report: dict[str, Any]


@message(202)
@dataclass(frozen=True, slots=True)
class SetAlertRule:
    """-> AlertsReply. None leaves as it is."""

    rule: str
    enabled: bool | None
    threshold: float | None
    for_s: float | None
    severity: str | None
    operation_id: str


@message(203)
@dataclass(frozen=True, slots=True)
class HandleAlert:
    """-> AlertsReply. `alert` is an id that the node asked knows; `action` "acknowledge" or "resolve"."""

    alert: str
    action: str
    operation_id: str


@message(204)
@dataclass(frozen=True, slots=True)
class SilenceAlerts:
    """-> AlertsReply. `target`: a rule, or name or id of a node or collection; `for_s` 0 ends its silence."""

    target: str
    for_s: float
    operation_id: str


@message(205)
@dataclass(frozen=True, slots=True)
class SetAlertRoute:
    """-> AlertsReply. `url` "" takes the route away."""

    name: str
    url: str
    severity: str
    operation_id: str


@message(206)
@dataclass(frozen=True, slots=True)
class ExchangeAlerts:
    """-> AlertsNews. From node to node: how much the sender knows (`alerts.wire`), and what the receiver lacks of it,
    as far as the sender knows; empty: nothing.
    """

    known: dict[str, Any]
    news: dict[str, Any] = field(default_factory=dict)


@message(207)
@dataclass(frozen=True, slots=True)
class AlertsNews:
    """What the receiver of `ExchangeAlerts` knows, after taking its news, and what the sender lacks."""

    known: dict[str, Any]
    news: dict[str, Any] = field(default_factory=dict)
