"""Real threads: searches while rows are written, linked, rebuilt and saved.

At every moment: a point that is always there is found, in a version at least as new as when the search began; a point
that was gone when a search began is not found; nothing crashes or hangs.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.index.doubles import Row, clustered, make, rebuild_all, row, rows
from vectron_p2p.index import blas, forking, subgraphs
from vectron_p2p.index.gate import Gate
from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.index.turns import Turns
from vectron_p2p.query import planner
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.runtime.crew import ThreadCrew

DIMENSION = 16


class Crew:
    """Threads that run until the foreground is through; the first failure counts."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.rounds: dict[str, int] = {}

    def start(self, name: str, step) -> None:
        def loop() -> None:
            try:
                while not self.stop.is_set():
                    step()
                    self.rounds[name] = self.rounds.get(name, 0) + 1
            except BaseException as error:
                self.failures.append(error)
                self.stop.set()

        self.threads.append(threading.Thread(target=loop, name=name))
        self.threads[-1].start()

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), thread.name
        if self.failures:
            raise self.failures[0]


def stamp_of(version: bytes) -> int:
    return int.from_bytes(version[:8], "big")


def churn(index: ShardIndex, *, save: bool) -> None:
    base = clustered(2_600, DIMENSION)
    index.apply(rows(base))
    moving = list(range(200))
    acked = dict.fromkeys(moving, 1)  # the version acknowledged of each moving point, which keeps its vector
    gone: set[int] = set()
    crew = Crew()

    def search_moving() -> None:
        chosen = np.random.default_rng(len(crew.rounds)).integers(0, 200, 8).tolist()
        before = [acked[point] for point in chosen]
        hits, _ = index.search(base[chosen], k=3)
        for point, least, one in zip(chosen, before, hits, strict=True):
            assert point in one.ids, point
            assert one.ids.count(point) == 1
            assert stamp_of(one.versions[one.ids.index(point)]) >= least

    def search_gone() -> None:
        before = set(gone)
        hits, _ = index.search(base[1_000:1_064], k=20)
        for one in hits:
            assert not before & set(one.ids)
            assert len(set(one.ids)) == 20

    crew.start("moving", search_moving)
    crew.start("gone", search_gone)
    crew.start("link", lambda: [index.link_turn() for _ in range(4)])
    crew.start("rebuild", index.rebuild_turn)
    if save:
        crew.start("save", index.save)
    try:
        for step in range(2, 120):
            points = [moving[(step * 17 + i) % 200] for i in range(10)]
            index.apply([row(point, step, base[point]) for point in points])
            for point in points:
                acked[point] = step
            dead = 1_000 + step
            index.apply([row(dead, step, None), row(5_000 + step, step, -base[dead])])
            gone.add(dead)
            if crew.stop.is_set():
                break
    finally:
        crew.end()
    assert min(crew.rounds.get(name, 0) for name in ("moving", "gone", "link")) > 0
    rebuild_all(index)
    hits, _ = index.search(base[:200], k=3)
    for point, one in enumerate(hits):
        assert stamp_of(one.versions[one.ids.index(point)]) == acked[point]


def test_churn_in_memory() -> None:
    churn(make(DIMENSION), save=False)


