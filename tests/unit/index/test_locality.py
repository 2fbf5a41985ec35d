"""Rows that come together get slots like by like, and nothing else depends on it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.index.doubles import clustered, make, row
from vectron_p2p.index.locality import LEAST_ROWS, like_by_like
from vectron_p2p.query.filters import parse_filter

MATRIX = clustered(1_000, 16)


def gap(matrix: np.ndarray) -> float:
    """The mean distance of rows from those before."""
    return float(np.linalg.norm(matrix[1:] - matrix[:-1], axis=1).mean())


def test_like_rows_come_together() -> None:
    order = like_by_like(MATRIX)
    assert order is not None
    assert sorted(order.tolist()) == list(range(1_000))
    assert gap(MATRIX[order]) < 0.75 * gap(MATRIX)
    assert like_by_like(MATRIX[: LEAST_ROWS - 1]) is None


@pytest.mark.parametrize("value", [0.0, 1.0, 3e38])
def test_equal_and_huge_rows_have_an_order_too(value: float) -> None:
    order = like_by_like(np.full((LEAST_ROWS, 4), value, dtype=np.float32))
    assert order is not None
    assert sorted(order.tolist()) == list(range(LEAST_ROWS))


def test_of_rows_of_one_point_the_newest_counts_with_its_own_vector_and_payload() -> None:
    index = make(16)
    batch = [row(i % 600, 1 + i // 600, vector, {"n": i}) for i, vector in enumerate(MATRIX)]
    batch[100:100] = [row(5, 1, None), row(7, 3, None)]
    index.apply(batch[::-1])
    assert index.live == 599
    for point, place in ((5, 605), (399, 999), (400, 400), (599, 599)):
        hits, _ = index.search(MATRIX[place : place + 1], k=1, filter=parse_filter({"n": place}))
        assert hits[0].ids == [point]
        assert hits[0].scores[0] > 0.999
    assert index.matches(parse_filter({"n": {"$gte": 0}})).sure == 599
    assert index.matches(parse_filter({"n": 607})).sure == 0
