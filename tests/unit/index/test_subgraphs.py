"""Graphs of what a filter keeps: which filters get one, and that searches with it find what they would without."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered, forbid_copies, link_all, make, rebuild_all, row
from vectron_p2p.index import shard_index, subgraph, subgraphs
from vectron_p2p.index.gate import Gate
from vectron_p2p.index.hnsw import Graph
from vectron_p2p.index.payload.fields import Masks
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.index.subgraphs import Subgraphs
from vectron_p2p.index.turns import CALM_TURN
from vectron_p2p.model.ids import PointId
from vectron_p2p.query import planner
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.scoring import Matrix

COUNT, DIMENSION = 3_000, 16
MATRIX = clustered(COUNT, DIMENSION)
QUERIES = clustered(16, DIMENSION, seed=4)
ODD = parse_filter({"half": 1})
EVEN = parse_filter({"half": 0})
UNSURE = np.zeros(COUNT, dtype=np.bool_)
MOST = parse_filter({"part": {"$lt": 3}})


def payload(point: int) -> dict[str, Any]:
    return {"half": point % 2, "part": point % 4}


def fill(index: ShardIndex, first: int = 0, last: int = COUNT, stamp: int = 1, **changed: Any) -> None:
    index.apply([row(i, stamp, MATRIX[i % COUNT], payload(i) | changed) for i in range(first, last)])


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every filter gets a graph, as if there were too many points for a scan, and there is room for all."""
    monkeypatch.setattr(planner, "SUBGRAPH_EARLY", 0.0)
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    monkeypatch.setattr(subgraphs, "SHARE", 0.01)


@pytest.fixture
def index() -> ShardIndex:
    made = make(DIMENSION, "cosine")
    fill(made)
    link_all(made)
    return made


def search(index: ShardIndex, filter: Any = ODD, queries: Any = QUERIES, **options: Any) -> tuple[list, dict[str, Any]]:
    return index.search(queries, filter=filter, **{"k": 10, **options})


def settle(index: ShardIndex) -> int:
    """How many turns that took."""
    turns = 0
    while index.subgraphs_due:
        index.subgraph_turn()
        turns += 1
    return turns


def built(index: ShardIndex, filter: Any = ODD) -> dict[str, Any]:
    """Asked, linked, asked again: the plan then."""
    search(index, filter)
    settle(index)
    return search(index, filter)[1]


