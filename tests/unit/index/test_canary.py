"""A graph that loses points is noticed; one that never could find them is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.index.doubles import clustered, link_all, make, rebuild_all, row, rows, spoil
from vectron_p2p.index.canary import DROPPED, GROWTH, GROWTH_FLOOR, PASSED, Canary
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.query.scoring import Matrix


def filled(matrix: Matrix, metric: str = "cosine", folder: Path | None = None) -> ShardIndex:
    index = make(matrix.shape[1], metric, folder)
    index.apply(rows(matrix))
    link_all(index)
    return index


def unequal(count: int) -> Matrix:
    """Under dot hardly any of them is nearest to itself."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(count, 16)) * np.exp(rng.normal(size=(count, 1)))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_sound_graph_passes_also_with_copies_and_dead_points(metric: str) -> None:
    index = filled(np.concatenate([clustered(2_500, 12), clustered(500, 12)]), metric)
    index.apply([row(i, 2, None) for i in range(400, 900)])
    assert not index.look()
    assert index._layer.canary.passed
    assert index._layer.canary.found >= PASSED
    assert not index.needs_rebuild


def test_lost_points_call_for_a_rebuild_which_brings_them_back() -> None:
    matrix = clustered(3_000, 12)
    index = filled(matrix)
    assert not index.look()
    spoil(index, 0.1)
    assert index.look()
    assert index._layer.canary.found < DROPPED
    assert index.needs_rebuild
    assert not index.rebuild_urgent
    rebuild_all(index)
    assert not index.needs_rebuild
    assert not index.look()
    assert index._layer.canary.found >= PASSED
    hits, _ = index.search(matrix[:300], k=1)
    assert [one.ids for one in hits] == [[i] for i in range(300)]


def test_data_that_no_graph_serves_well_is_not_rebuilt_over_and_over() -> None:
    index = filled(unequal(4_000), "dot")
    for _ in range(2):
        assert not index.look()
        assert index._layer.canary.found < DROPPED
        assert not index.needs_rebuild
        rebuild_all(index)


def test_a_restart_remembers_that_the_graph_was_sound(tmp_path: Path) -> None:
    matrix = clustered(2_500, 12)
    for looked in (False, True):
        folder = tmp_path / str(looked)
        folder.mkdir()
        index = filled(matrix, folder=folder)
        if looked:
            index.look()
        assert index.save()
        index.close()
        again = make(12, folder=folder)
        assert again.load(rows(matrix)).restored == 2_500
        spoil(again, 0.1)
        assert again.look() is looked


def test_a_shard_too_small_for_a_graph_has_nothing_to_look_at() -> None:
    index = filled(clustered(100, 4))
    assert not index.look_due
    assert not index.look()
    index.close()
    assert not index.look_due


def test_an_emptied_graph_has_nothing_to_look_at() -> None:
    index = filled(clustered(2_100, 4))
    index.apply([row(i, 2, None) for i in range(2_100)])
    assert not index.look()


def test_a_look_is_due_when_the_graph_has_grown() -> None:
    canary = Canary()
    assert not canary.due(GROWTH_FLOOR - 1)
    assert canary.due(GROWTH_FLOOR)
    canary.saw(1.0, 50_000)
    grown = round(50_000 * (1 + GROWTH)) + GROWTH_FLOOR
    assert not canary.due(grown - 1)
    assert canary.due(grown)


def test_a_graph_drops_only_when_it_has_passed_and_may_recover() -> None:
    canary = Canary()
    canary.saw(DROPPED - 0.01, 1_000)
    assert not canary.dropped
    canary.saw(PASSED, 2_000)
    canary.saw(DROPPED, 3_000)
    assert not canary.dropped
    canary.saw(DROPPED - 0.01, 4_000)
    assert canary.dropped
    canary.saw(DROPPED, 5_000)
    assert not canary.dropped
