"""Filtered searches: never fewer than min(k, matches), whatever the share and wherever the matches lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered, link_all, make, row, rows
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.scoring import Matrix

COUNT = 4_000
MATRIX = clustered(COUNT, 16)
QUERIES = clustered(12, 16, seed=4)
RANDOM = np.random.default_rng(0).random(COUNT)


class Keep:
    """A filter that counts what it is asked."""

    def __init__(self, accept: Callable[[PointId], bool]) -> None:
        self.accept = accept
        self.asked: list[PointId] = []

    def __call__(self, ids: list[PointId]) -> list[bool]:
        self.asked.extend(ids)
        return [self.accept(point) for point in ids]


@pytest.fixture(scope="module")
def linked() -> ShardIndex:
    index = make(16)
    index.apply(rows(MATRIX))
    link_all(index)
    return index


def recall(index: ShardIndex, keep: Keep, k: int = 10) -> float:
    hits, _ = index.search(QUERIES, k=k, ef=100, keep=keep)
    points: dict[PointId, Matrix] = {i: MATRIX[i] for i in range(COUNT) if keep.accept(i)}
    found = wanted = 0
    for query, one in zip(QUERIES, hits, strict=True):
        best = brute(points, query, k, "cosine")
        assert all(keep.accept(point) for point in one.ids)
        assert len(one.ids) == len(best)
        found, wanted = found + len(set(best) & set(one.ids)), wanted + len(best)
    return found / max(1, wanted)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.1, 0.03, 0.002, 0.0])
def test_any_share(linked: ShardIndex, share: float) -> None:
    keep = Keep(lambda point: bool(RANDOM[int(point)] < share))
    assert recall(linked, keep) >= (0.95 if share else 0.0)


def test_matches_far_from_the_query(linked: ShardIndex) -> None:
    far = set(np.argsort(MATRIX @ QUERIES[0])[:25].tolist())
    assert recall(linked, Keep(lambda point: point in far)) >= 0.95


def test_a_frequent_match_costs_few_questions(linked: ShardIndex) -> None:
    keep = Keep(lambda point: True)
    linked.search(QUERIES[:1], k=10, keep=keep)
    assert len(keep.asked) <= 40


def test_each_point_is_asked_once_per_batch(linked: ShardIndex) -> None:
    keep = Keep(lambda point: bool(RANDOM[int(point)] < 0.001))
    linked.search(QUERIES, k=10, keep=keep)
    assert len(keep.asked) == len(set(keep.asked)) == COUNT


def test_matches_only_in_the_tail() -> None:
    index = make(16)
    index.apply(rows(MATRIX[:3_000]))
    link_all(index)
    index.apply(rows(MATRIX[3_000:], first=3_000))
    assert recall(index, Keep(lambda point: int(point) >= 3_000)) == 1.0
    assert recall(index, Keep(lambda point: int(point) >= 3_990)) == 1.0
    assert recall(index, Keep(lambda point: int(point) % 50 == 0)) >= 0.95


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_exact_and_small(metric: str) -> None:
    index = make(16, metric)
    index.apply(rows(MATRIX[:900]))
    keep = Keep(lambda point: int(point) % 3 == 0)
    hits, plan = index.search(QUERIES, k=15, exact=True, keep=keep)
    points: dict[PointId, Matrix] = {i: MATRIX[i] for i in range(0, 900, 3)}
    assert plan["plan"] == "exact"
    assert [one.ids for one in hits] == [brute(points, query, 15, metric) for query in QUERIES]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("exact", [False, True])
def test_with_a_threshold(metric: str, exact: bool) -> None:
    index = make(16, metric)
    index.apply(rows(MATRIX))
    link_all(index)
    accept = Keep(lambda point: int(point) % 2 == 0)
    full, _ = index.search(QUERIES, k=50, exact=True, keep=accept)
    for query, best in zip(QUERIES, full, strict=True):
        threshold = float(best.scores[20])
        hits, _ = index.search(query.reshape(1, -1), k=50, exact=exact, keep=accept, score_threshold=threshold)
        inside = best.scores <= threshold if metric == "l2" else best.scores >= threshold
        expected = [point for point, ok in zip(best.ids, inside, strict=True) if ok]
        if exact:
            assert hits[0].ids == expected
        else:
            assert len(set(hits[0].ids) & set(expected)) >= 0.9 * len(expected)
            assert set(hits[0].ids) <= set(expected)


def test_deleted_points_are_never_asked_about() -> None:
    index = make(16)
    index.apply(rows(MATRIX))
    link_all(index)
    index.apply([row(i, 2, None) for i in range(0, COUNT, 2)])
    keep = Keep(lambda point: int(point) % 2 == 0)
    hits, _ = index.search(QUERIES, k=10, keep=keep)
    assert all(not one.ids for one in hits)
    assert all(int(point) % 2 for point in keep.asked)


def test_an_error_of_the_filter_comes_through(linked: ShardIndex) -> None:
    def broken(ids: list[PointId]) -> list[bool]:
        raise OSError("disk")

    with pytest.raises(OSError):
        linked.search(QUERIES[:1], k=1, keep=broken)
    assert len(linked.search(QUERIES[:1], k=1)[0][0].ids) == 1  # nothing was left locked
