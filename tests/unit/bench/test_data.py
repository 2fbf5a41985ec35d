"""Data sets: what does not fit together is refused, and truths are exact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vectron_p2p.bench.data import exact_neighbours, load_files, nearest, sample_data
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path


def saved(folder: Path, name: str, array: Any) -> Path:
    path = folder / f"{name}.npy"
    np.save(path, array)
    return path


def test_the_truth_of_the_sample_is_what_is_computed() -> None:
    data = sample_data()
    assert data.truth is not None
    computed = nearest(data.vectors, data.queries, 10)
    unlike = [q for q in range(len(computed)) if set(computed[q].tolist()) != set(data.truth[q].tolist())]
    assert not unlike


def test_neighbours_are_those_of_the_angle_and_ties_go_by_row() -> None:
    vectors = np.array([[1, 0], [0, 5], [3, 3], [9, 0]], dtype=np.float32)
    assert nearest(vectors, np.array([[2, 0]], dtype=np.float32), 3).tolist() == [[0, 3, 2]]
    assert nearest(vectors, np.array([[0, 1]], dtype=np.float32), 9).tolist() == [[1, 2, 0, 3]]


def test_of_equal_neighbours_the_lower_rows_are_taken() -> None:
    vectors = np.array([[0, 1], [1, 0], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
    assert nearest(vectors, vectors[1:2], 2).tolist() == [[1, 2]]
    assert nearest(vectors[:0], vectors[:1], 2).tolist() == [[]]


def test_fewer_points_have_another_truth() -> None:
    data = sample_data(100)
    assert data.truth is None
    assert exact_neighbours(data, 10).max() < 100


def test_files_become_a_data_set(tmp_path: Path) -> None:
    rows = tmp_path / "p.jsonl"
    rows.write_text("".join(json.dumps({"id": f"x{number}"}) + "\n" for number in range(3)), encoding="utf-8")
    vectors, queries = saved(tmp_path, "v", np.eye(3, 4, dtype=np.float16)), saved(tmp_path, "q", np.ones((2, 4)))
    data = load_files(vectors, queries, None, rows)
    assert data.ids == ["x0", "x1", "x2"]
    assert data.vectors.dtype == np.float32
    assert load_files(vectors, queries, None, None).ids == [0, 1, 2]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    vectors, queries = saved(tmp_path, "v", np.eye(3, 4)), saved(tmp_path, "q", np.ones((2, 4)))
    wide, truth = saved(tmp_path, "w", np.ones((2, 5))), saved(tmp_path, "t", np.zeros((3, 10), dtype=np.int32))
    twice = tmp_path / "p.jsonl"
    twice.write_text('{"id": 1}\n{"id": 1}\n{"id": 2}\n', encoding="utf-8")
    beyond = saved(tmp_path, "b", np.full((2, 10), 3, dtype=np.int32))
    list_of_lists = tmp_path / "l.jsonl"
    list_of_lists.write_text("[]\n[]\n[]\n", encoding="utf-8")
    for arguments, field in (
        ((None, queries, None, None), "vectors"),
        ((vectors, None, None, None), "queries"),
        ((vectors, wide, None, None), "queries"),
        ((vectors, queries, truth, None), "truth"),
        ((vectors, queries, beyond, None), "truth"),
        ((vectors, queries, None, twice), "payloads"),
        ((vectors, queries, None, list_of_lists), "payloads"),
        ((vectors, queries, None, vectors), "payloads"),
        ((twice, queries, None, None), "vectors"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            load_files(*arguments)
        assert caught.value.field == field
