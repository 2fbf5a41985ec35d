"""`vectron bench` as a whole, small: real nodes, load generators in processes, every group of figures."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from vectron_p2p.bench.jobs import Ask, Place, SearchJob
from vectron_p2p.bench.load import BenchFailed, Generators
from vectron_p2p.bench.queries import Queries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.running import Shell

pytestmark = pytest.mark.processes

NOBODY = Place("127.0.0.1:9", "bench")
EXACT = 1e-9
ROWS = {
    "ingest", "linked", "batch", "batch-payload", "single-1", "serial", "single-4", "single-60", "payload", "cache",
    "memory", "mixed", "restart", "ingest-2", "linked-2", "cluster",
    *(f"filter-{name}-{connections}" for name in ("3", "10", "10-far", "70") for connections in (1, 60)),
}  # fmt: skip


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_all_figures_come_with_their_recall_and_nothing_is_left(shell: Shell, tmp_path: Path) -> None:
    before = children()
    targets, found, picture = tmp_path / "t.toml", tmp_path / "b.json", tmp_path / "b.png"
    targets.write_text('[batch]\nrecall = ">= 0.5"\n[restart]\nvalue = "<= 0.0001"\n', encoding="utf-8")
    files = ("--json", str(found), "--plot", str(picture), "--targets", str(targets))
    outcome = shell("bench", "--quick", *files)
    assert outcome.code == 1, outcome.err  # no node starts in 0.1 ms
    assert "short: restart: value ≤ 0.0001, and is " in outcome.err
    assert "batch of 200 with payloads" in outcome.out
    assert "…" not in outcome.out  # off a terminal no cell is cut
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert children() == before

    document: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in document["rows"]}
    assert {key for key in rows if not key.startswith("engines-")} == ROWS
    assert len(document["short"]) == 1
    best = max(min(point["recall"], point["raw_recall"]) for point in document["curve"])
    assert best > 0.95  # of 1,000 points both sides find nearly all: a recall mixed up with other ids is near 0
    for key, row in rows.items():
        assert row["spread"]["median"] > 0, key
        assert {"failed", "partial", "writes_failed"}.isdisjoint(row["more"]), key
        if row["unit"] == "q/s" and key in ROWS:
            assert row["recall"] > 0.9, key
            assert row["ratio"] > 0, key
            assert row["more"]["lag_max_ms"] >= row["more"]["lag_p99_ms"] >= 0, key
    assert all(rows[f"filter-3-{connections}"]["recall"] > 1 - EXACT for connections in (1, 60))  # 30 points: a scan
    assert rows["mixed"]["more"]["written_per_s"] > 0


def search_job(queries: Queries) -> SearchJob:
    return SearchJob(NOBODY, Ask(10, 64), queries, connections=3, seconds=0.1, warm=1)


def test_a_generator_that_fails_gives_no_figure() -> None:
    ones = np.ones((2, 4), dtype=np.float32)
    spent = Queries(ones, np.zeros((1, 4), dtype=np.float32), ones[:, :1], start=2)
    with Generators(2) as generators:
        for _ in range(2):  # and it takes the next job
            with pytest.raises(BenchFailed, match="all 2 variants of 2 queries were asked"):
                generators.run([search_job(spent)])
        victim = generators.pids[0]
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(BenchFailed, match="a load generator ended with -9"):
            generators.run([search_job(spent)])


def test_wrong_words_are_refused_before_anything_starts(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("--only", "batch,nonsense"), ("--ef", "64,x"), ("--ef", "9")):
        assert shell("bench", *words).code == 2, words
    assert shell("bench", "--truth", __file__).code == 1
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = shell("bench", "--quick", "--plot", "p.png")
    assert outcome.code == 1
    assert "the extra [bench]" in outcome.err
