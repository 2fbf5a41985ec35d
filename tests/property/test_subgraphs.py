"""Any history of writes, linking and searches: what is found in the graph of a filter is what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.index.doubles import brute, link_all, make, rebuild_all, row
from vectron_p2p.index import subgraphs
from vectron_p2p.index.subgraph import Subgraph
from vectron_p2p.model.ids import PointId
from vectron_p2p.query import planner
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.scoring import Matrix

# Few different vectors: labels are shared by points that pass and points that do not.
VECTORS = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)
FILTERS = [parse_filter({"half": half}) for half in (0, 1)]

write = st.tuples(st.just("write"), st.integers(0, 20), st.integers(0, len(VECTORS) - 1), st.integers(0, 1))
delete = st.tuples(st.just("delete"), st.integers(0, 20))
many = st.tuples(st.just("many"), st.integers(1, 30), st.integers(0, 1))
search = st.tuples(st.just("search"), st.integers(0, 1), st.integers(0, len(VECTORS) - 1), st.integers(1, 8))
upkeep = st.sampled_from([("link", 1), ("link", 50), ("subgraph",), ("subgraph",), ("rebuild",)])
histories = st.lists(st.one_of(write, delete, many, search, search, upkeep, upkeep), min_size=5, max_size=60)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of a few points, for every filter, and never a scan instead."""
    monkeypatch.setattr(planner, "GRAPH_FROM", 4)
    monkeypatch.setattr(planner, "DISTANCES_PER_EF", 0.001)
    monkeypatch.setattr(planner, "WIDEST_SHARE", 0.001)
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    monkeypatch.setattr(planner, "SUBGRAPH_EARLY", 0.0)
    monkeypatch.setattr(subgraphs, "SHARE", 1e-6)
    monkeypatch.setattr(subgraphs, "AT_ONCE", 1)
    monkeypatch.setattr(subgraphs, "BEHIND", 10)


def play(history: list, used: list[Subgraph]) -> None:
    index = make(4, "l2")
    live: dict[PointId, tuple[Matrix, int]] = {}
    count = 0
    begun: list = [("many", 15, 0), ("many", 15, 1), ("link", 50), ("search", 0, 0, 1), ("search", 1, 0, 1)]
    for stamp, (what, *rest) in enumerate([*begun, ("subgraph",), ("subgraph",), *history], 1):
        if what == "write":
            point, vector, half = rest
            index.apply([row(point, stamp, VECTORS[vector], {"half": half})])
            live[point] = VECTORS[vector], half
        elif what == "delete":
            index.apply([row(rest[0], stamp, None)])
            live.pop(rest[0], None)
        elif what == "many":
            for at in range(rest[0]):
                vector = VECTORS[at % len(VECTORS)] * (1 + count)
                index.apply([row(f"{count}", stamp, vector, {"half": rest[1]})])
                live[f"{count}"] = vector, rest[1]
                count += 1
        elif what == "link":
            index.link_turn(rest[0])
        elif what == "subgraph":
            index.subgraph_turn()
        elif what == "rebuild":
            rebuild_all(index)
        else:
            check(index, live, *rest)
    for half in (0, 1):
        for _ in range(2):
            check(index, live, half, 0, 5)
            link_all(index)
            while index.subgraphs_due:
                index.subgraph_turn()
    used += index._layer.subgraphs._held.values()


def check(index, live, half: int, vector: int, k: int) -> None:
    kept = {point: held for point, (held, which) in live.items() if which == half}
    hits, plan = index.search(VECTORS[vector : vector + 1], k=k, ef=200, filter=FILTERS[half])
    assert hits[0].ids == brute(kept, VECTORS[vector], k, "l2")
    assert plan["matches"] == len(kept)


@pytest.mark.usefixtures("eager")
def test_what_is_found_is_what_is_there() -> None:
    used: list[Subgraph] = []

    @settings(max_examples=150)
    @given(history=histories)
    def run(history: list) -> None:
        play(history, used)

    run()
    assert len(used) > 50
