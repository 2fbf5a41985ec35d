"""`vectron alerts`: what is wrong, what was, and what is to be done about it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options
from vectron_p2p.model.alerts import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.alerts import Alert, AlertsReport

UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only in new releases of click
    """Seconds, or a number with s, m, h or d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; give something like 90s, 15m, 8h or 2d", param, ctx)
        return float(found[1]) * UNITS[found[2] or "s"]


@click.group(invoke_without_command=True)
@client_options
@click.pass_context
def alerts(ctx: click.Context, connect: str, as_json: bool) -> None:
    """Active alerts: the same at every node, with or without a catalog quorum. Without a command: `list`."""
    if ctx.invoked_subcommand is None:
        _list(connect, as_json)


@alerts.command("list")
@client_options
def list_command(connect: str, as_json: bool) -> None:
    """Alerts that are active."""
    _list(connect, as_json)


def _list(connect: str, as_json: bool) -> None:
    with client(connect) as db:
        report = db.alerts()
    if as_json:
        output.document(report.active)
        return
    _table(report.active)
    if not report.active:
        output.text("no active alerts")


@alerts.command()
@client_options
def history(connect: str, as_json: bool) -> None:
    """Alerts of the last day that are resolved, the newest first."""
    with client(connect) as db:
        report = db.alerts()
    if as_json:
        output.document(report.history)
        return
    _table(report.history)
    if not report.history:
        output.text("no alert was resolved in the last day")


@alerts.command()
@click.argument("alert", metavar="ID")
@client_options
def ack(alert: str, connect: str, as_json: bool) -> None:
    """Say that somebody is at it: it is sent nowhere any more."""
    with client(connect) as db:
        _changed(db.acknowledge_alert(alert), f"{alert} is acknowledged", as_json)


@alerts.command()
@click.argument("alert", metavar="ID")
@client_options
def resolve(alert: str, connect: str, as_json: bool) -> None:
    """Close an alert by hand. Alerts whose cause ends are resolved by themselves."""
    with client(connect) as db:
        _changed(db.resolve_alert(alert), f"{alert} is resolved", as_json)


@alerts.command()
@click.argument("target", metavar="RULE|SUBJECT")
@click.option("--for", "for_s", type=Duration(), default="1h", show_default=True, help="How long; 0 ends a silence.")
@client_options
def silence(target: str, for_s: float, connect: str, as_json: bool) -> None:
    """Send no alerts of a rule, or about a node or collection, for a time. They are shown all the same."""
    with client(connect) as db:
        said = f"{target} is silenced for {for_s:g} s" if for_s else f"{target} is silenced no more"
        _changed(db.silence_alerts(target, for_s), said, as_json)


@alerts.command()
@client_options
def rules(connect: str, as_json: bool) -> None:
    """The rules and the silences."""
    with client(connect) as db:
        report = db.alerts()
    if as_json:
        output.document({"rules": report.rules, "silences": report.silences})
        return
    output.table(
        ("RULE", "FIRES", "FOR", "SEVERITY", "ABOUT", "SET", "DESCRIPTION"),
        [
            (
                rule.name,
                "never"
                if not rule.enabled
                else f"{'<' if rule.below else '>'} {rule.threshold:g} {rule.unit}"
                if rule.unit
                else "yes",
                f"{rule.for_s:g} s",
                rule.severity,
                rule.subject,
                "here" if rule.changed else "-",
                rule.description,
            )
            for rule in report.rules
        ],
    )
    for each in report.silences:
        output.text(f"silenced until {_time(each.until)}: {each.target}")


@alerts.command("set")
@click.argument("rule")
@click.option("--on/--off", "enabled", default=None, help="Whether it is looked at.")
@click.option("--threshold", type=float, help="In the rule's unit.")
@click.option("--for", "for_s", type=Duration(), help="How long the condition has to last.")
@click.option("--severity", type=click.Choice(SEVERITIES))
@client_options
def set_command(
    rule: str,
    enabled: bool | None,
    threshold: float | None,
    for_s: float | None,
    severity: str | None,
    connect: str,
    as_json: bool,
) -> None:
    """Change a rule; what is not given stays as it is."""
    with client(connect) as db:
        report = db.set_alert_rule(rule, enabled=enabled, threshold=threshold, for_s=for_s, severity=severity)
    _changed(report, f"{rule} is set", as_json)


@alerts.command()
@client_options
def routes(connect: str, as_json: bool) -> None:
    """Where alerts are sent."""
    with client(connect) as db:
        report = db.alerts()
    if as_json:
        output.document(report.routes)
        return
    output.table(("NAME", "SEVERITY", "URL"), [(each.name, each.severity, each.url) for each in report.routes])


@alerts.command()
@click.argument("name")
@click.argument("url", required=False)
@click.option("--severity", type=click.Choice(SEVERITIES), default="warning", show_default=True, help="Or worse.")
@click.option("--remove", is_flag=True, help="Take the route away.")
@client_options
def route(name: str, url: str | None, severity: str, remove: bool, connect: str, as_json: bool) -> None:
    """Have alerts posted to URL as JSON, each when it fires and when it is resolved."""
    if remove == (url is not None):
        raise click.UsageError("give either URL or --remove")
    with client(connect) as db:
        if url is None:
            _changed(db.remove_alert_route(name), f"route {name} is removed", as_json)
        else:
            _changed(db.set_alert_route(name, url, severity=severity), f"route {name} is set", as_json)


def _changed(report: AlertsReport, text: str, as_json: bool) -> None:
    if as_json:
        output.document(report)
    else:
        output.text(text)


def _table(found: Iterable[Alert]) -> None:
    rows = [
        (
            alert.id,
            alert.severity,
            f"silenced until {_time(alert.silenced_until)}" if alert.silenced_until else alert.state,
            alert.rule,
            alert.name,
            _time(alert.since),
            _time(alert.ended) if alert.ended else "-",
            alert.cause,
        )
        for alert in found
    ]
    if rows:
        output.table(("ID", "SEVERITY", "STATE", "RULE", "SUBJECT", "SINCE", "ENDED", "CAUSE"), rows)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
