"""Exact scans, also where float32 products cancel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered
from vectron_p2p.index import scan as module
from vectron_p2p.index.scan import blocks_of_range, scan
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.scoring import Matrix, prepare


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("k", [1, 10, 700])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("block", [50, 1_000])
def test_the_best_are_among_the_candidates(
    metric: str, k: int, count: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_ROWS", block)
    monkeypatch.setattr(module, "FEWEST_GROUPS", 1)
    rows, queries = prepare(clustered(600, 12), metric), prepare(clustered(count, 12, seed=8), metric)
    alive = np.ones(600, dtype=np.bool_)
    alive[100:250] = False
    found = scan(queries, blocks_of_range(rows, alive, 0, 600), k, metric)
    live: dict[PointId, Matrix] = {int(i): rows[i] for i in np.flatnonzero(alive)}
    for query, slots in zip(queries, found, strict=True):
        best = brute(live, query, k, metric)
        assert set(best) <= set(slots.tolist())
        assert len(set(slots.tolist())) == len(slots)
        assert len(slots) <= len(best) + 5


def test_far_from_the_origin_small_distances_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    rows = (1e4 + rng.normal(size=(500, 16))).astype(np.float32)  # squares of 1e9, squared distances of about 30
    live: dict[PointId, Matrix] = dict(enumerate(rows))
    alive = np.ones(500, dtype=np.bool_)
    for query in rows[:20]:
        slots = scan(query.reshape(1, -1), blocks_of_range(rows, alive, 0, 500), 10, "l2")[0]
        assert set(brute(live, query, 10, "l2")) <= set(slots.tolist())


def test_all_that_tie_are_candidates() -> None:
    rows = np.ones((300, 4), dtype=np.float32)
    alive = np.ones(300, dtype=np.bool_)
    slots = scan(rows[:1], blocks_of_range(rows, alive, 0, 300), 3, "dot")[0]
    assert len(slots) == 300


def test_nothing_alive() -> None:
    rows = np.ones((10, 4), dtype=np.float32)
    slots = scan(rows[:1], blocks_of_range(rows, np.zeros(10, dtype=np.bool_), 0, 10), 3, "dot")[0]
    assert len(slots) == 0
