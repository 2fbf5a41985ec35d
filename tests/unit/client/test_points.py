"""Points as users write them, as columns: shapes, checks, splitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectron_p2p.client.points import (
    REQUEST_BYTES,
    REQUEST_ROWS,
    Columns,
    check_matrix,
    check_vector,
    columns,
    upserts,
)
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import pack_payload, unpack_payload
from vectron_p2p.protocol.registry import encode

VECTORS = [[1.0, 2.0], [3.0, 4.0]]


def field_of(*arguments: Any) -> str | None:
    with pytest.raises(InvalidArgument) as caught:
        columns(*arguments)
    return caught.value.field


@pytest.mark.parametrize(
    "arguments",
    [
        (None, [1, "a"], VECTORS, [{"x": 1}, None]),
        (None, np.array([1, 2], object), np.array(VECTORS), ({"x": 1}, {})),
        ([{"id": 1, "vector": [1.0, 2.0], "payload": {"x": 1}}, {"id": "a", "vector": (3, 4)}], None, None, None),
        ([(1, [1.0, 2.0], {"x": 1}), ("a", np.array([3.0, 4.0]))], None, None, None),
        (iter([(1, [1.0, 2.0], {"x": 1}), ["a", [3.0, 4.0], None]]), None, None, None),
    ],
)
def test_the_three_shapes_are_the_same_points(arguments: Any) -> None:
    data = columns(*arguments)
    assert data.ids[0] == 1
    assert data.vectors.tolist() == VECTORS
    assert data.vectors.dtype == np.float32
    assert [unpack_payload(payload) for payload in data.payloads] == [{"x": 1}, {}]


def test_ids_of_arrays_become_plain() -> None:
    data = columns(None, np.arange(3, dtype=np.uint64), np.eye(3), None)
    assert data.ids == [0, 1, 2]
    assert all(type(point_id) is int for point_id in data.ids)


def test_of_duplicate_ids_the_last_wins() -> None:
    data = columns([(1, [1.0]), (2, [2.0]), (1, [3.0], {"last": True}), ("1", [4.0])], None, None, None)
    assert data.ids == [2, 1, "1"]
    assert data.vectors.tolist() == [[2.0], [3.0], [4.0]]
    assert unpack_payload(data.payloads[1]) == {"last": True}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((None, None, None, None), "ids"),
        ((None, [1], None, None), "vectors"),
        (([(1, [1.0])], [1], None, None), "points"),
        (([(1, [1.0])], None, None, [{}]), "points"),
        (({"id": 1}, None, None, None), "points"),
        (("rows", None, None, None), "points"),
        ((5, None, None, None), "points"),
        (([5], None, None, None), "points"),
        (([(1,)], None, None, None), "points"),
        (([(1, [1.0], {}, 4)], None, None, None), "points"),
        (([{"vector": [1.0]}], None, None, None), "id"),
        (([{"id": 1}], None, None, None), "vector"),
        (([{"id": 1, "vector": [1.0], "colour": 1}], None, None, None), "colour"),
        ((None, "ab", [[1.0], [2.0]], None), "ids"),
        ((None, 7, [[1.0]], None), "ids"),
        ((None, [True], [[1.0]], None), "id"),
        ((None, [-1], [[1.0]], None), "id"),
        ((None, [2**64], [[1.0]], None), "id"),
        ((None, [""], [[1.0]], None), "id"),
        ((None, ["x" * 513], [[1.0]], None), "id"),
        ((None, [1.5], [[1.0]], None), "id"),
        ((None, [None], [[1.0]], None), "id"),
        ((None, [1, 2], [[1.0]], None), "vector"),
        ((None, [1], [1.0], None), "vector"),
        ((None, [1], [[[1.0]]], None), "vector"),
        ((None, [1], [[]], None), "vector"),
        ((None, [1], [[0.0] * 4097], None), "vector"),
        ((None, [1, 2], [[1.0, 2.0], [1.0]], None), "vector"),
        ((None, [1], [["1.0"]], None), "vector"),
        ((None, [1], [[None]], None), "vector"),
        ((None, [1], [[True]], None), "vector"),
        ((None, [1], [[1j]], None), "vector"),
        ((None, [1], [[float("nan")]], None), "vector"),
        ((None, [1], [[float("inf")]], None), "vector"),
        ((None, [1], [[1e39]], None), "vector"),
        ((None, [1], "vectors", None), "vector"),
        ((None, [1], 1.0, None), "vector"),
        ((None, [1], [[1.0]], [{}, {}]), "payloads"),
        ((None, [1], [[1.0]], {"x": 1}), "payloads"),
        ((None, [1], [[1.0]], ["x"]), "payload"),
        ((None, [1], [[1.0]], [{1: 2}]), "payload"),
        ((None, [1], [[1.0]], [{"x": object()}]), "payload"),
        ((None, [1], [[1.0]], [{"x": 2**64}]), "payload"),
        ((None, [1], [[1.0]], [{"x": "y" * 70_000}]), "payload"),
    ],
)
def test_what_is_refused_names_the_field(arguments: Any, field: str) -> None:
    assert field_of(*arguments) == field


def test_the_row_at_fault_is_named() -> None:
    with pytest.raises(InvalidArgument, match="row 2: value 1 "):
        columns(None, [1, 2, 3], [[1.0, 2.0], [1.0, 2.0], [1.0, float("nan")]], None)
    with pytest.raises(InvalidArgument, match=r"row 1 has 1 values, row 0 has 2"):
        columns(None, [1, 2], [[1.0, 2.0], [1.0]], None)
    with pytest.raises(InvalidArgument, match=r"row 1: "):
        columns([(1, [1.0]), (2, [1.0], "payload")], None, None, None)
    with pytest.raises(InvalidArgument, match=r"ids\[1\]"):
        columns([(1, [1.0]), ("", [1.0])], None, None, None)


@pytest.mark.parametrize(
    "vector",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3], np.int8),
        np.array([1, 2, 3], np.float64),
        iter([1, 2, 3]),
        range(1, 4),
    ],
)
def test_one_vector_in_many_forms(vector: Any) -> None:
    assert check_vector(vector).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "vector", [[], [[1.0]], 1.0, "abc", [1.0, None], [float("nan")], [1.0, float("-inf")], [1e300], {"a": 1}, None]
)
def test_what_is_no_vector(vector: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_vector(vector)
    assert caught.value.field == "vector"


def test_large_finite_values_are_fine_though_their_square_overflows() -> None:
    assert check_vector([3e38, -3e38]).tolist() == np.array([3e38, -3e38], np.float32).tolist()


def test_other_layouts_become_contiguous() -> None:
    matrix = check_matrix(np.arange(12, dtype=np.float32).reshape(3, 4).T)
    assert matrix.flags.c_contiguous
    assert matrix[0].tolist() == [0, 4, 8]
    assert check_vector(np.arange(6, dtype=np.float32)[::2]).tolist() == [0, 2, 4]
    assert check_vector(np.array([1.5], ">f4")).tolist() == [1.5]


def made(rows: int, dimension: int, payload: int = 0) -> Columns:
    packed = pack_payload({"x": "y" * payload})
    return Columns(list(range(rows)), np.ones((rows, dimension), np.float32), [packed] * rows)


def requests(data: Columns) -> list[Any]:
    return upserts("docs", data, consistency="quorum", operation_id="op")


def test_no_points_need_no_request() -> None:
    assert requests(columns([], None, None, None)) == []
    assert requests(columns(None, [], np.empty((0, 3)), None)) == []


def test_a_call_of_one_request_keeps_its_operation_id() -> None:
    [request] = requests(made(10, 4))
    assert request.operation_id == "op"
    assert request.dimension == 4
    assert len(request.vectors) == 160


@pytest.mark.parametrize("data", [made(5000, 384), made(100, 4096, 60_000), made(100_000, 1), made(40, 3, 65_000)])
def test_large_calls_are_cut_to_what_a_node_takes(data: Columns) -> None:
    parts = requests(data)
    assert len(parts) > 1
    assert [point_id for part in parts for point_id in part.ids] == data.ids
    assert b"".join(part.vectors for part in parts) == data.vectors.tobytes()
    assert [payload for part in parts for payload in part.payloads] == data.payloads
    assert all(len(encode(part)) <= 2 * 1024 * 1024 for part in parts)
    assert all(len(part.ids) <= REQUEST_ROWS for part in parts)
    assert len({part.operation_id for part in parts}) == len(parts)


def test_requests_are_not_cut_smaller_than_needed() -> None:
    parts = requests(made(5000, 384))
    sizes = [len(encode(part)) for part in parts[:-1]]
    assert min(sizes) > 0.9 * REQUEST_BYTES


def test_long_ids_count() -> None:
    ids = [f"{number:0>500}" for number in range(8000)]
    parts = requests(Columns(list(ids), np.ones((8000, 1), np.float32), [pack_payload(None)] * 8000))
    assert all(len(encode(part)) <= 2 * 1024 * 1024 for part in parts)