@pytest.mark.parametrize("pool", [1, 2])
def test_churn_on_disk_with_snapshots(tmp_path: Path, pool: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if pool == 1:
        blas.use_one_thread()  # as in a node: children write the snapshots
    else:
        monkeypatch.setattr(blas, "threads", lambda: pool)
        monkeypatch.setattr(forking, "start", pytest.fail)
    churn(make(DIMENSION, folder=tmp_path), save=True)


def test_two_linking_threads_in_hnswlib_find_every_point() -> None:
    matrix = clustered(3_000, DIMENSION)
    index = ShardIndex(IndexOptions(DIMENSION, "cosine"), None, link_threads=ThreadCrew(2))
    index.apply(rows(matrix))
    while index.link_turn():
        pass
    hits, plan = index.search(matrix, k=1, ef=100)
    assert plan["plan"] == "graph"
    assert sum(one.ids == [i] for i, one in enumerate(hits)) >= 2_970


@pytest.mark.parametrize("threads", [1, 2])
def test_a_turn_ends_early_for_a_search_and_the_next_goes_on_there(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = clustered(2_400, DIMENSION)
    matrix[1::3] = matrix[0::3]  # equal to the one before: they join its label, in the same turn or a later one
    index = ShardIndex(IndexOptions(DIMENSION, "cosine"), None, link_threads=ThreadCrew(threads))
    index.apply(rows(matrix))
    monkeypatch.setattr(Gate, "wanted", True)
    at_once = Turns(index.options).aside
    left = 2_400
    while before := left:
        left = index.link_turn()
        assert index.linked == 2_400 - left
        assert 0 < before - left <= 2 * at_once  # labels and their twins, however many were planned
    monkeypatch.undo()
    hits, plan = index.search(matrix, k=2, ef=100)
    assert plan["plan"] == "graph"
    pairs = [set(one.ids) == {i // 3 * 3, i // 3 * 3 + 1} for i, one in enumerate(hits) if i % 3 < 2]
    assert sum(pairs) >= 0.99 * len(pairs)


@pytest.mark.parametrize("upkeep", ["rebuild", "subgraphs"])
def test_filters_beside_writes_linking_and_rebuilds(upkeep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search sees every point once, in a version whose own payload passes."""
    by_subgraph, k, ef = 0, 40, None
    if upkeep == "subgraphs":  # of every filter, as if there were too many points for a scan
        monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
        monkeypatch.setattr(planner, "SUBGRAPH_EARLY", 0.0)
        monkeypatch.setattr(subgraphs, "SHARE", 0.01)
        k, ef = 10, 16
    base = clustered(2_100, DIMENSION)
    index, rng = make(DIMENSION), np.random.default_rng(5)
    trees = [parse_filter({"group": group}) for group in range(3)]
    every = parse_filter({"$or": [{"stamp": {"$gte": 0}}, {"group": "none"}]})
    rare = parse_filter({"stamp": {"$lte": 1}, "group": {"$ne": 1}})

    def written(point: int, stamp: int) -> Row:
        return row(point, stamp, base[point], {"group": (point + stamp) % 3, "stamp": stamp})

    def search() -> None:
        nonlocal by_subgraph
        for group, tree in enumerate(trees):
            hits, plan = index.search(base[:2], k=k, ef=ef, filter=tree)
            by_subgraph += plan["plan"] == "graph" and plan.get("subgraph", 0) > 0
            for one in hits:
                assert len(set(one.ids)) == len(one.ids) == k
                for point, version in zip(one.ids, one.versions, strict=True):
                    assert (int(point) + stamp_of(version)) % 3 == group

    def count() -> None:
        found = index.matches(every).sure_ids()
        assert len(found) == len(set(found)) == len(base)
        hits, _ = index.search(base[:1], k=3_000, filter=rare)
        assert all(
            stamp_of(version) <= 1 and (int(point) + 1) % 3 != 1
            for point, version in zip(hits[0].ids, hits[0].versions, strict=True)
        )

    index.apply([written(point, 1) for point in range(len(base))])
    crew = Crew()
    crew.start("search", search)
    crew.start("count", count)
    crew.start("link", index.link_turn)
    crew.start(upkeep, (lambda: rebuild_all(index)) if upkeep == "rebuild" else index.subgraph_turn)
    stamp, deadline = 1, time.monotonic() + 60
    while not crew.stop.is_set() and time.monotonic() < deadline:
        stamp += 1
        index.apply([written(int(point), stamp) for point in rng.choice(len(base), 50, replace=False)])
        if (
            stamp > 40
            and all(crew.rounds.get(name, 0) >= 5 for name in ("search", "count"))
            and crew.rounds.get(upkeep, 0) > 1
            and (upkeep == "rebuild" or by_subgraph > 50)
        ):
            break
        # A subgraph is linked when nothing else is: it is waited for, until the same deadline.
        while upkeep == "subgraphs" and index.unlinked and not crew.stop.is_set() and time.monotonic() < deadline:
            time.sleep(0.001)
    crew.end()
    assert all(crew.rounds[name] >= 5 for name in ("search", "count"))
    assert crew.rounds[upkeep] > 1
    assert (by_subgraph > 50) == (upkeep == "subgraphs")
