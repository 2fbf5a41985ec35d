"""What the commands about alerts do to the state. They raise what they refuse.

They carry the proposer's wall time, by which what is over is dropped: an entry gives the same state at every node.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog.alerting import MAX_HANDLED, MAX_SILENCES, Handled
from vectron_p2p.model.alerts import MAX_ROUTES, MAX_SILENCE_S, RULES, check_number
from vectron_p2p.model.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from vectron_p2p.catalog.alerting import AlertSettings
    from vectron_p2p.catalog.commands import HandleAlert, Result, SetAlertRoute, SetAlertRule, SilenceAlerts
    from vectron_p2p.catalog.state import ClusterState


def set_rule(state: ClusterState, command: SetAlertRule) -> tuple[ClusterState, Result]:
    """One that is set to what it comes as is no longer noted."""
    rule = RULES[command.rule]
    if rule.unit:
        check_number(command.threshold, rule.low, rule.high, field="threshold")
    elif command.threshold != rule.threshold:
        raise InvalidArgument(f"rule {rule.name} has no threshold", field="threshold")
    own = (command.enabled, command.threshold, command.for_s, command.severity)
    rules = {name: each for name, each in state.alerts.rules.items() if name != rule.name}
    if own != (rule.enabled, rule.threshold, rule.for_s, rule.severity):
        rules[rule.name] = own
    return _with(state, replace(state.alerts, rules=rules)), {"rule": rule.name}


def handle(state: ClusterState, command: HandleAlert) -> tuple[ClusterState, Result]:
    cause = (command.rule, command.subject)
    handled = {key: each for key, each in state.alerts.handled.items() if key != cause}
    handled[cause] = Handled(command.onset_ms, command.action, command.at_ms)
    newest = sorted(handled, key=lambda key: (handled[key].at_ms, key))[-MAX_HANDLED:]
    settings = replace(state.alerts, handled={key: handled[key] for key in sorted(newest)})
    return _with(state, settings), {"rule": command.rule, "subject": command.subject, "action": command.action}


def silence(state: ClusterState, command: SilenceAlerts) -> tuple[ClusterState, Result]:
    """`until_ms` at or before `at_ms` ends one."""
    if command.until_ms - command.at_ms > MAX_SILENCE_S * 1000:
        raise InvalidArgument(f"a silence lasts {MAX_SILENCE_S / 86_400:g} days at most", field="for_s")
    others = {target: until for target, until in state.alerts.silences.items() if target != command.target}
    silences = {target: until for target, until in others.items() if until > command.at_ms}
    if command.until_ms > command.at_ms:
        if len(silences) >= MAX_SILENCES:
            raise InvalidArgument(f"there are {MAX_SILENCES} silences already: end some", field="target")
        silences[command.target] = command.until_ms
    elif len(others) == len(state.alerts.silences):
        raise NotFound(f"{command.target!r} is not silenced", field="target")
    return _with(state, replace(state.alerts, silences=silences)), {"target": command.target}


def set_route(state: ClusterState, command: SetAlertRoute) -> tuple[ClusterState, Result]:
    """`url` "" takes it away."""
    routes = {name: each for name, each in state.alerts.routes.items() if name != command.name}
    if command.url:
        if len(routes) >= MAX_ROUTES:
            raise InvalidArgument(f"a cluster has {MAX_ROUTES} routes at most: take one away", field="name")
        routes[command.name] = (command.url, command.severity)
    elif len(routes) == len(state.alerts.routes):
        raise NotFound(f"there is no route {command.name!r}", field="name")
    return _with(state, replace(state.alerts, routes=routes)), {"name": command.name}


def _with(state: ClusterState, settings: AlertSettings) -> ClusterState:
    return state if settings == state.alerts else replace(state, alerts=settings)
