"""Targets, the table, the document and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vectron_p2p.bench.figures import Row, Spread
from vectron_p2p.bench.plot import plot
from vectron_p2p.bench.report import COLUMNS, document, lines, number
from vectron_p2p.bench.run import Point, Report
from vectron_p2p.bench.settings import GROUPS, Settings, quick
from vectron_p2p.bench.targets import Target, judge, read_targets
from vectron_p2p.cli.output import plain
from vectron_p2p.model.errors import InvalidArgument

TARGETS = Path(__file__).parents[3] / "scripts" / "bench_targets.toml"
ROW = Row(
    "batch", "batch of 2,000", Spread(4000.0, 3900.0, 4100.0), "q/s", 0.8, "raw batch", 0.96,
    {"p50_ms": 1.0, "p99_ms": 2.0, "lag_p99_ms": 5.0, "lag_max_ms": 9.0, "written_per_s": 1000.0},
)  # fmt: skip
ABOUT = {"data": "sample", "points": 8000, "dimension": 384, "settings": Settings()}


def test_a_row_is_judged_by_its_own_targets() -> None:
    least, most = Target("batch", "ratio", True, 0.9), Target("batch", "lag_max_ms", False, 9.0)
    unknown, other = Target("batch", "tail_max", False, 1.0), Target("single-1", "ratio", True, 9.0)
    assert judge(ROW, [least, most, unknown, other]) == ([most], [least, unknown])


def test_targets_are_read_and_nonsense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('[batch]\nratio = ">= 0.9"\n[serial]\nover_raw_ms = "<=0.4"\n', encoding="utf-8")
    assert read_targets(path) == [Target("batch", "ratio", True, 0.9), Target("serial", "over_raw_ms", False, 0.4)]
    for text in ("batch = 1", '[batch]\nratio = "0.9"', "[batch]\nratio = 0.9", "[batch"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidArgument):
            read_targets(path)


def test_the_projects_own_targets_can_be_read() -> None:
    assert {target.row for target in read_targets(TARGETS)} >= {"batch", "single-100", "filter-10-far-100", "cluster"}


def test_a_row_shows_every_figure_once() -> None:
    target = Target("batch", "ratio", True, 0.9)
    first, more = lines(ROW, [target])
    assert len(first) == len(more) == len(COLUMNS) + 1
    assert first == [
        "batch of 2,000", "4,000", "q/s", "3,900..4,100", "0.80", "raw batch", "0.9600", "1.00/2.00", "5.00/9.00",
        "short",
    ]  # fmt: skip
    assert more[:2] == ["  written_per_s", "1,000"]
    assert len(lines(ROW)[0]) == len(COLUMNS)


def test_numbers_have_the_digits_that_count() -> None:
    assert [number(value) for value in (0.123, 12.34, 1234.5, -0.5)] == ["0.12", "12.3", "1,234", "-0.50"]


def test_the_document_is_json_and_names_what_is_short() -> None:
    report = Report(dict(ABOUT), ef=64, curve=[Point(64, 2.0, 0.97, 1.0, 0.96)], rows=[ROW])
    found = json.loads(json.dumps(plain(document(report, [Target("batch", "ratio", True, 0.9)]))))
    assert found["curve"] == [{"ef": 64, "raw_rate": 2.0, "raw_recall": 0.97, "rate": 1.0, "recall": 0.96}]
    assert found["rows"][0]["spread"] == {"median": 4000.0, "low": 3900.0, "high": 4100.0}
    assert found["settings"]["m"] == 16
    assert found["short"] == ["batch: ratio ≥ 0.9, and is 0.80"]


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "p.png"
    plot(Report(dict(ABOUT), curve=[Point(ef, 2.0, ef / 100, 1.0, ef / 100) for ef in (16, 64)]), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_quick_measures_the_same_groups() -> None:
    assert quick().groups == GROUPS
    assert len(quick().connections) == len(Settings().connections)
