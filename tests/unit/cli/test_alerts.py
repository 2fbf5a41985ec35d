"""`vectron alerts`: what it asks of the node, and what it shows."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.unit.cli.running import Outcome, Shell
from tests.unit.client.fake_node import FakeNode
from vectron_p2p.model.alerts import RULES, Alert, AlertRoute, AlertsReport, Silence
from vectron_p2p.model.errors import NotFound
from vectron_p2p.model.nodes import ClusterInfo
from vectron_p2p.protocol import messages as m

DOWN = Alert(
    "5f0c83b2a9d1", "node_down", "id-2", "n2", "critical", "firing", 1_700_000_000.0, cause="n2 does not answer"
)
OVER = replace(DOWN, id="0123456789ab", state="resolved", ended=1_700_000_060.0)
REPORT = AlertsReport(
    [DOWN],
    [OVER],
    [replace(RULES["disk"], threshold=20.0, changed=True), replace(RULES["node_down"], enabled=False)],
    [Silence("n2", 1_700_003_600.0)],
    [AlertRoute("ops", "https://hooks.example/x", "critical")],
)


class Alerting:
    """Answers with one report, and keeps what it was asked."""

    def __init__(self, report: AlertsReport = REPORT) -> None:
        self.report = report
        self.asked: list[Any] = []

    def __call__(self, message: Any) -> Any:
        if isinstance(message, m.GetCluster):
            return m.ClusterReply(asdict(ClusterInfo("c", 2, [], [])))
        self.asked.append(message)
        if isinstance(message, m.HandleAlert) and message.alert == "gone":
            raise NotFound("no alert 'gone' is active", field="alert")
        return m.AlertsReply(asdict(self.report))


def run(shell: Shell, node: Alerting, *words: str) -> Outcome:
    with FakeNode(node) as running:
        return shell("alerts", *words, "--connect", running.target)


@pytest.mark.parametrize("words", [(), ("list",)])
def test_the_list(shell: Shell, words: tuple[str, ...]) -> None:
    done = run(shell, Alerting(), *words)
    assert done.code == 0
    assert all(text in done.out for text in ("5f0c83b2a9d1", "critical", "firing", "n2 does not answer"))
    assert OVER.id not in done.out
    assert run(shell, Alerting(), *words, "--json").json == [asdict(DOWN)]
    silenced = replace(DOWN, silenced_until=1_700_003_600.0)
    assert "silenced until" in run(shell, Alerting(replace(REPORT, active=[silenced])), *words).out
    assert "no active alerts" in run(shell, Alerting(replace(REPORT, active=[])), *words).out


def test_the_past(shell: Shell) -> None:
    done = run(shell, Alerting(), "history")
    assert OVER.id in done.out
    assert DOWN.id not in done.out
    assert run(shell, Alerting(), "history", "--json").json == [asdict(OVER)]


def test_rules_and_routes(shell: Shell) -> None:
    out = run(shell, Alerting(), "rules").out
    assert all(text in out for text in ("< 20 % free", "never", "here", "silenced until", ": n2"))
    assert {rule["name"] for rule in run(shell, Alerting(), "rules", "--json").json["rules"]} == {"disk", "node_down"}
    assert "https://hooks.example/x" in run(shell, Alerting(), "routes").out
    assert run(shell, Alerting(), "routes", "--json").json == [asdict(REPORT.routes[0])]


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("ack", "a1"), m.HandleAlert("a1", "acknowledge", "")),
        (("resolve", "a1"), m.HandleAlert("a1", "resolve", "")),
        (("silence", "n2", "--for", "2h"), m.SilenceAlerts("n2", 7200.0, "")),
        (("silence", "disk", "--for", "90"), m.SilenceAlerts("disk", 90.0, "")),
        (("silence", "n2", "--for", "0"), m.SilenceAlerts("n2", 0.0, "")),
        (("set", "disk", "--threshold", "20"), m.SetAlertRule("disk", None, 20.0, None, None, "")),
        (
            ("set", "node_down", "--off", "--for", "1m", "--severity", "info"),
            m.SetAlertRule("node_down", False, None, 60.0, "info", ""),
        ),
        (("route", "ops", "https://h/x"), m.SetAlertRoute("ops", "https://h/x", "warning", "")),
        (("route", "ops", "--remove"), m.SetAlertRoute("ops", "", "warning", "")),
    ],
)
def test_what_is_asked(shell: Shell, words: tuple[str, ...], request_: Any) -> None:
    node = Alerting()
    done = run(shell, node, *words)
    assert done.code == 0
    assert [replace(each, operation_id="") for each in node.asked] == [request_]
    assert all(each.operation_id for each in node.asked)
    assert run(shell, node, *words, "--json").json == asdict(REPORT)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("set", "none"), "rule"),
        (("set", "node_down", "--threshold", "3"), "threshold"),
        (("set", "disk", "--threshold", "101"), "threshold"),
        (("set", "disk", "--for", "2d"), "for_s"),
        (("silence", "n2", "--for", "31d"), "for_s"),
        (("route", "ops", "file:///etc/passwd"), "url"),
        (("route", "o p s", "http://h/"), "name"),
    ],
)
def test_what_makes_no_sense_is_not_asked(shell: Shell, words: tuple[str, ...], field: str) -> None:
    node = Alerting()
    done = run(shell, node, *words, "--json")
    assert (done.code, done.error["code"], done.error["field"]) == (1, "invalid_argument", field)
    assert not node.asked


def test_wrong_usage_and_unknown_alerts(shell: Shell) -> None:
    assert run(shell, Alerting(), "silence", "n2", "--for", "soon").code == 2
    assert run(shell, Alerting(), "route", "ops").code == 2
    done = run(shell, Alerting(), "ack", "gone", "--json")
    assert (done.code, done.error["code"]) == (1, "not_found")
