"""Alerts: the table of them, one in words, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render.table import Cell, Column, Row, Sort, Table, cell
from tui.render.text import Line, Tone, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.alerts import Alert, AlertRule, AlertsReport

_SEVERITY = {"critical": ("✕", Tone.BAD, 0.0), "warning": ("◐", Tone.WARN, 1.0), "info": ("·", Tone.ACCENT, 2.0)}
_STATE = {"firing": (Tone.BAD, 0.0), "acknowledged": (Tone.ACCENT, 1.0), "resolved": (Tone.MUTED, 2.0)}

COLUMNS = (
    Column("severity", "SEVERITY", most=12),
    Column("state", "STATE", priority=1, most=14, help="firing; acknowledged: somebody is at it; resolved"),
    Column("rule", "RULE", most=18),
    Column("name", "ABOUT", priority=1, most=24, help="the node, collection or cluster"),
    Column("since", "SINCE", priority=2, right=True, help="how long ago it began"),
    Column("lasted", "LASTED", priority=6, right=True),
    Column("cause", "CAUSE", priority=3, most=120, shrinks=True),
    Column("observers", "SEEN BY", priority=5, right=True, help="nodes that see it now"),
    Column("silenced", "SILENCED", priority=7, right=True, help="how long nothing is sent about it"),
    Column("id", "ID", priority=8, most=32),
)
DEFAULT_SORT = Sort("severity")


def severity(alert: Alert) -> Cell:
    sign, tone, rank = _SEVERITY.get(alert.severity, ("?", Tone.WARN, 3.0))
    if not alert.active:
        tone = Tone.MUTED
    # Active ones before those that are over, and of each the newest first.
    return Cell(line((f"{sign} {alert.severity}", tone)), (0.0 if alert.active else 10.0) + rank - alert.since * 1e-12)


def table(alerts: Iterable[Alert], now: float, *, history: bool) -> Table:
    """`now`: Unix seconds by the answering node. With `history` resolved ones too."""
    return Table(COLUMNS, tuple(_row(alert, now) for alert in alerts if alert.active or history))


def _row(alert: Alert, now: float) -> Row:
    tone, rank = _STATE.get(alert.state, (Tone.WARN, 3.0))
    since = max(0.0, now - alert.since)
    lasted = (alert.ended or now) - alert.since
    silenced = max(0.0, alert.silenced_until - now)
    return Row(
        alert.id,
        {
            "severity": severity(alert),
            "state": cell(alert.state, tone, sort=rank),
            "rule": cell(alert.rule, Tone.STRONG),
            "name": cell(alert.name, Tone.STRONG),
            "since": cell(fmt.age(since), sort=since),
            "lasted": cell(fmt.duration(max(0.0, lasted)), sort=max(0.0, lasted)),
            "cause": cell(alert.cause),
            "observers": cell(str(len(alert.observers)), Tone.MUTED, sort=float(len(alert.observers))),
            "silenced": cell(fmt.duration(silenced) if silenced else "", Tone.MUTED, sort=silenced),
            "id": cell(alert.id, Tone.MUTED),
        },
    )


def counts(alerts: Iterable[Alert]) -> Line:
    """How many of each state."""
    states = [alert.state for alert in alerts]
    words: list[str | tuple[str, Tone]] = []
    for state, (tone, _) in _STATE.items():
        number = states.count(state)
        words += [(f"{number}", tone if number else Tone.MUTED), f" {state}   "]
    return line(*words)


def worst(alerts: Iterable[Alert], most: int) -> list[Line]:
    """The gravest active ones, a line each."""
    active = sorted((alert for alert in alerts if alert.active), key=lambda alert: severity(alert).sort)
    lines = []
    for alert in active[:most]:
        sign, tone, _ = _SEVERITY.get(alert.severity, ("?", Tone.WARN, 3.0))
        seen = " (acknowledged)" if alert.state == "acknowledged" else ""
        lines.append(line((f"{sign} ", tone), (f"{alert.rule} {alert.name}", Tone.STRONG), f" {alert.cause}{seen}"))
    if len(active) > most:
        lines.append(line((f"… {fmt.plural(len(active) - most, 'more alert')}", Tone.MUTED)))
    return lines


RULE_COLUMNS = (
    Column("name", "RULE", most=18, help="*: the cluster has set it otherwise than it comes"),
    Column("enabled", "ON", priority=1),
    Column("severity", "SEVERITY", priority=1, most=12),
    Column("threshold", "THRESHOLD", priority=1, most=24),
    Column("for", "FOR", priority=2, right=True, help="how long it must hold before it is said"),
    Column("description", "FIRES WHEN", priority=3, most=80, shrinks=True),
)
RULE_SORT = Sort("name")


def rules(report: AlertsReport) -> Table:
    return Table(RULE_COLUMNS, tuple(_rule(rule) for rule in report.rules))


def _rule(rule: AlertRule) -> Row:
    sign, tone, rank = _SEVERITY.get(rule.severity, ("?", Tone.WARN, 3.0))
    threshold = f"{'<' if rule.below else '>'} {rule.threshold:g} {rule.unit}" if rule.unit else ""
    return Row(
        rule.name,
        {
            "name": cell(rule.name + "*" * rule.changed, Tone.STRONG if rule.enabled else Tone.MUTED),
            "enabled": cell("on" if rule.enabled else "off", Tone.OK if rule.enabled else Tone.MUTED),
            "severity": cell(f"{sign} {rule.severity}", tone, sort=rank),
            "threshold": cell(threshold),
            "for": cell(fmt.duration(rule.for_s) if rule.for_s else "at once", sort=rule.for_s),
            "description": cell(rule.description),
        },
    )


def settings(report: AlertsReport, now: float) -> list[Line]:
    """Silences and routes."""
    lines = [
        line(("silenced  ", Tone.MUTED), (each.target, Tone.STRONG), f" for {fmt.duration(max(0.0, each.until - now))}")
        for each in report.silences
    ]
    lines += [
        line(("sent to   ", Tone.MUTED), (each.name, Tone.STRONG), f" {each.url} from {each.severity} on")
        for each in report.routes
    ]
    nothing = "Nothing is silenced, and alerts are sent nowhere: vectron alerts route adds a webhook."
    return lines or [line((nothing, Tone.MUTED))]
