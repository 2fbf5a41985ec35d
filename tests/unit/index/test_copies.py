"""Rows of filters that are asked again: copied once, extended, never missing a point that a search should see."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.index.doubles import brute, clustered, link_all, make, row
from vectron_p2p.index import copies
from vectron_p2p.index.copies import Copies, Copy
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.index.slots import View
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.scoring import Matrix, score_rows

MATRIX = clustered(6_000, 8)


def fill(index: ShardIndex, first: int, last: int, *, stamp: int = 1, half: int | None = None) -> None:
    index.apply(
        [row(i, stamp, MATRIX[i % 6_000], {"half": i % 2 if half is None else half}) for i in range(first, last)]
    )


def state(index: ShardIndex, half: int = 1) -> tuple[View, np.ndarray, int]:
    view = index._layer.table.view()
    mask = index._layer.payloads.masks(parse_filter({"half": half}), view.end).sure
    return view, mask, int((mask & view.alive_between(0, view.end)).sum())


def shown(copy: Copy, view: View, mask: np.ndarray) -> set[PointId]:
    alive = copy.slots[view.alive(copy.slots)]
    tail = copies.live_slots(view, mask, copy.end)
    assert copy.rows.tobytes() == view.rows[copy.slots].tobytes()
    return {view.ids[slot] for slot in (*alive.tolist(), *tail.tolist())}


def test_made_at_the_second_time_and_kept_while_little_is_new() -> None:
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 2_000)
    assert held.get("odd", *state(index), None) is None
    first = held.get("odd", *state(index), None)
    assert first is not None
    assert shown(first, *state(index)[:2]) == set(range(1, 2_000, 2))
    fill(index, 2_000, 2_200)
    index.apply([row(i, 2, None) for i in range(100)])
    again = held.get("odd", *state(index), None)
    assert again is not None
    assert again.rows is first.rows
    assert shown(again, *state(index)[:2]) == set(range(101, 2_200, 2))
    fill(index, 2_200, 4_000)
    longer = held.get("odd", *state(index), None)
    assert longer is not None
    assert longer.end == 4_000
    assert len(longer.slots) == 2_000  # the dead of before among them
    assert shown(longer, *state(index)[:2]) == set(range(101, 4_000, 2))


def test_a_search_that_began_before_sees_what_it_should() -> None:
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 1_000)
    early = state(index)
    held.get("odd", *early, None)
    fill(index, 0, 500, stamp=2, half=0)
    late = held.get("odd", *state(index), None)
    assert late is not None
    assert len(late.slots) == 250
    assert held.get("odd", *early, None) is None  # half of what it should see is not there
    index.apply([row(999, 3, None)])
    middle = state(index)
    fill(index, 1_000, 4_000)
    longer = held.get("odd", *state(index), None)
    assert longer is not None
    assert held.get("odd", *middle, None) is None
    fill(index, 5_000, 5_001)
    same = held.get("odd", *state(index), None)
    assert same is not None
    assert same.rows is longer.rows


def test_a_shorter_view_of_the_same_moment_gets_its_part() -> None:
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 1_000)
    view, mask, _ = state(index)
    held.get("odd", *state(index), None)
    assert held.get("odd", *state(index), None) is not None
    count = int(mask[:500].sum())
    part = held.get("odd", view._replace(end=500), mask[:500], count, None)
    assert part is not None
    assert (part.end, len(part.slots), len(part.rows)) == (500, count, count)


def test_made_anew_when_most_of_it_is_dead() -> None:
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 1_000)
    held.get("odd", *state(index), None)
    held.get("odd", *state(index), None)
    index.apply([row(i, 2, None) for i in range(800)])
    anew = held.get("odd", *state(index), None)
    assert anew is not None
    assert len(anew.slots) == 100


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "LEAST_BYTES", 0)
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 1_600)
    view = index._layer.table.view()
    budget = 1_600 * 8 * 4 // copies.SHARE  # 200 rows, less their slot numbers
    for number in range(40):
        mask = np.arange(1_600) % 20 == number % 20
        for _ in range(2):
            held.get(f"filter {number}", view, mask, 80, None)
        assert held.nbytes <= budget
    assert held.nbytes > budget // 2
    for _ in range(3):
        assert held.get("too many", view, np.arange(1_600) < 300, 300, None) is None
    for number in range(1_000):
        held.get(f"once {number}", view, np.arange(1_600) < 80, 80, None)
    assert len(held._asked) <= copies.REMEMBERED


def test_searches_use_it() -> None:
    index = make(8, "l2")
    fill(index, 0, 6_000)
    tree = parse_filter({"half": 1})
    first, _ = index.search(MATRIX[:5], k=20, exact=True, filter=tree)
    for _ in range(2):
        again, plan = index.search(MATRIX[:5], k=20, exact=True, filter=tree)
        assert [one.ids for one in again] == [one.ids for one in first]
        assert plan["scanned"] == 3_000
    assert index._layer.copies.nbytes >= 3_000 * 8 * 4
    index.apply([row(first[0].ids[0], 2, None), row("new", 2, MATRIX[0], {"half": 1})])
    fresh, plan = index.search(MATRIX[:1], k=20, exact=True, filter=tree)
    assert fresh[0].ids[0] == "new"
    assert first[0].ids[0] not in fresh[0].ids
    assert plan["scanned"] == 3_000


def test_it_grows_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "AT_ONCE", 300)
    monkeypatch.setattr(copies, "LEAST_TAIL", 10)
    index, held = make(8, "l2"), Copies("l2")
    fill(index, 0, 2_000)
    lengths = []
    for _ in range(6):
        copy = held.get("odd", *state(index), None)
        if copy is not None:
            lengths.append(len(copy.slots))
            assert shown(copy, *state(index)[:2]) == set(range(1, 2_000, 2))
    assert lengths == [300, 600, 900, 1_000, 1_000]


def test_what_died_before_it_grew_is_not_shown() -> None:
    index, tree = make(8, "l2"), parse_filter({"half": 1})
    fill(index, 0, 4_000)

    def found() -> set[PointId]:
        return set(index.search(MATRIX[1:2], k=5_000, filter=tree, exact=True)[0][0].ids)

    assert found() == found() == set(range(1, 4_000, 2))
    index.apply([row(i, 2, None) for i in range(100)])
    fill(index, 4_000, 5_000)
    assert found() == found() == set(range(101, 5_000, 2)), "the second time the copy is of this very moment"


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_many_are_held_in_the_dimensions_of_the_graph(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "LEAST_PROJECTED", 1)
    monkeypatch.setattr(copies, "LEAST_BYTES", 1 << 30)
    rng = np.random.default_rng(3)
    wide = rng.normal(size=(4_000, 20)) @ rng.normal(size=(20, 128)) + 0.3 * rng.normal(size=(4_000, 128))
    matrix: Matrix = wide.astype(np.float32)
    index, tree = make(128, metric), parse_filter({"half": 1})
    index.apply([row(i, 1, vector, {"half": i % 2}) for i, vector in enumerate(matrix)])
    link_all(index)
    width = index._layer.dimensions
    assert width < 128
    points: dict[PointId, Matrix] = {i: matrix[i] for i in range(1, 4_000, 2)}
    queries = matrix[:30] + matrix[30:60]
    wanted = [brute(points, query, 10, metric) for query in queries]
    hits, plan = [index.search(queries, k=10, filter=tree) for _ in range(5)][-1]
    assert (plan["plan"], plan["dimensions"], plan["scanned"]) == ("exact", width, 2_000)
    assert sum(len(set(one.ids) & set(best)) for one, best in zip(hits, wanted, strict=True)) >= 0.99 * 300
    assert index._layer.copies.nbytes <= 2_000 * (width * 4 + 8)
    for query, one in zip(queries, hits, strict=True):
        true = score_rows(query, np.stack([points[point] for point in one.ids]), metric)
        np.testing.assert_allclose(one.scores, true, rtol=1e-5, atol=1e-6, err_msg="scores are those of whole vectors")
    for _ in range(5):
        exact, plan = index.search(queries, k=10, filter=tree, exact=True)
        assert [one.ids for one in exact] == wanted, "who asks for exact gets it"
        assert "dimensions" not in plan
