"""Figures, verdict and picture of a run made up here."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from simulations.nemesis import report
from simulations.nemesis.checks import Outcome
from simulations.nemesis.picture import draw
from simulations.nemesis.timeline import CUT_OFF, KILLED, STARTING, Span, Timeline
from simulations.nemesis.workload import Operation, Touch, Violation

BEGAN = 1000.0


def a_run() -> report.Result:
    """Ten seconds, ten operations a second; n1 away from 2 to 4 s, n1 and n2 from 6 to 8 s, when all fail."""
    timeline = Timeline(began=BEGAN, ended=BEGAN + 10)
    timeline.faults = [
        Span("kill n1", frozenset({1}), BEGAN + 2, BEGAN + 4),
        Span("halves n1,n2", frozenset({1, 2}), BEGAN + 6, BEGAN + 8),
    ]
    timeline.states = [
        Span(KILLED, frozenset({1}), BEGAN + 2, BEGAN + 3),
        Span(STARTING, frozenset({1}), BEGAN + 3, BEGAN + 4),
        Span(CUT_OFF, frozenset({1}), BEGAN + 6, BEGAN + 8),
        Span(CUT_OFF, frozenset({2}), BEGAN + 6, BEGAN + 8),
    ]
    operations = []
    for tenth in range(100):
        began = BEGAN + tenth / 10
        code = "unavailable" if 6 <= tenth / 10 < 8 else ""
        operations.append(Operation(began, began + 0.05, "upsert", code))
    options = {"seed": 1, "nodes": 3, "fabric": "proxy"}
    outcome = Outcome(agreed_after_s=3.0)
    return report.Result(options, {}, timeline, operations, [], 10, 0, outcome, {}, {})


def test_failures_while_two_nodes_are_away_break_no_promise() -> None:
    result = a_run()
    result.judge()
    assert result.failures == []
    shares = result.shares()
    assert shares["one_away"] == {"operations": 20, "share": 1.0}
    assert shares["more_away"] == {"operations": 20, "share": 0.0}
    assert shares["at_most_one_away"]["operations"] == 80


def test_failures_while_one_node_is_away_do() -> None:
    result = a_run()
    result.operations[25] = result.operations[25]._replace(code="unavailable")
    result.judge()
    assert result.failures == ["with at most one node away 0.9875 of the operations succeeded"]


def test_who_gives_up_early_proves_nothing() -> None:
    result = a_run()
    result.operations[25] = result.operations[25]._replace(code="deadline_exceeded", patient=False)
    result.judge()
    assert result.failures == []
    assert result.document()["impatient"] == 1


def test_a_fault_under_which_nobody_is_answered_shows() -> None:
    figures = a_run().by_fault()
    assert figures["halves"]["silence_s"] == 2.0
    assert figures["halves"]["share"] < 0.1
    assert figures["kill"]["silence_s"] < 0.2
    assert figures["kill"]["share"] == 1.0


def test_everything_that_is_wrong_is_named() -> None:
    result = a_run()
    result.violations.append(Violation("lost", 5, BEGAN + 9, "read", (Touch(BEGAN, BEGAN + 1, "upsert #1"),)))
    result.timeline.remarks.append((BEGAN + 5, "n0 ended by itself"))
    result.missed = 5
    result.outcome.failures.append("2 rows differ")
    result.complaints = report.complaints(
        "n0", '{"event": "ready", "level": "info"}\n{"event": "x", "level": "error"}\n'
    )
    result.judge()
    text = "\n".join(result.failures)
    assert len(result.failures) == 5
    for words in ("1 lost", "n0 ended by itself", "5 of 10 searches", "2 rows differ", '"x"'):
        assert words in text
    assert "upsert #1" in result.text()


def test_an_operation_counts_by_all_that_happened_meanwhile() -> None:
    timeline = a_run().timeline
    assert timeline.away(BEGAN, BEGAN + 1) == 0
    assert timeline.away(BEGAN + 1, BEGAN + 2.5) == 1
    assert timeline.away(BEGAN + 3, BEGAN + 7) == 2
    assert timeline.healed == BEGAN + 8


def test_the_figures_of_each_second() -> None:
    seconds = a_run().seconds()
    assert [second.succeeded for second in seconds] == [10] * 6 + [0] * 2 + [10] * 2
    assert seconds[6].failed == {"unavailable": 10}
    assert 49 < seconds[0].p99_ms < 51


def test_what_is_written(tmp_path: Path) -> None:
    result = a_run()
    result.violations.append(Violation("stale", 5, BEGAN + 9, "<read>", ()))
    result.judge()
    report.write(result, tmp_path / "out", draw(result))
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert not document["passed"]
    assert document["faults"] == {"halves": 1, "kill": 1}
    assert document["timeline"][0] == {"fault": "kill n1", "away": [1], "from_s": 2.0, "to_s": 4.0}
    picture = ElementTree.parse(tmp_path / "out" / "timeline.svg").getroot()
    titles = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}title")}
    assert {"n1 killed: 1.0 s", "n2 cut off: 2.0 s", "kill n1: 2.0 s", "stale: point 5: <read>"} <= titles
    assert "6 s: 10 unavailable 10" in titles
    assert "failed" in (tmp_path / "out" / "report.txt").read_text()


def test_a_picture_of_nothing() -> None:
    result = a_run()
    result.operations.clear()
    result.timeline = Timeline()
    ElementTree.fromstring(draw(result))
