"""Filters are chosen by how many points they keep, and keep exactly what the filter language says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectron_p2p.bench.selection import TOLERANCE, far_queries, select
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.sample import load_sample


def payloads(**counts: int) -> list[dict[str, Any]]:
    return [{"kind": kind} for kind, count in counts.items() for _ in range(count)]


def test_the_value_closest_to_the_share_wins() -> None:
    found = select(payloads(rare=3, some=11, most=86), 0.10)
    assert found is not None
    assert found.filter == {"kind": "some"}
    assert found.share == 0.11
    assert found.kept.tolist() == list(range(3, 14))


def test_values_are_added_up_where_none_alone_keeps_enough() -> None:
    found = select(payloads(a=35, b=34, c=31), 0.70)
    assert found is not None
    assert found.filter == {"kind": {"$in": ["a", "b"]}}
    assert found.share == 0.69


def test_nothing_near_is_said_and_not_made_up() -> None:
    assert select(payloads(a=50, b=50), 0.03) is None
    assert select([{}] * 10, 0.5) is None


@pytest.mark.parametrize("odd", [True, 1.0, None, ["a"], {"b": 1}])
def test_a_field_whose_meaning_is_not_plain_equality_is_left_alone(odd: Any) -> None:
    rows = [{"x": 1} for _ in range(10)] + [{"x": 2} for _ in range(89)] + [{"x": odd}]
    assert select(rows, 0.10) is None


def test_names_are_no_filter() -> None:
    assert select([{"name": f"n{number}"} for number in range(100)], 0.01) is None


@pytest.mark.parametrize("share", [0.03, 0.10, 0.70])
def test_on_the_sample_it_keeps_what_the_database_would(share: float) -> None:
    rows = load_sample().payloads
    found = select(rows, share)
    assert found is not None
    assert share / TOLERANCE <= found.share <= share * TOLERANCE
    tree = parse_filter(found.filter)
    assert found.kept.tolist() == [row for row, payload in enumerate(rows) if matches(tree, payload)]


def test_far_queries_have_no_neighbour_that_is_kept() -> None:
    truth = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int32)
    assert far_queries(truth, np.array([2, 6], dtype=np.int32)).tolist() == [1]
