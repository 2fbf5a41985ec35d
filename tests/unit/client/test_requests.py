"""Arguments of calls: what is taken, and which field a refusal names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectron_p2p.client import requests
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.protocol.messages import Search

SEARCH: dict[str, Any] = {
    "vectors": b"", "count": 1, "dimension": 0, "point_id": None, "k": 10, "filter": None, "ef": None, "exact": False,
    "offset": 0, "score_threshold": None, "with_payload": True, "with_vector": False, "consistency": "one",
    "timeout": 3.0, "explain": False,
}  # fmt: skip


def search(**changes: Any) -> Search:
    return requests.search("docs", **{**SEARCH, **changes})


def refused(call: Any, *arguments: Any, **options: Any) -> str | None:
    with pytest.raises(InvalidArgument) as caught:
        call(*arguments, **options)
    return caught.value.field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": 10_001}, "k"),
        ({"k": 1.0}, "k"),
        ({"k": True}, "k"),
        ({"k": "3"}, "k"),
        ({"k": None}, "k"),
        ({"offset": -1}, "offset"),
        ({"offset": 9_991}, "offset"),
        ({"offset": False}, "offset"),
        ({"ef": 0}, "ef"),
        ({"ef": "x"}, "ef"),
        ({"score_threshold": "x"}, "score_threshold"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"score_threshold": True}, "score_threshold"),
        ({"consistency": "most"}, "consistency"),
        ({"consistency": "linearizable"}, "consistency"),
        ({"consistency": None}, "consistency"),
        ({"filter": "x"}, "filter"),
        ({"filter": [1]}, "filter"),
        ({"filter": {1: 2}}, "filter"),
        ({"filter": {"a": object()}}, "filter"),
        ({"filter": {"a": {1, 2}}}, "filter"),
        ({"filter": {"a": b"x"}}, "filter"),
        ({"filter": {"a": 2**64}}, "filter"),
        ({"filter": {"a": "\ud800"}}, "filter"),
        ({"filter": {"\ud800": 1}}, "filter"),
        ({"point_id": ""}, "id"),
        ({"point_id": -1}, "id"),
    ],
)
def test_bad_arguments_of_a_search(change: dict[str, Any], field: str) -> None:
    assert refused(search, **change) == field


def test_numpy_numbers_are_numbers() -> None:
    request = search(
        k=np.int64(5), offset=np.uint8(2), ef=np.int32(99), score_threshold=np.float32(0.5), point_id=np.uint64(7)
    )
    assert (request.k, request.offset, request.ef, request.score_threshold, request.id) == (5, 2, 99, 0.5, 7)
    assert all(type(value) is int for value in (request.k, request.offset, request.ef, request.id))


def test_filters_become_plain() -> None:
    request = search(filter={"a": np.int64(3), "b": {"$in": (1, np.float64(2.5), "x", None, True)}})
    assert request.filter == {"a": 3, "b": {"$in": [1, 2.5, "x", None, True]}}
    assert [type(value) for value in request.filter["b"]["$in"]] == [int, float, str, type(None), bool]


def test_a_bottomless_filter_is_refused() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = {"$not": deep}
    assert refused(search, filter=deep) == "filter"
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert refused(search, filter=loop) == "filter"


@pytest.mark.parametrize("ids", ["abc", 5, b"x", {"a": 1}, None, 1.5])
def test_ids_are_a_list(ids: Any) -> None:
    assert refused(requests.check_ids, ids) == "ids"


@pytest.mark.parametrize(
    "ids", [[1, "a"], (1, "a"), iter([1, "a"]), np.array([1, "a"], object), [np.int64(1), np.str_("a")]]
)
def test_lists_of_ids(ids: Any) -> None:
    assert requests.check_ids(ids) == [1, "a"]


def test_the_bounds_of_int_ids() -> None:
    assert requests.check_ids([0, 2**64 - 1]) == [0, 2**64 - 1]
    assert refused(requests.check_ids, [0, 2**64]) == "id"


def test_long_lists_are_asked_in_parts_that_keep_the_order() -> None:
    parts = requests.get("docs", range(1000), with_vector=True, with_payload=False, consistency="all")
    assert [point_id for part in parts for point_id in part.ids] == list(range(1000))
    assert max(len(part.ids) for part in parts) == requests.IDS_PER_GET
    deletes = requests.delete("docs", range(5000), consistency="one", operation_id="op")
    assert [part.operation_id for part in deletes] == ["op/0", "op/1", "op/2"]
    assert requests.delete("docs", [], consistency="one", operation_id="op") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": 5}, "name"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 4097}, "dimension"),
        ({"dimension": "3"}, "dimension"),
        ({"metric": "euclid"}, "metric"),
        ({"shards": 3}, "shards"),
        ({"shards": 512}, "shards"),
        ({"replicas": 0}, "replicas"),
        ({"m": 1}, "m"),
        ({"ef_construction": 0}, "ef_construction"),
    ],
)
def test_bad_arguments_of_create_collection(change: dict[str, Any], field: str) -> None:
    good = {
        "name": "docs",
        "dimension": 3,
        "metric": "cosine",
        "shards": None,
        "replicas": 3,
        "m": 16,
        "ef_construction": 100,
    }
    assert requests.create_collection(**good, if_not_exists=False, operation_id="op").shards is None
    assert refused(requests.create_collection, **{**good, **change}, if_not_exists=False, operation_id="op") == field


@pytest.mark.parametrize(
    ("change", "field"), [({"limit": 0}, "limit"), ({"limit": 10**6}, "limit"), ({"cursor": 5}, "cursor")]
)
def test_bad_arguments_of_scroll(change: dict[str, Any], field: str) -> None:
    good = {"filter": None, "limit": 100, "cursor": None, "with_vector": False}
    assert refused(requests.scroll, "docs", **{**good, **change}) == field
