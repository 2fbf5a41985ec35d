"""Writes and searches of one shard: the live set, and the way from tail to graph."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered, link_all, make, rebuild_all, row, rows, version
from vectron_p2p.model.ids import PointId
from vectron_p2p.query import planner
from vectron_p2p.query.scoring import Matrix, score_rows

METRICS = ["cosine", "dot", "l2"]


@pytest.mark.parametrize("metric", METRICS)
def test_small_shards_are_exact_and_have_no_graph(metric: str) -> None:
    matrix, queries = clustered(300, 8), clustered(10, 8, seed=1)
    index = make(8, metric)
    index.apply(rows(matrix))
    assert (index.live, index.linked, index.unlinked) == (300, 0, 0)
    assert index.link_turn() == 0
    hits, plan = index.search(queries, k=7)
    assert plan["plan"] == "exact"
    for query, found in zip(queries, hits, strict=True):
        assert found.ids == brute(dict(enumerate(matrix)), query, 7, metric)
        assert found.versions == [version(1)] * 7
        order = np.diff(found.scores)
        assert (order >= 0).all() if metric == "l2" else (order <= 0).all()


def test_scores_are_those_of_the_metric() -> None:
    for metric, expected in (("cosine", [1.0, 0.0]), ("dot", [25.0, 0.0]), ("l2", [0.0, np.sqrt(50)])):
        index = make(2, metric)
        index.apply([row("a", 1, [3, 4]), row("b", 1, [4, -3])])
        hits, _ = index.search(np.array([[3, 4]], dtype=np.float32), k=5)
        assert hits[0].ids == ["a", "b"]
        np.testing.assert_allclose(hits[0].scores, expected, atol=1e-6)
        assert hits[0].scores.dtype == np.float32


def test_an_empty_shard() -> None:
    index = make(3)
    hits, _ = index.search(np.ones((2, 3), dtype=np.float32), k=5)
    assert [one.ids for one in hits] == [[], []]
    assert index.search(np.ones((0, 3), dtype=np.float32), k=5)[0] == []
    index.apply([])
    index.apply([row(1, 1, None)])
    assert index.live == 0


@pytest.mark.parametrize("metric", METRICS)
def test_recall_of_the_graph(metric: str) -> None:
    matrix, queries = clustered(4_000, 24), clustered(60, 24, seed=5)
    if metric == "dot":
        matrix /= np.linalg.norm(matrix, axis=1)[:, None] * np.linspace(0.8, 1.2, 4_000, dtype=np.float32)[:, None]
    index = make(24, metric)
    index.apply(rows(matrix))
    assert index.unlinked == 4_000
    link_all(index)
    assert (index.linked, index.unlinked) == (4_000, 0)
    points: dict[PointId, np.ndarray] = dict(enumerate(matrix))
    hits, plan = index.search(queries, k=10, ef=100)
    assert plan["plan"] == "graph"
    truth = [brute(points, query, 10, metric) for query in queries]
    found = sum(len(set(one.ids) & set(best)) for one, best in zip(hits, truth, strict=True))
    assert found / 600 >= 0.95
    exact, plan = index.search(queries, k=10, exact=True)
    assert plan["plan"] == "exact"
    assert [one.ids for one in exact] == truth


def test_points_are_found_before_and_while_they_are_linked() -> None:
    matrix = clustered(3_000, 16)
    index = make(16)
    index.apply(rows(matrix))
    index.link_turn(1_000)
    probes = [5, 700, 999, 1_000, 1_001, 2_999]
    while True:
        hits, _ = index.search(matrix[probes], k=3)
        assert [one.ids[0] for one in hits] == probes
        if not index.link_turn(700):
            break


def test_upserts_replace_and_tombstones_remove_in_tail_and_graph() -> None:
    matrix = clustered(2_500, 16)
    index = make(16)
    index.apply(rows(matrix))
    link_all(index)
    moved = -matrix[:10]
    index.apply([row(i, 2, moved[i]) for i in range(10)])
    index.apply([row(i, 2, None) for i in range(10, 20)])
    assert (index.live, index.linked, index.garbage, index.unlinked) == (2_490, 2_480, 20, 10)
    for step in range(2):
        hits, _ = index.search(moved, k=1)
        assert [one.ids[0] for one in hits] == list(range(10))
        assert {one.versions[0] for one in hits} == {version(2)}
        hits, _ = index.search(matrix[:20], k=5)
        for i, one in enumerate(hits):
            assert i not in one.ids or (i < 10 and one.versions[one.ids.index(i)] == version(2))
            assert not set(one.ids) & set(range(10, 20))
            assert len(one.ids) == 5
        if not step:
            link_all(index)
    assert (index.linked, index.unlinked) == (2_490, 0)


def test_older_and_repeated_rows_change_nothing() -> None:
    index = make(2, "dot")
    index.apply([row(1, 5, [1, 0])])
    index.apply([row(1, 5, [1, 0]), row(1, 4, [9, 9]), row(1, 3, None)])
    hits, _ = index.search(np.array([[1, 1]], dtype=np.float32), k=5)
    assert hits[0].scores.tolist() == [1.0]
    assert hits[0].versions == [version(5)]


def test_one_id_several_times_in_one_batch() -> None:
    index = make(2, "dot")
    index.apply([row(1, 1, [1, 0]), row(1, 3, [3, 0]), row(1, 2, [2, 0]), row(2, 1, [1, 0]), row(2, 2, None)])
    index.apply([row(3, 1, None), row(3, 2, [7, 0])])
    hits, _ = index.search(np.array([[1, 1]], dtype=np.float32), k=5)
    assert dict(zip(hits[0].ids, hits[0].scores.tolist(), strict=True)) == {1: 3.0, 3: 7.0}


def test_int_and_str_ids_differ_and_ties_go_by_id_bytes() -> None:
    index = make(2)
    index.apply([row(point, 1, [1, 1]) for point in ("1", "0", 300, 1, 2)])
    hits, _ = index.search(np.array([[1, 1]], dtype=np.float32), k=4)
    assert hits[0].ids == [1, 2, 300, "0"]


def test_k_beyond_the_points_returns_all() -> None:
    matrix = clustered(2_200, 8)
    index = make(8, "l2")
    index.apply(rows(matrix))
    link_all(index)
    hits, _ = index.search(matrix[:2], k=10_000)
    assert all(sorted(one.ids) == list(range(2_200)) for one in hits)


@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 0.5), ("dot", 2.0), ("l2", 3.0)])
def test_score_threshold(metric: str, threshold: float) -> None:
    matrix, queries = clustered(500, 8), clustered(8, 8, seed=2)
    index = make(8, metric)
    index.apply(rows(matrix))
    every, _ = index.search(queries, k=500)
    some, _ = index.search(queries, k=500, score_threshold=threshold)
    for full, cut in zip(every, some, strict=True):
        passing = full.scores <= threshold if metric == "l2" else full.scores >= threshold
        assert cut.ids == full.ids[: int(passing.sum())]


def test_a_graph_of_garbage_still_gives_all_there_is() -> None:
    matrix = clustered(2_400, 16)
    index = make(16)
    index.apply(rows(matrix))
    link_all(index)
    index.apply([row(i, 2, None) for i in range(2_395)])
    hits, _ = index.search(matrix[:5], k=10)
    assert all(sorted(one.ids) == [2_395, 2_396, 2_397, 2_398, 2_399] for one in hits)
    assert index.needs_rebuild
    rebuild_all(index)
    assert not index.needs_rebuild
    assert (index.live, index.linked, index.garbage) == (5, 0, 0)  # small again: no graph


def test_copies_share_a_label_and_do_not_spoil_the_graph() -> None:
    matrix = clustered(3_000, 16)
    copies = np.repeat(matrix[:1], 600, axis=0)
    index = make(16)
    for at in range(0, 3_000, 5):  # interleaved
        index.apply(rows(matrix[at : at + 5], first=at))
        index.apply(rows(copies[at // 5 : at // 5 + 1], first=10_000 + at // 5))
    link_all(index)
    assert index.linked == 3_600
    assert index._layer.labels == 3_000
    queries = clustered(50, 16, seed=11)
    points: dict[PointId, np.ndarray] = {**dict(enumerate(matrix)), **{10_000 + i: matrix[0] for i in range(600)}}
    hits, _ = index.search(queries, k=10, ef=100)
    truth = [brute(points, query, 10, "cosine") for query in queries]
    found = sum(len(set(one.ids) & set(best)) for one, best in zip(hits, truth, strict=True))
    assert found / 500 >= 0.95
    hits, _ = index.search(matrix[:1], k=500)
    assert hits[0].ids == [0, *range(10_000, 10_499)]
    index.apply([row(0, 2, None)])  # the one that gave the label its number
    hits, _ = index.search(matrix[:1], k=3)
    assert hits[0].ids == [10_000, 10_001, 10_002]
    assert index.garbage == 0
    index.apply([row(10_000 + i, 2, None) for i in range(600)])
    assert index.garbage == 1
    index.apply([row("again", 1, matrix[0])])
    link_all(index)
    assert index.garbage == 0
    assert index.search(matrix[:1], k=1)[0][0].ids == ["again"]


def test_rewriting_the_same_vector_needs_no_new_label() -> None:
    matrix = clustered(2_100, 8)
    index = make(8)
    index.apply(rows(matrix))
    link_all(index)
    for stamp in range(2, 60):
        index.apply([row(7, stamp, matrix[7])])
        index.link_turn()
    assert index._layer.labels == 2_100
    [posting] = index._layer.postings.values()
    assert len(posting) < 20  # the dead are pruned
    hits, _ = index.search(matrix[7:8], k=1)
    assert (hits[0].ids, hits[0].versions) == ([7], [version(59)])


def test_a_closed_index_has_no_upkeep_but_answers() -> None:
    matrix = clustered(planner.GRAPH_FROM, 4)
    index = make(4)
    index.apply(rows(matrix))
    index.close()
    assert (index.link_turn(), index.unlinked, index.needs_rebuild, index.save()) == (0, 0, False, False)
    assert index.rebuild_turn()
    assert index.search(matrix[:1], k=1)[0][0].ids == [0]


def test_wide_beams_take_more_turns_at_the_gate() -> None:
    matrix = clustered(4_000, 16)
    index = make(16)
    index.apply(rows(matrix))
    link_all(index)
    gate = index._layer.gate

    def turns(ef: int) -> int:
        before = gate.shared_entries
        hits, plan = index.search(matrix[:64], k=10, ef=ef)
        assert plan["plan"] == "graph"
        assert [each.ids[0] for each in hits] == list(range(64))
        return gate.shared_entries - before

    assert turns(64) == 1
    assert turns(320) == 3


def test_an_empty_place_of_the_beam_is_no_hit_beside_a_tail() -> None:
    """Its row, whichever is read for it, may be the nearest of all: here that of a dead point."""
    matrix = clustered(3_000, 8)
    index = make(8)
    index.apply(rows(matrix))
    link_all(index)
    near = np.argsort(-score_rows(matrix[0], matrix, "cosine"))[:400].tolist()
    index.apply([row(point, 2, None) for point in near])
    index.apply(rows(matrix[1_000:1_020] + 0.01, stamp=2, first=5_000))
    left: dict[PointId, Matrix] = {point: matrix[point] for point in set(range(3_000)) - set(near)}
    left |= {5_000 + at: vector for at, vector in enumerate(matrix[1_000:1_020] + 0.01)}
    assert index.unlinked == 20
    for k in (3, 10):
        hits, plan = index.search(matrix[:1], k=k)
        assert plan["scanned"] >= 20
        assert hits[0].ids == brute(left, matrix[0], k, "cosine")
