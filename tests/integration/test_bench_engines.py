"""Other engines in a run of the benchmark; each real one only where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.unit.bench.odd_engines import known
from vectron_p2p.bench.data import nearest, sample_data
from vectron_p2p.bench.engines import registry
from vectron_p2p.bench.engines.engine import Shape
from vectron_p2p.bench.engines.hosted import Hosted
from vectron_p2p.bench.engines.registry import Known
from vectron_p2p.bench.figures import recall
from vectron_p2p.bench.jobs import Ask, Outcome
from vectron_p2p.bench.plot import available, plot
from vectron_p2p.bench.queries import Supply
from vectron_p2p.bench.run import bench
from vectron_p2p.bench.selection import select
from vectron_p2p.bench.settings import quick

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the child imports the test engines


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_an_engine_is_measured_beside_a_node_and_one_that_fails_is_a_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing = {
        "DiesSearching": "its process ended during window",
        "Invents": "it found what was never written: -1",
        "Forgets": "0 answers to 1 queries",
    }
    absent = known("Refuses", package="no_such_package")
    monkeypatch.setattr(registry, "ENGINES", (*(known(name) for name in ("Exact", *failing)), absent))
    before = children()
    report = bench(sample_data(1000), quick(("engines",)), lambda _: None)
    assert children() == before
    rows = {row.key: row for row in report.rows}
    loaded = {"ingest", "linked", "memory"}
    asked = {"batch", "single-1", "single-4", "filter-3", "filter-10", "filter-70"}
    assert rows.keys() == {
        *(f"engines-exact-{key}" for key in loaded | asked),
        *(f"engines-{name.lower()}-{key}" for name in failing for key in loaded),
    }
    for key in asked:
        row = rows[f"engines-exact-{key}"]
        assert row.recall is not None
        assert row.recall > 0.99, key  # a scan: answers of others' queries or ids would be near 0
        assert row.more["ef"] == 16
        assert row.ratio == pytest.approx(row.spread.median / row.more["vectron_per_s"])
        assert row.more["vectron_recall"] > 0.9
    for name, reason in failing.items():
        assert any(note.startswith(name) and "measured no further" in note and reason in note for note in report.notes)
    assert any("not installed, so not measured: Refuses; pip install no_such_package" in note for note in report.notes)
    assert [speed.ef for speed in report.engines[0].curve] == [16, 64]
    if available():
        plot(report, tmp_path / "p.png")


def found(outcome: Outcome, truth: np.ndarray, queries: int) -> float:
    wanted = (truth[number % queries].tolist() for number, _ in outcome.found)
    return recall((rows for _, rows in outcome.found), wanted)


@pytest.mark.parametrize("engine", registry.ENGINES, ids=lambda engine: engine.key)
def test_a_real_engine_finds_neighbours_by_any_filter_and_ef(engine: Known) -> None:
    pytest.importorskip(engine.package)
    data = sample_data(1200)
    odd = 'it\'s \\ "so"'
    for row in range(0, 1200, 7):
        data.payloads[row]["pos"] = odd
    chosen = [select(data.payloads, share) for share in (0.03, 0.10, 0.70)]
    filters: list[dict[str, Any]] = [
        {"pos": odd},
        {"pos": {"$in": [odd, "verb"]}},
        *(each.filter for each in chosen if each is not None),
    ]
    fields: dict[str, type[int] | type[str]] = {name: str for each in filters for name in each}
    number = len(data.queries)
    supply = Supply(data.queries, np.arange(number), 0)
    with Hosted(engine) as host:
        acked, indexed = host.load(data, host.open(Shape(data.dimension, 16, 100, fields)))
        assert 0 < acked <= indexed
        assert host.memory()["anonymous"] > 0
        truth = nearest(data.vectors, data.queries, 10)
        recalls = []
        for ef in (10, 200):
            outcome = host.batch(Ask(10, ef), supply.split(1)[0], 150, 2)
            recalls.append(1.0 if outcome is None else found(outcome, truth, number))
        assert recalls[1] > 0.98
        assert recalls[0] <= recalls[1]
        window = host.searches(Ask(10, 100), supply.split(1)[0], 4, 0.3, 1)
        assert found(window, truth, number) > 0.95
        for condition in filters:
            ((name, wanted),) = condition.items()
            values = wanted["$in"] if isinstance(wanted, dict) else [wanted]
            kept = np.flatnonzero([payload[name] in values for payload in data.payloads])
            window = host.searches(Ask(10, 100, filter=condition), supply.split(1)[0], 1, 0.3, 1)
            assert window.done > 0
            assert found(window, kept[nearest(data.vectors[kept], data.queries, 10)], number) > 0.95, condition
