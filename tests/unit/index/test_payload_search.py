"""Filtered searches by the payload index: which way each goes, and that all of them find the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered, forbid_copies, link_all, make, row
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId
from vectron_p2p.query import planner
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.query.scoring import Matrix

COUNT = 12_000
MATRIX = clustered(COUNT, 8)
QUERIES = clustered(8, 8, seed=4)
RANDOM = np.random.default_rng(0).random(COUNT)
CLOSE = np.argsort(-(MATRIX @ QUERIES[0]))


def payload(point: int) -> dict[str, Any]:
    return {
        "share": float(RANDOM[point]),
        "side": "near" if point in NEAR else "far",
        "parity": [point % 2, "even" if point % 2 == 0 else "odd"],
        "text": f"{'long ' * 20}{point % 7}",
    }


NEAR = set(CLOSE[: COUNT // 2].tolist())
PAYLOADS = {point: payload(point) for point in range(COUNT)}


@pytest.fixture(scope="module")
def linked() -> ShardIndex:
    index = make(8)
    index.apply([row(point, 1, MATRIX[point], PAYLOADS[point]) for point in range(COUNT)])
    link_all(index)
    return index


def search(
    index: ShardIndex, source: dict[str, Any], k: int = 10, queries: Matrix = QUERIES, **options: Any
) -> tuple[float, dict[str, Any]]:
    """Recall over all queries, and the plan; every hit passes, and none is missing."""
    tree = parse_filter(source)
    asked: list[PointId] = []

    def keep(ids: list[PointId]) -> list[bool]:
        asked.extend(ids)
        return [matches(tree, PAYLOADS[int(point)]) for point in ids]

    hits, plan = index.search(queries, k=k, filter=tree, keep=keep, **options)
    points: dict[PointId, Matrix] = {i: MATRIX[i] for i in range(COUNT) if matches(tree, PAYLOADS[i])}
    assert plan.get("checked", 0) == len(asked) == len(set(asked))
    if "undecided" not in plan:
        assert plan["matches"] == len(points)
    found = wanted = 0
    for query, one in zip(queries, hits, strict=True):
        best = brute(points, query, k, "cosine")
        assert len(one.ids) == len(best)
        assert set(one.ids) <= points.keys()
        found, wanted = found + len(set(one.ids) & set(best)), wanted + len(best)
    return found / max(1, wanted), plan


def test_no_match_is_an_empty_answer_without_a_look_at_a_vector(linked: ShardIndex) -> None:
    sources: list[dict[str, Any]] = [{"share": {"$gt": 2}}, {"side": "neither"}, {"unknown": 1}, {"$or": []}]
    for source in sources:
        recall, plan = search(linked, source)
        assert (recall, plan["plan"], plan["scanned"]) == (0, "empty", 0)


@pytest.mark.parametrize("share", [0.0005, 0.03, 0.1])
def test_few_matches_are_scanned_and_nothing_else(linked: ShardIndex, share: float) -> None:
    recall, plan = search(linked, {"share": {"$lt": share}})
    assert (recall, plan["plan"]) == (1.0, "exact")
    assert plan["scanned"] == plan["matches"] == int((share > RANDOM).sum())


@pytest.mark.parametrize("source", [{"share": {"$lt": 0.7}}, {"side": "near"}, {"parity": "odd"}, {"side": {"$ne": 1}}])
def test_many_matches_are_picked_from_the_graph(
    linked: ShardIndex, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_copies(monkeypatch)
    recalls = []
    for query in QUERIES:  # a batch is cheaper to scan
        recall, plan = search(linked, source, queries=query.reshape(1, -1), ef=100)
        recalls.append(recall)
        assert plan["fetch"] >= 100
    assert sum(recalls) >= 0.98 * len(QUERIES)


def test_many_hits_of_many_matches_take_one_round(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"share": {"$lt": 0.8}}, k=100, queries=QUERIES[:1])
    assert recall >= 0.98
    assert (plan["plan"], plan["rounds"]) == ("graph", 1)


def test_matches_that_are_all_far_from_the_query_are_found(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"side": "far"}, queries=QUERIES[:1])
    assert recall >= 0.98
    assert plan["rounds"] > 1  # a beam of the usual width holds none of them


def test_asking_for_exact_is_a_scan_of_the_matches(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"side": "near"}, exact=True)
    assert (recall, plan["plan"], plan["scanned"]) == (1.0, "exact", COUNT // 2)


def test_more_asked_for_than_there_are(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"share": {"$lt": 0.01}}, k=500)
    assert recall == 1.0
    assert plan["matches"] < 500


def test_a_few_open_rows_are_looked_up_first(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"share": {"$lt": 0.01}, "text": {"$contains": "long 3"}})
    assert recall == 1.0
    assert 0 < plan["matches"] < plan["checked"] < 200
    assert "undecided" not in plan


def test_many_open_rows_are_asked_best_first(linked: ShardIndex) -> None:
    recall, plan = search(linked, {"text": {"$contains": "long 3"}, "parity": 1}, ef=100)
    assert recall >= 0.98
    assert plan["undecided"] == plan["matches"] == COUNT // 2  # the other half fails for sure
    assert plan["checked"] < COUNT // 4


@pytest.mark.parametrize("exact", [False, True])
def test_a_threshold(linked: ShardIndex, exact: bool) -> None:
    tree = parse_filter({"side": "near"})
    full = linked.search(QUERIES[:1], k=50, exact=True, filter=tree)[0][0]
    some = linked.search(QUERIES[:1], k=50, exact=exact, ef=400, filter=tree, score_threshold=float(full.scores[20]))[
        0
    ][0]
    assert some.ids == full.ids[:21]


def test_the_tail_and_the_dead(linked: ShardIndex) -> None:
    index = make(8)
    index.apply([row(point, 1, MATRIX[point], {"half": point % 2}) for point in range(10_000)])
    link_all(index)
    index.apply([row(point, 2, MATRIX[point], {"half": 2}) for point in range(400)])  # to the tail, with another value
    index.apply([row(point, 2, None) for point in range(400, 5_000)])
    live: dict[int, int] = {**{p: p % 2 for p in range(5_000, 10_000)}, **dict.fromkeys(range(400), 2)}
    for value in (0, 1, 2, 3):
        points: dict[PointId, Matrix] = {p: MATRIX[p] for p, half in live.items() if half == value}
        hits, plan = index.search(QUERIES, k=10, ef=200, filter=parse_filter({"half": value}))
        assert plan["matches"] == len(points)
        found = [
            len(set(one.ids) & set(brute(points, query, 10, "cosine")))
            for query, one in zip(QUERIES, hits, strict=True)
        ]
        assert sum(found) >= 0.98 * len(QUERIES) * min(10, len(points))


def test_equal_vectors_with_different_payloads() -> None:
    index = make(8)
    vectors = np.repeat(MATRIX[:2_500], 4, axis=0)  # four points share a label each
    index.apply([row(i, 1, vector, {"copy": i % 4}) for i, vector in enumerate(vectors)])
    link_all(index)
    for copy in range(4):
        hits, plan = index.search(MATRIX[:40], k=1, ef=100, filter=parse_filter({"copy": copy}))
        assert plan["matches"] == 2_500
        assert [one.ids for one in hits] == [[4 * i + copy] for i in range(40)]


def test_an_undecided_filter_needs_somebody_to_ask(linked: ShardIndex) -> None:
    with pytest.raises(ValueError, match="nothing to ask"):
        linked.search(QUERIES, k=1, filter=parse_filter({"text": {"$contains": "3"}}))


def test_memory_is_counted(linked: ShardIndex) -> None:
    assert COUNT * 30 < linked.payload_bytes < COUNT * 200


@pytest.mark.parametrize("exact", [False, True])
def test_all_matches_die_after_the_plan_was_made(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(8)
    index.apply([row(point, 1, MATRIX[point], {"rare": point < 5}) for point in range(100)])
    choose = planner.choose_filtered

    def choose_late(**options: Any) -> planner.Plan:
        index.apply([row(point, 2, None) for point in range(5)])
        return choose(**options)

    monkeypatch.setattr(planner, "choose_filtered", choose_late)
    hits, plan = index.search(QUERIES[:3], k=10, filter=parse_filter({"rare": True}), exact=exact)
    assert (plan["matches"], plan["scanned"]) == (5, 0)
    assert [one.ids for one in hits] == [[], [], []]
