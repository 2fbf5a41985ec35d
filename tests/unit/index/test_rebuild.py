"""Rebuilding aside while rows are written, and what triggers it."""

from __future__ import annotations

import pytest

from tests.unit.index.doubles import brute, clustered, link_all, make, rebuild_all, row, rows
from vectron_p2p.index import rebuild
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.scoring import Matrix


def check(index: ShardIndex, points: dict[PointId, Matrix], queries: Matrix) -> None:
    assert index.live == len(points)
    hits, _ = index.search(queries, k=10, exact=True)
    assert [one.ids for one in hits] == [brute(points, query, 10, "cosine") for query in queries]


def test_writes_during_a_rebuild_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "COPY_STEP", 64)
    matrix, queries = clustered(4_000, 12), clustered(20, 12, seed=3)
    index = make(12)
    index.apply(rows(matrix))
    link_all(index)
    points: dict[PointId, Matrix] = dict(enumerate(matrix))
    index.apply([row(i, 2, None) for i in range(1_200)])
    for i in range(1_200):
        del points[i]
    assert index.needs_rebuild
    stamp = 3
    while not index.rebuild_turn():
        # overwrite, delete, add, delete what was added, bring back what was deleted
        a, b, c = 1_200 + stamp, 2_000 + stamp, 5_000 + stamp
        index.apply([row(a, stamp, -matrix[a]), row(b, stamp, None), row(c, stamp, matrix[0])])
        points[a], points[c] = -matrix[a], matrix[0]
        points.pop(b, None)
        if stamp % 3 == 0:
            index.apply([row(c, stamp + 1, None), row(b, stamp + 1, matrix[b])])
            del points[c]
            points[b] = matrix[b]
        stamp += 1
        if stamp % 10 == 0:
            check(index, points, queries[:3])
    assert stamp > 50
    assert not index.needs_rebuild
    check(index, points, queries)
    link_all(index)
    assert index.linked == index.live
    assert index.garbage < 200  # only what the writes during the rebuild have left
    check(index, points, queries)


def test_garbage_asks_for_a_rebuild_only_when_there_is_much() -> None:
    matrix = clustered(6_000, 4)
    index = make(4)
    index.apply(rows(matrix))
    link_all(index)
    index.apply([row(i, 2, None) for i in range(1_100)])
    assert not index.needs_rebuild  # below a fifth
    index.apply([row(i, 2, None) for i in range(1_100, 1_250)])
    assert index.needs_rebuild
    rebuild_all(index)
    assert (index.live, index.linked, index.garbage) == (4_750, 4_750, 0)


def test_a_small_shard_that_is_rewritten_over_and_over_gives_its_memory_back() -> None:
    matrix = clustered(500, 4)
    index = make(4)
    for stamp in range(1, 12):
        index.apply(rows(matrix, stamp=stamp))
    assert index.needs_rebuild
    rebuild_all(index)
    assert index._layer.table.count == index.live == 500
    check(index, dict(enumerate(matrix)), matrix[:5])


def test_a_search_that_began_on_the_old_layer_ends_well() -> None:
    matrix = clustered(2_500, 8)
    index = make(8)
    index.apply(rows(matrix))
    link_all(index)
    seen: list[int] = []

    def keep(ids: list[PointId]) -> list[bool]:
        if not seen:
            index.apply([row(1, 2, None)])
            rebuild_all(index)
        seen.append(len(ids))
        return [True] * len(ids)

    hits, _ = index.search(matrix[:1], k=5, keep=keep)
    assert hits[0].ids[0] == 0
    assert len(hits[0].ids) == 5
