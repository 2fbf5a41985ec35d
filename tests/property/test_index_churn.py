"""Any history of writes, linking, rebuilds and restarts: searches are those of the live set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.index.doubles import Row, brute, link_all, make, rebuild_all, row
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.query import planner
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.query.scoring import Matrix

# Few vectors on a grid: copies, ties and opposite directions are the hard part.
GRID = np.array([[x, y] for x in (-1, 0, 1, 2) for y in (-1, 0, 1, 2) if x or y], dtype=np.float32)

points = st.one_of(st.integers(0, 15), st.sampled_from(["a", "b", "1"]))
upsert = st.tuples(st.just("upsert"), points, st.integers(0, len(GRID) - 1))
delete = st.tuples(st.just("delete"), points)
upkeep = st.sampled_from([("link", 1), ("link", 5), ("rebuild turn",), ("rebuild",), ("restart",), ("save",)])
histories = st.lists(st.one_of(upsert, upsert, delete, upkeep), max_size=60)


FILTERS = [
    {"place": {"$lt": 8}}, {"place": {"$ne": 3}}, {"tags": 1}, {"$or": [{"tags": 0}, {"place": 2}]}, {"none": None},
    {"tags": {"$contains": "x" * 70}},  # too long to be kept: the stored payloads are asked
]  # fmt: skip


def check_filters(
    index: ShardIndex, held: dict[PointId, Row], live: dict[PointId, Matrix], asked: Matrix, k: int
) -> None:
    payloads = {point: unpack_payload(held[point].payload or b"") for point in live}
    for source in FILTERS:
        tree = parse_filter(source)
        wanted = {point: vector for point, vector in live.items() if matches(tree, payloads[point])}

        def keep(ids: list[PointId], wanted: dict[PointId, Matrix] = wanted) -> list[bool]:
            return [point in wanted for point in ids]

        for _ in range(2):  # the second time may find the rows copied together
            found, plan = index.search(asked, k=k, filter=tree, keep=keep)
            assert found[0].ids == brute(wanted, asked[0], k, index.options.metric)
            assert plan["matches"] == len(wanted)
        decided = index.matches(tree)
        assert set(decided.sure_ids()) <= wanted.keys() <= {*decided.sure_ids(), *decided.open_ids()}
        assert "x" * 70 in repr(source) or (decided.sure, decided.open) == (len(wanted), 0)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, k=st.integers(1, 25), query=st.sampled_from(GRID.tolist()))
def test_exact_over_any_history(metric: str, history, k: int, query, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("shard")
    small = planner.GRAPH_FROM
    planner.GRAPH_FROM = 4  # graphs of a few points
    try:
        index = make(2, metric, folder)
        live: dict[PointId, Matrix] = {}
        held: dict[PointId, Row] = {}
        for stamp, (what, *rest) in enumerate(history, 1):
            if what in ("upsert", "delete"):
                point = rest[0]
                vector = GRID[rest[1]] if what == "upsert" else None
                held[point] = row(
                    point, stamp, vector, {"place": rest[-1], "tags": [stamp % 3, "x" * 70 * (stamp % 2)]}
                )
                index.apply([held[point]])
                if vector is None:
                    live.pop(point, None)
                else:
                    live[point] = vector
            elif what == "link":
                index.link_turn(rest[0])
            elif what == "rebuild turn":
                index.rebuild_turn()
            elif what == "rebuild":
                rebuild_all(index)
            elif what == "save":
                if stamp % 3 == 0:  # a fork costs milliseconds
                    index.save()
            else:
                index = make(2, metric, folder)
                assert index.load(list(held.values())).rows == len(live)
        asked = np.array([query], dtype=np.float32)
        expected = brute(live, asked[0], k, metric)
        assert index.live == len(live)
        assert index.search(asked, k=k, exact=True)[0][0].ids == expected
        found = index.search(asked, k=k, ef=500)[0][0]
        assert len(found.ids) == len(expected)
        assert found.versions == [held[point].version for point in found.ids]
        even: dict[PointId, Matrix] = {
            point: vector for point, vector in live.items() if isinstance(point, int) and point % 2 == 0
        }
        kept = index.search(asked, k=k, keep=lambda ids: [point in even for point in ids])[0][0]
        assert kept.ids == brute(even, asked[0], k, metric)
        check_filters(index, held, live, asked, k)
        link_all(index)
        assert index.search(asked, k=k, exact=True)[0][0].ids == expected
        check_filters(index, held, live, asked, k)
    finally:
        planner.GRAPH_FROM = small
