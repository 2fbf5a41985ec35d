"""Vectors at the edge, and the scores of the three metrics.

Owns what makes a vector acceptable and what a score is: every path (graph, scan, verification of a quorum search) ranks
by the same numbers. Invariants: what `check_vectors` admitted under a metric never gives a score that is NaN or
infinite; a score is a float32, higher is better but for l2, where it is the distance itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

Matrix: TypeAlias = npt.NDArray[np.float32]

FLOAT_BYTES = 4
WIRE = np.dtype("<f4")  # the float32 of the wire and of the store, whatever the machine's own order

# Products and squared differences of 4096 components this large stay finite in float32 (4096 * (2 * 1e17)^2 < 2e38);
# larger ones give inf - inf = NaN, which ranks nowhere and spoils a graph for good. Cosine normalises: any length does.
MAX_COMPONENT = 1e17

# Outside this range a float32 sum of squares has lost digits to under- or overflow; such rows are summed in float64.
_SAFE_SQUARES = (1e-30, 1e37)


def check_vectors(
    vectors: Any, dimension: int | None = None, metric: str | None = None, *, field: str = "vector"
) -> Matrix:
    """`vectors` (2-d array or sequence of float sequences) as a C-contiguous float32 matrix, checked.

    `dimension` and `metric` None leave out what depends on them (a client that has not asked for them yet). An empty
    sequence gives an empty matrix. The result may share memory with a float32 argument.

    Raises:
        InvalidArgument: No numbers, ragged, of another dimension, not finite, or zero under cosine; `field` is named.
    """
    matrix = _as_float32(vectors, field)
    if matrix.ndim == 1 and matrix.size == 0:
        return np.empty((0, dimension or 0), dtype=np.float32)
    if matrix.ndim != 2:
        raise InvalidArgument(
            f"{field}: a list of vectors or a 2-d array is needed, not {matrix.ndim} dimension(s)", field=field
        )
    if dimension is not None and matrix.shape[1] != dimension:
        raise InvalidArgument(
            f"{field}: the collection has dimension {dimension}, this vector {matrix.shape[1]}", field=field
        )
    if matrix.shape[1] == 0:
        raise InvalidArgument(f"{field}: a vector has at least one component", field=field)
    _check_values(matrix, metric, field)
    return matrix


def check_vector(
    vector: Any, dimension: int | None = None, metric: str | None = None, *, field: str = "vector"
) -> Matrix:
    """One vector as a float32 array of shape (d,), checked like `check_vectors`."""
    array = _as_float32(vector, field)
    if array.ndim != 1:
        raise InvalidArgument(f"{field}: one vector is needed, not {array.ndim} dimension(s)", field=field)
    if array.size == 0:
        raise InvalidArgument(f"{field}: a vector has at least one component", field=field)
    row: Matrix = check_vectors(array.reshape(1, -1), dimension, metric, field=field)[0]
    return row


def vectors_from_bytes(data: bytes | memoryview, dimension: int, *, field: str = "vector") -> Matrix:
    """Raw little-endian float32 rows as a matrix (a read-only view where the machine's order is the same); not checked.

    Raises:
        InvalidArgument: The length is no multiple of a row.
    """
    if dimension < 1 or len(data) % (FLOAT_BYTES * dimension):
        raise InvalidArgument(
            f"{field}: {len(data)} bytes are no whole number of float32 vectors of dimension {dimension}", field=field
        )
    return np.frombuffer(data, dtype=WIRE).astype(np.float32, copy=False).reshape(-1, dimension)


def vectors_to_bytes(matrix: Matrix) -> bytes:
    """The rows of `matrix` as raw little-endian float32."""
    return np.ascontiguousarray(matrix, dtype=WIRE).tobytes()


def _as_float32(values: Any, field: str) -> Matrix:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidArgument(f"{field}: no float vectors of one length: {error}", field=field) from error
    if array.size == 0 and array.dtype.kind != "O":
        return array.astype(np.float32)
    if array.dtype.kind not in "fiu":  # text and bools would be converted without a word, objects hide anything
        raise InvalidArgument(f"{field}: a vector holds floats, not {array.dtype}", field=field)
    if array.dtype == np.float32:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):  # becomes inf, which is refused as such
        return np.ascontiguousarray(array, dtype=np.float32)


def _check_values(matrix: Matrix, metric: str | None, field: str) -> None:
    squares = np.einsum("ij,ij->i", matrix, matrix).tolist()
    if not sum(squares) < MAX_COMPONENT**2:  # one look clears nearly all: no component is NaN, infinite or too large
        _check_large(matrix, metric, field)
    if metric == "cosine" and 0.0 in squares:  # of tiny components the squares may be 0, too
        zero = ~matrix.any(axis=1)
        if zero.any():
            row = int(np.flatnonzero(zero)[0])
            raise InvalidArgument(f"{field}: vector {row} is zero, which has no direction under cosine", field=field)


def _check_large(matrix: Matrix, metric: str | None, field: str) -> None:
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise InvalidArgument(f"{field}: vector {row} holds NaN or infinity (as float32)", field=field)
    if metric not in (None, "cosine") and max(float(matrix.max()), -float(matrix.min())) > MAX_COMPONENT:
        raise InvalidArgument(
            f"{field}: components beyond {MAX_COMPONENT:g} overflow under {metric}; scale them down", field=field
        )


def normalise(matrix: Matrix) -> Matrix:
    """The rows of `matrix` scaled to length 1; a zero row stays zero."""
    squares = np.einsum("ij,ij->i", matrix, matrix)
    values = squares.tolist()
    if not values or (min(values) > _SAFE_SQUARES[0] and max(values) < _SAFE_SQUARES[1]):
        return np.asarray(matrix / np.sqrt(squares)[:, None], dtype=np.float32)
    wide = matrix.astype(np.float64)
    exact = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    exact[exact == 0.0] = 1.0
    return np.asarray(wide / exact[:, None], dtype=np.float32)


def prepare(matrix: Matrix, metric: str) -> Matrix:
    """`matrix` as it is compared: normalised under cosine, as it is otherwise."""
    return normalise(matrix) if metric == "cosine" else matrix


def pair_scores(queries: Matrix, rows: Matrix, metric: str) -> Matrix:
    """Score of `queries[i]` with `rows[i]`, both prepared; shapes (n, d) and (n, d), or broadcast to one."""
    if metric == "l2":
        difference = rows - queries
        return np.asarray(np.sqrt(np.einsum("...d,...d->...", difference, difference)), dtype=np.float32)
    products = np.einsum("...d,...d->...", rows, queries)
    if metric == "cosine":  # rounding may pass 1 by an ulp, which no angle does
        np.minimum(np.maximum(products, -1.0, out=products), 1.0, out=products)
    return np.asarray(products, dtype=np.float32)


def score_rows(query: Matrix, rows: Matrix, metric: str) -> Matrix:
    """Scores of one query (d,) with many rows (n, d), both as written: for verifying a few rows outside an index."""
    return pair_scores(prepare(query.reshape(1, -1), metric), prepare(rows, metric), metric)


def better(metric: str, score: float, than: float) -> bool:
    """Whether `score` ranks before `than`."""
    return score < than if metric == "l2" else score > than


def meets(metric: str, score: float, threshold: float | None) -> bool:
    """Whether `score` passes a `score_threshold`."""
    if threshold is None:
        return True
    return score <= threshold if metric == "l2" else score >= threshold


def stack_bytes(rows: Sequence[bytes], dimension: int) -> Matrix:
    """Raw rows as one matrix."""
    return vectors_from_bytes(b"".join(rows), dimension)
