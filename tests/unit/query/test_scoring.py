"""What the edge lets in, and what a score is."""

from __future__ import annotations

import numpy as np
import pytest

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.query.scoring import (
    MAX_COMPONENT,
    better,
    check_vector,
    check_vectors,
    meets,
    normalise,
    score_rows,
    vectors_from_bytes,
    vectors_to_bytes,
)


@pytest.mark.parametrize(
    "vectors",
    [
        [[1, 2], [3, 4]],
        [(1.0, 2.0), (3.0, 4.0)],
        np.array([[1, 2], [3, 4]], dtype=np.int64),
        np.array([[1, 2], [3, 4]], dtype=np.float16),
        np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=np.float64)),
        np.array([[1, 2], [3, 4]], dtype=">f4"),
        [np.array([1, 2]), np.array([3, 4])],
    ],
)
def test_shapes_of_input(vectors: object) -> None:
    matrix = check_vectors(vectors, 2, "cosine")
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0, float("nan")]],
        [[1.0, float("inf")]],
        [[1.0, 1e39]],  # finite, but not as float32
        [[1.0, 2.0, 3.0]],
        [[1.0, 2.0], [3.0]],
        [["1", "2"]],
        [[True, False]],
        [[1j, 2j]],
        [[None, 1.0]],
        [[10**30, 1]],
        [1.0, 2.0],
        5.0,
        None,
        "vector",
        {"a": 1},
        [[[1.0, 2.0]]],
        [[]],
        [[0.0, 0.0]],
        [[1e-50, 0.0]],  # zero as float32
    ],
)
def test_refused(vectors: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_vectors(vectors, 2, "cosine", field="vectors")
    assert caught.value.field == "vectors"


def test_the_dimensions_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"384.*3"):
        check_vectors([[1.0, 2.0, 3.0]], 384, "cosine")


def test_the_row_at_fault_is_named() -> None:
    with pytest.raises(InvalidArgument, match="vector 1 "):
        check_vectors([[1.0], [0.0]], 1, "cosine")


def test_zero_and_unknown() -> None:
    assert check_vectors([[0.0, 0.0]], 2, "dot").tolist() == [[0.0, 0.0]]
    assert check_vectors([[0.0, 0.0]]).shape == (1, 2)  # neither dimension nor metric known yet
    assert check_vectors([], 7, "l2").shape == (0, 7)


def test_components_that_would_overflow_a_score_are_refused() -> None:
    edge = [[MAX_COMPONENT] * 4096, [-MAX_COMPONENT] * 4096]
    for metric in ("dot", "l2"):
        matrix = check_vectors(edge, 4096, metric)
        assert np.isfinite(score_rows(matrix[0], matrix, metric)).all()
        with pytest.raises(InvalidArgument):
            check_vectors([[1e18]], 1, metric)
    assert np.isfinite(normalise(check_vectors([[3e38, 3e38]], 2, "cosine"))).all()


def test_one_vector() -> None:
    assert check_vector([3, 4], 2, "l2").tolist() == [3.0, 4.0]
    for wrong in ([[1.0, 2.0]], [], 3.0, [1.0]):
        with pytest.raises(InvalidArgument):
            check_vector(wrong, 2, "l2")


def test_bytes() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert vectors_from_bytes(vectors_to_bytes(matrix), 3).tolist() == matrix.tolist()
    assert vectors_from_bytes(b"", 3).shape == (0, 3)
    for data, dimension in ((b"12345", 1), (bytes(8), 3), (bytes(8), 0)):
        with pytest.raises(InvalidArgument):
            vectors_from_bytes(data, dimension)


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-20, 1.0, 1e20, 5e37])
def test_normalising_any_magnitude(scale: float) -> None:
    matrix = np.array([[3.0, 4.0], [1.0, 0.0]], dtype=np.float64) * scale
    unit = normalise(matrix.astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)


def test_normalising_zero_leaves_zero() -> None:
    assert normalise(np.zeros((2, 3), dtype=np.float32)).tolist() == [[0.0] * 3] * 2


def test_scores() -> None:
    query = np.array([3.0, 4.0], dtype=np.float32)
    rows = np.array([[3.0, 4.0], [4.0, -3.0], [-6.0, -8.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(score_rows(query, rows[:3], "cosine"), [1.0, 0.0, -1.0], atol=1e-6)
    assert score_rows(query, rows, "dot").tolist() == [25.0, 0.0, -50.0, 0.0]
    np.testing.assert_allclose(score_rows(query, rows, "l2"), [0.0, np.sqrt(50), 15.0, 5.0], rtol=1e-6)


def test_cosine_never_passes_one() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 33)).astype(np.float32)
    for row in rows:
        assert score_rows(row, row.reshape(1, -1), "cosine")[0] <= 1.0


def test_directions() -> None:
    assert better("cosine", 0.9, 0.8)
    assert better("l2", 0.8, 0.9)
    assert not better("dot", 1.0, 1.0)
    assert meets("dot", 0.5, 0.5)
    assert meets("l2", 0.5, 0.5)
    assert not meets("l2", 0.6, 0.5)
    assert not meets("cosine", 0.4, 0.5)
    assert meets("cosine", -1.0, None)
