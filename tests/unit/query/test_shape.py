"""The shape of a filter says what was asked for, and no value."""

from __future__ import annotations

from typing import Any

import pytest

from vectron_p2p.query.shape import MAX_SHAPE, filter_shape


@pytest.mark.parametrize(
    ("filter", "shape"),
    [
        (None, ""),
        ({}, ""),
        ({"pos": "noun"}, '{"pos": "?"}'),
        ({"year": {"$gte": 2020, "$lt": 2024}}, '{"year": {"$gte": "?", "$lt": "?"}}'),
        ({"id": {"$in": list(range(1000))}}, '{"id": {"$in": ["?"]}}'),
        ({"$or": [{"a": 1}, {"b": None}]}, '{"$or": [{"a": "?"}, {"b": "?"}]}'),
        ({"$not": {"a": {"$exists": True}}}, '{"$not": {"a": {"$exists": "?"}}}'),
    ],
)
def test_values_are_left_out(filter: dict[str, Any] | None, shape: str) -> None:
    assert filter_shape(filter) == shape


def test_a_long_one_is_cut() -> None:
    shape = filter_shape({f"field{number}": "secret" for number in range(1000)})
    assert len(shape) == MAX_SHAPE
    assert "secret" not in shape
