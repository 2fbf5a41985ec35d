"""Every operator of the filter language, and every way to get it wrong."""

from __future__ import annotations

from typing import Any

import pytest

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.query.filters import And, In, compile_filter, match_all, matches, parse_filter

PAYLOAD: dict[str, Any] = {
    "pos": "noun",
    "year": 2021,
    "score": 0.5,
    "flag": True,
    "none": None,
    "tags": ["red", "green", 3, None],
    "empty": [],
    "nested": {"a": {"b": 7}, "list": [{"x": 1}, {"x": [2, "two"]}, {"y": 3}, 4]},
    "matrix": [[1, 2], [3]],
    "": "blank",
}


def passes(source: object, payload: dict[str, Any] = PAYLOAD) -> bool:
    return matches(parse_filter(source), payload)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, True),
        ({}, True),
        ({"$and": []}, True),
        ({"$or": []}, False),
        ({"$not": {}}, False),
        ({"pos": "noun"}, True),
        ({"pos": "verb"}, False),
        ({"pos": "noun", "year": 2021}, True),
        ({"pos": "noun", "year": 2020}, False),
        ({"year": 2021.0}, True),
        ({"year": "2021"}, False),
        ({"flag": True}, True),
        ({"flag": 1}, False),
        ({"year": True}, False),
        ({"": "blank"}, True),
        # null is null or missing
        ({"none": None}, True),
        ({"missing": None}, True),
        ({"pos": None}, False),
        ({"empty": None}, False),
        ({"tags": None}, True),
        ({"none": {"$ne": None}}, False),
        ({"missing": {"$ne": None}}, False),
        ({"missing": {"$in": [1, None]}}, True),
        ({"missing": {"$nin": [1, None]}}, False),
        # negations hold where the field is missing
        ({"missing": {"$ne": 1}}, True),
        ({"missing": {"$nin": [1]}}, True),
        ({"pos": {"$ne": "noun"}}, False),
        ({"tags": {"$ne": "red"}}, False),
        ({"tags": {"$nin": ["blue"]}}, True),
        ({"pos": {"$in": []}}, False),
        ({"pos": {"$nin": []}}, True),
        ({"pos": {"$in": ["verb", "noun"]}}, True),
        # ranges compare like with like
        ({"year": {"$gte": 2020, "$lt": 2024}}, True),
        ({"year": {"$gt": 2021}}, False),
        ({"year": {"$gte": 2021}}, True),
        ({"year": {"$lte": 2021}}, True),
        ({"year": {"$lt": 2021.5}}, True),
        ({"year": {"$gt": "2020"}}, False),
        ({"pos": {"$gt": 1}}, False),
        ({"pos": {"$gt": "mouse"}}, True),
        ({"flag": {"$gt": 0}}, False),
        ({"none": {"$lt": 5}}, False),
        ({"missing": {"$lt": 5}}, False),
        ({"tags": {"$gte": 3}}, True),
        ({"tags": {"$lt": "h"}}, True),
        ({"year": {"$lt": float("inf")}}, True),
        # existence
        ({"none": {"$exists": True}}, True),
        ({"missing": {"$exists": True}}, False),
        ({"missing": {"$exists": False}}, True),
        ({"empty": {"$exists": True}}, True),
        ({"nested.a": {"$exists": True}}, True),
        # elements and substrings
        ({"tags": {"$contains": "red"}}, True),
        ({"tags": {"$contains": "re"}}, False),
        ({"tags": {"$contains": None}}, True),
        ({"tags": {"$contains": 3.0}}, True),
        ({"pos": {"$contains": "ou"}}, True),
        ({"pos": {"$contains": ""}}, True),
        ({"year": {"$contains": 2021}}, False),
        ({"missing": {"$contains": "x"}}, False),
        ({"matrix": {"$contains": 1}}, False),
        ({"matrix": 3}, False),
        # paths
        ({"nested.a.b": 7}, True),
        ({"nested.a.c": None}, True),
        ({"nested.a.b.c": {"$exists": True}}, False),
        ({"nested.list.x": 1}, True),
        ({"nested.list.x": "two"}, True),
        ({"nested.list.y": {"$gt": 2}}, True),
        ({"nested.list.z": {"$exists": True}}, False),
        ({"pos.length": None}, True),
        ({"nested": {"$exists": True}}, True),
        ({"nested": "x"}, False),
        # logic
        ({"$or": [{"pos": "verb"}, {"year": 2021}]}, True),
        ({"$and": [{"pos": "noun"}, {"$not": {"year": 2021}}]}, False),
        ({"$not": {"pos": "verb"}}, True),
        ({"$not": {"$or": []}}, True),
        ({"$and": [{"pos": "noun"}], "year": 1}, False),
    ],
)
def test_meaning(source: object, expected: bool) -> None:
    assert passes(source) is expected


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ([], "filter"),
        ("pos", "filter"),
        ({1: 2}, "filter"),
        ({"$nor": []}, "filter.$nor"),
        ({"$eq": 1}, "filter.$eq"),
        ({"$and": {}}, "filter.$and"),
        ({"$or": "x"}, "filter.$or"),
        ({"$and": [1]}, "filter"),
        ({"$not": []}, "filter"),
        ({"year": {}}, "filter.year"),
        ({"year": {"$regex": "x"}}, "filter.year"),
        ({"year": {"inner": 1}}, "filter.year"),
        ({"year": {"$not": {"$gt": 1}}}, "filter.year"),
        ({"year": [1]}, "filter.year"),
        ({"year": {"$eq": [1]}}, "filter.year"),
        ({"year": {"$ne": {}}}, "filter.year"),
        ({"year": {"$gt": None}}, "filter.year"),
        ({"year": {"$gte": True}}, "filter.year"),
        ({"year": {"$lt": [1]}}, "filter.year"),
        ({"year": {"$lte": float("nan")}}, "filter.year"),
        ({"year": float("nan")}, "filter.year"),
        ({"year": {"$in": 1}}, "filter.year"),
        ({"year": {"$in": [[1]]}}, "filter.year"),
        ({"year": {"$nin": "abc"}}, "filter.year"),
        ({"year": {"$exists": 1}}, "filter.year"),
        ({"year": {"$contains": ["x"]}}, "filter.year"),
        ({"year": b"bytes"}, "filter.year"),
        ({"year": {1: 2}}, "filter.year"),
    ],
)
def test_what_is_wrong_is_named(source: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_filter(source)
    assert caught.value.field == field
    assert not caught.value.retryable


def test_depth_is_capped() -> None:
    def nest(levels: int) -> dict[str, Any]:
        source: dict[str, Any] = {"a": 1}
        for _ in range(levels):
            source = {"$not": source}
        return source

    parse_filter(nest(14))
    with pytest.raises(InvalidArgument, match="deep"):
        parse_filter(nest(16))
    with pytest.raises(InvalidArgument, match="deep"):
        parse_filter(nest(5_000))


def test_size_is_capped_but_not_the_values_of_in() -> None:
    parse_filter({"$or": [{"a": i} for i in range(400)]})
    with pytest.raises(InvalidArgument, match="1000"):
        parse_filter({"$or": [{"a": i} for i in range(1_000)]})
    assert passes({"year": {"$in": list(range(5_000))}})


def test_a_path_has_no_more_parts_than_a_payload_has_levels() -> None:
    parse_filter({".".join("a" * 16): 1})
    with pytest.raises(InvalidArgument):
        parse_filter({".".join("a" * 17): 1})


def test_match_all_is_recognised() -> None:
    assert match_all(parse_filter(None))
    assert match_all(parse_filter({}))
    assert match_all(parse_filter({"$and": [{}, {"$and": []}]}))
    assert not match_all(parse_filter({"a": 1}))
    assert not match_all(parse_filter({"$or": []}))


def test_trees_compare_by_content() -> None:
    assert parse_filter({"a": 1}) == In("a", (1,))
    assert parse_filter({"a": 1, "b": 2}) == And((In("a", (1,)), In("b", (2,))))


def test_a_stored_nan_breaks_nothing() -> None:
    payload = {"x": float("nan")}
    assert not passes({"x": {"$gt": 0}}, payload)
    assert not passes({"x": 1}, payload)
    assert passes({"x": {"$ne": 1}}, payload)


def test_one_compiled_filter_serves_many_payloads() -> None:
    predicate = compile_filter(parse_filter({"n": {"$gte": 5}}))
    assert [predicate({"n": n}) for n in range(8)] == [False] * 5 + [True] * 3