@pytest.mark.usefixtures("eager")
def test_found_as_with_the_graph_of_all_with_a_narrower_beam(index: ShardIndex) -> None:
    odd: dict[PointId, Matrix] = {i: MATRIX[i] for i in range(1, COUNT, 2)}
    best = [set(brute(odd, query, 10, "cosine")) for query in QUERIES]
    before, wide = search(index)
    assert (wide["plan"], wide.get("subgraph")) == ("graph", None)
    turns = settle(index)
    assert turns == pytest.approx(COUNT / 2 / CALM_TURN, abs=1)
    after, narrow = search(index)
    assert (narrow["plan"], narrow["subgraph"], narrow["rounds"]) == ("graph", COUNT // 2, 1)
    assert narrow["fetch"] == -(-64 * planner.SUBGRAPH_MARGIN // 1) < wide["fetch"] / 1.7
    assert index.payload_bytes > index._layer.subgraphs.nbytes > COUNT // 2 * DIMENSION * 4
    for hits in (before, after):
        assert sum(len(set(one.ids) & wanted) for one, wanted in zip(hits, best, strict=True)) >= 0.98 * 160
        assert all(point in odd for one in hits for point in one.ids)
    assert search(index, exact=True)[1].get("subgraph") is None
    search(index, EVEN, exact=True)
    assert not index.subgraphs_due, "it was not the graph that was too slow"


@pytest.mark.usefixtures("eager")
def test_explain_tells_that_it_is_being_linked(index: ShardIndex) -> None:
    search(index)
    index.apply([row("new", 2, -MATRIX[0])])
    assert not index.subgraphs_due
    index.subgraph_turn()
    assert "subgraph" not in search(index)[1], "the graph of all points comes first"
    link_all(index)
    index.subgraph_turn()
    plan = search(index)[1]
    assert (plan["subgraph"], plan["plan"]) == (0, "graph")
    assert "subgraph" not in search(index, EVEN)[1]


def test_a_filter_has_to_be_asked_often(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        search(index)
    assert not index.subgraphs_due, "few enough for a scan"
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    monkeypatch.setattr(subgraphs, "SHARE", 0.01)
    waste = planner.wasted(64, COUNT, COUNT // 2)
    price = planner.subgraph_price(subgraphs.CONSTRUCTION * 100) * COUNT / 2

    def due() -> bool:
        return index.subgraphs_due

    asked = 0
    while not due() and asked < 1_000:
        search(index, queries=QUERIES[:1])
        asked += 1
    assert price / waste <= asked < price / waste + 1
    assert asked > 10


def test_nothing_is_wasted_where_nearly_all_pass() -> None:
    assert planner.wasted(64, 100, 95) == 0
    assert planner.wasted(64, 100, 70) == pytest.approx(64 * (1.65 / 0.7 - 1.85))
    assert planner.wasted(64, 100, 20) > 10 * planner.wasted(64, 100, 70)


@pytest.mark.usefixtures("eager")
def test_it_follows_what_is_written_while_it_is_asked(index: ShardIndex) -> None:
    built(index)
    fresh = -MATRIX[:400]
    index.apply([row(f"new {i}", 2, fresh[i], payload(i)) for i in range(400)])
    index.apply([row(i, 2, None) for i in range(1, 100, 2)])
    index.apply([row(i, 2, MATRIX[i], {"half": 0}) for i in range(101, 200, 2)])  # does not pass any more
    index.apply([row(i, 2, MATRIX[i], {"half": 1}) for i in range(100, 200, 2)])  # does now

    def check() -> dict[str, Any]:
        hits, plan = search(index, queries=fresh[1::2])
        assert [one.ids[0] for one in hits] == [f"new {i}" for i in range(1, 400, 2)]
        gone, _ = search(index, queries=MATRIX[1:200:2])
        assert not {point for one in gone for point in one.ids} & set(range(1, 200, 2))
        came, _ = search(index, queries=MATRIX[100:200:2])
        assert [one.ids[0] for one in came] == list(range(100, 200, 2))
        return plan

    plan = check()
    assert (plan["subgraph"], plan["scanned"]) == (COUNT // 2, 250)
    assert not index.subgraphs_due, "nothing is linked yet"
    link_all(index)
    assert check()["scanned"] == 250, "not in it yet"
    fill(index, COUNT, COUNT + 1, stamp=3)
    assert index.unlinked
    assert index.subgraphs_due, "it follows also while the graph of all points grows"
    link_all(index)
    settle(index)
    plan = check()
    assert plan["subgraph"] == COUNT // 2 + 250
    assert plan["scanned"] == 0
    for first in (COUNT + 1, COUNT + 301):
        settle(index)
        fill(index, first, first + 300, stamp=3)
        link_all(index)
    assert not index.subgraphs_due, "nobody has asked since"
    search(index)
    assert index.subgraphs_due


@pytest.mark.usefixtures("eager")
def test_nobody_searches_one_while_it_grows(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[bool] = []
    add = Graph.add_while

    def watched(graph: Graph, *rest: Any) -> int:
        alone.append(index._layer.gate._alone)
        return add(graph, *rest)

    monkeypatch.setattr(Graph, "add_while", watched)
    built(index)
    assert set(alone) == {False}, "nobody knows it yet"
    index.apply([row(f"new {i}", 2, -MATRIX[i], payload(i)) for i in range(200)])
    link_all(index)
    search(index)
    alone.clear()
    assert settle(index) == 1
    assert alone == [True]


@pytest.mark.usefixtures("eager")
def test_its_dead_widen_the_beam(index: ShardIndex) -> None:
    built(index)
    index.apply([row(i, 2, None) for i in range(1, 1_001, 2)])
    plan = search(index)[1]
    assert (plan["subgraph"], plan["matches"]) == (1_500, 1_000)
    assert plan["fetch"] == math.ceil(64 * planner.SUBGRAPH_MARGIN * 1_500 / 1_000)


@pytest.mark.usefixtures("eager")
def test_it_follows_a_turn_for_each_time_that_it_is_asked(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went on for ever beside steady writes, when searches that ask others ended its turns early."""
    built(index)
    index.apply([row(f"new {i}", 2, -MATRIX[i], payload(i)) for i in range(1_000)])
    link_all(index)
    search(index)
    with monkeypatch.context() as busy:
        busy.setattr(Gate, "wanted", True)
        for _ in range(2):
            search(index)
            assert settle(index) == 1
    plan = search(index)[1]
    assert COUNT // 2 < plan["subgraph"] < COUNT // 2 + 100
    assert plan["scanned"] == COUNT // 2 + 500 - plan["subgraph"]


@pytest.mark.usefixtures("eager")
def test_one_that_is_far_behind_is_not_asked(index: ShardIndex) -> None:
    built(index)
    index.apply([row(f"new {i}", 2, -MATRIX[i], payload(i)) for i in range(subgraphs.BEHIND + 1)])
    link_all(index)
    hits, plan = search(index, queries=-MATRIX[1:2])
    assert hits[0].ids[0] == "new 1"
    assert ("subgraph" in plan, plan["plan"]) == (False, "graph")
    settle(index)
    hits, plan = search(index, queries=-MATRIX[1:2])
    assert hits[0].ids[0] == "new 1"
    assert plan["subgraph"] == COUNT // 2 + subgraphs.BEHIND // 2


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Graph, list[int]]]:
    """The labels that were added to each graph, in turns."""
    calls: list[tuple[Graph, list[int]]] = []
    add = Graph.add_while

    def watched(graph: Graph, labels: Any, *rest: Any) -> int:
        count = add(graph, labels, *rest)
        calls.append((graph, labels[:count].tolist()))
        return count

    monkeypatch.setattr(Graph, "add_while", watched)
    return calls


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("turn", [CALM_TURN, 100])
def test_equal_vectors_of_which_only_some_pass(
    turn: int, added: list[tuple[Graph, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_index, "CALM_TURN", turn)
    monkeypatch.setattr(subgraph, "WINDOW", 1)
    index = make(DIMENSION, "cosine")
    fill(index)
    # Labels are those of the points before, half of which do not pass.
    index.apply([row(f"twin {i}", 1, MATRIX[i], {"half": 1}) for i in range(200)])
    link_all(index)
    assert index._layer.labels == COUNT
    built(index)
    hits, plan = search(index, queries=MATRIX[:200], k=2)
    assert plan["subgraph"] == COUNT // 2 + 100
    for i, one in enumerate(hits):
        assert f"twin {i}" in one.ids
        assert (i in one.ids) == (i % 2 == 1)
    index.apply([row(f"late {i}", 2, MATRIX[i], {"half": 1}) for i in range(0, 400, 2)])  # half have a label in it
    link_all(index)
    hits, plan = search(index, queries=MATRIX[:400:2], k=3)
    assert plan["scanned"] == 200
    assert all(len(set(one.ids)) == 3 for one in hits), "scanned, and not of its label as well"
    while settle(index):
        search(index)
    hits, plan = search(index, queries=MATRIX[:400:2], k=2)
    assert plan["subgraph"] == COUNT // 2 + 200
    assert all(f"late {i}" in one.ids for i, one in zip(range(0, 400, 2), hits, strict=True))
    labels = [label for graph, turn in added if graph is not index._layer.graph for label in turn]
    assert len(labels) == len(set(labels)) == COUNT // 2 + 200, "a label is never added again"


@pytest.mark.usefixtures("eager")
def test_after_a_restart_labels_of_points_that_are_gone_have_their_vectors(tmp_path: Path) -> None:
    first = make(DIMENSION, "cosine", tmp_path)
    fill(first)
    twins = [row(f"twin {i}", 1, MATRIX[i], {"half": 1}) for i in range(0, 200, 2)]
    first.apply(twins)
    link_all(first)
    assert first.save()
    index = make(DIMENSION, "cosine", tmp_path)
    kept = [row(i, 1, MATRIX[i], payload(i)) for i in range(200, COUNT)]
    assert index.load([*kept, *twins]).snapshot == "used"
    link_all(index)
    built(index)
    hits, plan = search(index, queries=MATRIX[0:200:2])
    assert [one.ids[0] for one in hits] == [f"twin {i}" for i in range(0, 200, 2)]
    assert plan["subgraph"] == COUNT // 2


@pytest.mark.usefixtures("eager")
def test_one_that_is_mostly_dead_is_made_anew(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vectron_p2p.index.wear.GARBAGE_SHARE", 1.0)
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    built(index)
    index.apply([row(i, 2, None) for i in range(1, COUNT // 2 + 100, 2)])
    assert "subgraph" not in search(index)[1]
    settle(index)
    hits, _ = search(index)
    plan = search(index, k=1, ef=10)[1]
    assert plan["subgraph"] == plan["matches"] == COUNT // 4 - 50
    assert all(point > COUNT // 2 for one in hits for point in one.ids)


@pytest.mark.usefixtures("eager")
def test_a_rebuilt_index_makes_those_that_were_earned(index: ShardIndex) -> None:
    built(index)
    rebuild_all(index)
    assert "subgraph" not in search(index, EVEN)[1]
    settle(index)
    assert search(index)[1]["subgraph"] == COUNT // 2


@pytest.mark.usefixtures("eager")
def test_a_failure_costs_only_the_subgraph(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    for following in (False, True):
        if following:
            built(index)
            index.apply([row(f"new {i}", 2, -MATRIX[i], payload(i)) for i in range(300)])
            link_all(index)
        search(index)
        with monkeypatch.context() as broken:
            broken.setattr(Graph, "add_while", fails)
            with pytest.raises(MemoryError):
                index.subgraph_turn()
        assert not index.subgraphs_due, "it has to be earned again"
        assert index._layer.subgraphs.nbytes == 0
        assert "subgraph" not in search(index)[1]
        assert built(index)["subgraph"] == COUNT // 2 + 150 * following


@pytest.mark.usefixtures("eager")
def test_what_the_payload_index_cannot_tell_gets_none(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    search(index)
    monkeypatch.setattr(PayloadIndex, "masks", lambda *_: Masks(sure=UNSURE, possible=~UNSURE))
    index.subgraph_turn()
    assert not index.subgraphs_due


def test_memory_is_bounded_and_goes_to_who_deserves_it(index: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "SUBGRAPH_EARLY", 0.0)
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    layer = index._layer
    assert layer.graph is not None
    size = int(subgraphs.SPARE * COUNT / 2) * layer.graph.element_bytes
    whole = COUNT * DIMENSION * 4 + layer.graph.nbytes
    monkeypatch.setattr(subgraphs, "SHARE", whole / (1.2 * size))  # for one half of the points
    search(index, MOST)
    assert not index.subgraphs_due, "too large"
    assert built(index)["subgraph"] == COUNT // 2
    assert layer.subgraphs.nbytes == size
    for _ in range(2):
        search(index, EVEN)
        assert not index.subgraphs_due, "no more than the other has earned, or not by much"
    for _ in range(3):
        search(index, EVEN)
    assert built(index, EVEN)["subgraph"] == COUNT // 2
    assert layer.subgraphs.nbytes == size
    assert "subgraph" not in search(index)[1]


def test_what_was_asked_long_ago_counts_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subgraphs, "AGING", 100)
    held = Subgraphs()

    def ask(key: str, queries: int) -> None:
        held.ask(key, ODD, beam=64, points=1_000, matches=500, linked_to=1_000, queries=queries)

    ask("a", 60)
    first = held._wishes["a"].earned
    assert first == 60 * planner.wasted(64, 1_000, 500)
    ask("b", 30)
    assert held._wishes["a"].earned == first
    ask("b", 10)
    assert held._wishes["a"].earned == first / 2
    ask("c", 1)
    assert held._wishes["a"].earned == first / 2


def test_few_filters_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subgraphs, "REMEMBERED", 3)
    held = Subgraphs()
    for key in ("a", "b", "c", "a", "d", "e" * (subgraphs.MAX_KEY + 1)):
        held.ask(key, ODD, beam=64, points=1_000, matches=500, linked_to=1_000, queries=1)
    assert list(held._wishes) == ["c", "a", "d"]


@pytest.mark.usefixtures("eager")
def test_one_that_was_forgotten_while_it_was_linked_is_not_kept(
    index: ShardIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subgraphs, "REMEMBERED", 1)
    search(index)
    index.subgraph_turn()
    search(index, EVEN)
    assert index.subgraphs_due
    settle(index)
    assert search(index, EVEN)[1]["subgraph"] == COUNT // 2
    assert "subgraph" not in search(index)[1]
    assert "subgraph" not in search(index, EVEN)[1], "it takes the memory of one that nobody may ask again"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_other_metrics_and_projections(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_copies(monkeypatch)
    wide = np.zeros((COUNT, 80), dtype=np.float32)
    wide[:, :DIMENSION] = MATRIX
    wide[:, DIMENSION:] = 0.01 * np.random.default_rng(2).normal(size=(COUNT, 80 - DIMENSION))
    index = make(80, metric)
    index.apply([row(i, 1, wide[i], payload(i)) for i in range(COUNT)])
    link_all(index)
    assert index._layer.projection is not None
    queries = wide[1:400:2] * 1.01
    odd: dict[PointId, Matrix] = {i: wide[i] for i in range(1, COUNT, 2)}
    search(index, queries=queries)
    settle(index)
    hits, plan = search(index, queries=queries)
    assert plan["subgraph"] == COUNT // 2
    best = [set(brute(odd, query, 10, metric)) for query in queries]
    found = sum(len(set(one.ids) & wanted) for one, wanted in zip(hits, best, strict=True))
    assert found >= 0.97 * 10 * len(queries)
