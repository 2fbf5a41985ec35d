"""What the catalog holds about alerts: commands, their bounds, and the byte form of states with and without it."""

from __future__ import annotations

from typing import Any

import pytest

from vectron_p2p.catalog import alerting, apply_alerts
from vectron_p2p.catalog.alerting import NOTHING, AlertSettings, Handled
from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.commands import (
    Command,
    HandleAlert,
    SetAlertRoute,
    SetAlertRule,
    SilenceAlerts,
    command_from_wire,
    command_to_wire,
)
from vectron_p2p.catalog.state import BadCatalog, ClusterState, canonical, found, unpack
from vectron_p2p.model.alerts import RULES
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, ClusterId, NodeId, OperationId

NOW = 1_700_000_000_000
COMMANDS: list[Command] = [
    SetAlertRule(OperationId("o1"), "disk", True, 20.0, 60.0, "critical"),
    HandleAlert(OperationId("o2"), "node_down", "n2", NOW, "acknowledge", NOW + 1),
    SilenceAlerts(OperationId("o3"), "n2", NOW + 60_000, NOW),
    SetAlertRoute(OperationId("o4"), "ops", "https://hooks.example/x?y=1", "critical"),
]


def start() -> ClusterState:
    return found(ClusterId("cluster"), NodeId("n1"), "first", Address("10.0.0.1", 7700), "z1")


def after(state: ClusterState, *commands: Command) -> ClusterState:
    for command in commands:
        state, result = apply(state, command)[0] or state, apply(state, command)[1]
        assert "error" not in result
    return state


def refusal(state: ClusterState, command: Command) -> str:
    return str(apply(state, command)[1]["error"]["code"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_commands_survive_the_wire_and_are_applied_once(command: Command) -> None:
    assert command_from_wire(unpack(canonical(command_to_wire(command)))) == command
    state = after(start(), command)
    assert state.alerts != NOTHING
    assert apply(state, command)[0] is None
    assert ClusterState.from_bytes(state.to_bytes()) == state


def test_a_state_without_alerts_has_the_bytes_that_it_always_had() -> None:
    state = start()
    assert len(unpack(state.to_bytes())) == 9
    assert ClusterState.from_bytes(state.to_bytes()).alerts == NOTHING
    said = after(state, *COMMANDS)
    assert set(unpack(said.to_bytes())[9]) == {"alerts"}
    undone = after(
        said,
        SetAlertRule(OperationId("u1"), "disk", True, 10.0, 30.0, "warning"),
        SilenceAlerts(OperationId("u2"), "n2", 0, NOW),
        SetAlertRoute(OperationId("u3"), "ops", "", "critical"),
    )
    assert undone.alerts == AlertSettings(handled=said.alerts.handled)


@pytest.mark.parametrize("row", [[], [[], [], []], [[["disk", True]], [], [], []], [[], [["r", "s", 1, "a"]], [], []]])
def test_bytes_that_no_settings_have(row: list[Any]) -> None:
    fields = unpack(after(start(), *COMMANDS).to_bytes())
    fields[9] = {"alerts": row}
    with pytest.raises(BadCatalog):
        ClusterState.from_bytes(canonical(fields))


def test_the_order_of_commands_that_do_not_meet_does_not_show() -> None:
    one, two = after(start(), *COMMANDS), after(start(), *reversed(COMMANDS))
    assert one.alerts == two.alerts
    assert one.alerts.to_row() == two.alerts.to_row()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("rule", {"rule": "none"}),
        ("threshold", {"threshold": -1.0}),
        ("threshold", {"threshold": float("nan")}),
        ("for_s", {"for_s": 1e9}),
        ("severity", {"severity": "bad"}),
        ("enabled", {"enabled": 1}),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        command_from_wire({**command_to_wire(COMMANDS[0]), **change})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/x",
        "//h/x",
        "https://",
        "http://user:pw@h/",
        "http://h:99999/",
        "http://h/\nX: y",
        "http://h/a b",
        "http://h/" + "x" * 2_000,
        5,
    ],
)
def test_only_plain_http_addresses_are_routes(url: object) -> None:
    with pytest.raises(InvalidArgument):
        command_from_wire({**command_to_wire(COMMANDS[3]), "url": url})


def test_a_rules_own_bounds() -> None:
    assert refusal(start(), SetAlertRule(OperationId("o"), "disk", True, 101.0, 0.0, "info")) == "invalid_argument"
    assert refusal(start(), SetAlertRule(OperationId("o"), "node_down", True, 1.0, 0.0, "info")) == "invalid_argument"
    rule = after(start(), SetAlertRule(OperationId("o"), "disk", False, 5.0, 1.0, "info")).alerts.rule("disk")
    assert (rule.enabled, rule.threshold, rule.for_s, rule.severity, rule.changed) == (False, 5.0, 1.0, "info", True)
    assert rule.description == RULES["disk"].description


def test_all_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_alerts, "MAX_HANDLED", 2)
    monkeypatch.setattr(apply_alerts, "MAX_SILENCES", 2)
    monkeypatch.setattr(apply_alerts, "MAX_ROUTES", 2)
    state = start()
    for number in range(3):
        one = OperationId(f"h{number}")
        state = after(state, HandleAlert(one, "disk", f"n{number}", NOW, "resolve", NOW + number))
    assert set(state.alerts.handled) == {("disk", "n1"), ("disk", "n2")}
    for number in range(2):
        state = after(
            state,
            SilenceAlerts(OperationId(f"s{number}"), f"n{number}", NOW + 1000, NOW),
            SetAlertRoute(OperationId(f"r{number}"), f"r{number}", "http://h/", "info"),
        )
    assert refusal(state, SilenceAlerts(OperationId("s"), "n3", NOW + 9, NOW)) == "invalid_argument"
    assert refusal(state, SetAlertRoute(OperationId("r"), "r3", "http://h/", "info")) == "invalid_argument"
    later = after(state, SilenceAlerts(OperationId("t"), "n3", NOW + 9000, NOW + 2000))  # the others are over
    assert dict(later.alerts.silences) == {"n3": NOW + 9000}
    assert refusal(state, SilenceAlerts(OperationId("m"), "n1", NOW + 40 * 86_400_000, NOW)) == "invalid_argument"


def test_what_is_not_there_cannot_be_taken_away() -> None:
    assert refusal(start(), SilenceAlerts(OperationId("s"), "n3", 0, NOW)) == "not_found"
    assert refusal(start(), SetAlertRoute(OperationId("r"), "r3", "", "info")) == "not_found"


def test_the_last_word_about_a_cause_counts() -> None:
    state = after(
        start(),
        HandleAlert(OperationId("1"), "disk", "n1", NOW, "acknowledge", NOW),
        HandleAlert(OperationId("2"), "disk", "n1", NOW, "resolve", NOW + 5),
    )
    assert state.alerts.handled == {("disk", "n1"): Handled(NOW, "resolve", NOW + 5)}
    assert alerting.MAX_HANDLED >= 100
