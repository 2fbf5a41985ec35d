"""Points as users write them, into the columns that travel.

Owns the three shapes of `upsert` (columns, rows as dicts, rows as tuples) and the checks that need no knowledge of the
collection: types, finiteness, equal lengths. Dimension and zero vectors are judged by the node, which knows the
options. Invariant: `Columns` holds each id once (of duplicates the last wins) and vectors as contiguous little-endian
float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vectron_p2p.client.requests import check_ids, part_id
from vectron_p2p.model.collections import MAX_DIMENSION
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import pack_payload
from vectron_p2p.protocol.messages import Upsert, UpsertIf

if TYPE_CHECKING:
    import numpy.typing as npt

    from vectron_p2p.model.ids import PointId

    Matrix = npt.NDArray[np.float32]

REQUEST_BYTES = (
    2 * 1024 * 1024 - 4096
)  # what a node handles in one piece (house rule 2 MiB), less the message's own fields
REQUEST_ROWS = 8192  # payload-less small vectors would otherwise be 100,000 rows: too long a turn for a node's loop
ROW_OVERHEAD = 16  # msgpack headers of id and payload, int id
EMPTY_PAYLOAD = pack_payload(None)
WIRE = np.dtype("<f4")
ROW_KEYS = frozenset({"id", "vector", "payload"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Checked points, ready to be sent."""

    ids: list[PointId]
    vectors: Matrix
    payloads: list[bytes]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> Columns:
        return Columns(self.ids[start:stop], self.vectors[start:stop], self.payloads[start:stop])


def columns(points: object, ids: object, vectors: object, payloads: object) -> Columns:
    """The arguments of `upsert` as columns: either `points` (rows), or `ids` and `vectors` with optional `payloads`.

    Raises:
        InvalidArgument: The argument or the row's field at fault is named.
    """
    if points is None:
        if ids is None or vectors is None:
            raise InvalidArgument("give rows, or both ids and vectors", field="ids" if ids is None else "vectors")
        return from_arrays(ids, vectors, payloads)
    if ids is not None or vectors is not None or payloads is not None:
        raise InvalidArgument("give either rows or ids, vectors and payloads, not both", field="points")
    if isinstance(points, str | bytes | Mapping) or not isinstance(points, Iterable):
        raise InvalidArgument(f"points is a list of rows, not {type(points).__name__}", field="points")
    return from_rows(list(points))


def from_arrays(ids: object, vectors: object, payloads: object) -> Columns:
    """Columns as they are."""
    checked = check_ids(ids.tolist() if isinstance(ids, np.ndarray) and ids.ndim == 1 else ids)
    matrix = check_matrix(vectors, rows=len(checked))
    if payloads is None:
        packed = [EMPTY_PAYLOAD] * len(checked)
    elif isinstance(payloads, str | bytes | Mapping) or not isinstance(payloads, Iterable):
        raise InvalidArgument(f"payloads is a list of dicts or None, not {type(payloads).__name__}", field="payloads")
    else:
        packed = [_pack(payload, index) for index, payload in enumerate(payloads)]
        if len(packed) != len(checked):
            raise InvalidArgument(f"{len(packed)} payloads for {len(checked)} ids", field="payloads")
    return _last_wins(checked, matrix, packed)


def from_rows(rows: Sequence[Any]) -> Columns:
    """Rows: dicts with `id`, `vector` and optional `payload`, or tuples (id, vector[, payload]); or the error that
    reading one met, which is raised.
    """
    split = [_row(row, index) for index, row in enumerate(rows)]
    checked = check_ids([row[0] for row in split])
    if not split:
        return Columns([], np.empty((0, 0), np.float32), [])
    matrix = check_matrix([row[1] for row in split], rows=len(split))
    return _last_wins(checked, matrix, [_pack(row[2], index) for index, row in enumerate(split)])


def _row(row: Any, index: int) -> tuple[Any, Any, Any]:
    if isinstance(row, Mapping):
        unknown = sorted(str(key) for key in row.keys() - ROW_KEYS)
        if unknown:
            raise InvalidArgument(
                f"row {index}: unknown key {unknown[0]!r}; a row has id, vector, payload", field=unknown[0]
            )
        for name in ("id", "vector"):
            if name not in row:
                raise InvalidArgument(f"row {index} has no {name}", field=name)
        return row["id"], row["vector"], row.get("payload")
    if isinstance(row, tuple | list) and 2 <= len(row) <= 3:
        return row[0], row[1], row[2] if len(row) == 3 else None
    if isinstance(row, InvalidArgument):
        raise row
    raise InvalidArgument(f"row {index} is neither a dict nor a tuple (id, vector, payload)", field="points")


def _pack(payload: Any, index: int) -> bytes:
    if payload is None:
        return EMPTY_PAYLOAD
    try:
        return pack_payload(payload)
    except InvalidArgument as error:
        raise InvalidArgument(f"row {index}: {error.message}", field=error.field) from None


def _last_wins(ids: list[PointId], matrix: Matrix, payloads: list[bytes]) -> Columns:
    last = {point_id: index for index, point_id in enumerate(ids)}
    if len(last) == len(ids):
        return Columns(ids, matrix, payloads)
    keep = sorted(last.values())
    return Columns([ids[i] for i in keep], np.ascontiguousarray(matrix[keep]), [payloads[i] for i in keep])


def check_matrix(vectors: object, *, rows: int | None = None) -> Matrix:
    """`vectors` as a contiguous float32 matrix, one vector a row.

    Raises:
        InvalidArgument: Not two-dimensional numbers, not finite, of an impossible dimension, or not `rows` many.
    """
    array = _as_array(vectors)
    if array.ndim != 2:
        if array.ndim == 1 and not array.size and not rows:
            return np.empty((0, 0), np.float32)
        raise InvalidArgument(f"vectors are a two-dimensional array, not one of shape {array.shape}", field="vector")
    if rows is not None and len(array) != rows:
        raise InvalidArgument(f"{len(array)} vectors for {rows} ids", field="vector")
    if len(array) and not 1 <= array.shape[1] <= MAX_DIMENSION:
        raise InvalidArgument(f"a vector has 1 to {MAX_DIMENSION} dimensions, not {array.shape[1]}", field="vector")
    return _finite(array)


def check_vector(vector: object) -> Matrix:
    """One vector as a contiguous float32 array.

    Raises:
        InvalidArgument: As `check_matrix`.
    """
    array = _as_array(vector)
    if array.ndim != 1:
        raise InvalidArgument(f"a vector is one-dimensional, not of shape {array.shape}", field="vector")
    if not 1 <= array.size <= MAX_DIMENSION:
        raise InvalidArgument(f"a vector has 1 to {MAX_DIMENSION} dimensions, not {array.size}", field="vector")
    return _finite(array)


def _as_array(vectors: Any) -> npt.NDArray[Any]:
    if not isinstance(vectors, np.ndarray):
        if isinstance(vectors, str | bytes | Mapping) or not (
            isinstance(vectors, Iterable) or hasattr(vectors, "__array__")
        ):
            raise InvalidArgument(f"a vector is a sequence of numbers, not {type(vectors).__name__}", field="vector")
        if not isinstance(vectors, Sequence) and not hasattr(vectors, "__array__"):
            vectors = list(vectors)
        try:
            array = np.asarray(vectors)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidArgument(
                f"vectors are numbers in rows of one length ({_ragged(vectors) or error})", field="vector"
            ) from None
    else:
        array = vectors
    if array.dtype.kind not in "fiu" and array.size:
        raise InvalidArgument(f"a vector holds numbers, not {array.dtype}", field="vector")
    return array


def _ragged(vectors: Any) -> str | None:
    lengths = [len(row) for row in vectors if hasattr(row, "__len__")]
    if len(lengths) != len(vectors) or not lengths:
        return None
    odd = next((index for index, length in enumerate(lengths) if length != lengths[0]), None)
    return None if odd is None else f"row {odd} has {lengths[odd]} values, row 0 has {lengths[0]}"


def _finite(array: npt.NDArray[Any]) -> Matrix:
    if array.dtype != np.float32 or not array.flags.c_contiguous:
        with np.errstate(over="ignore"):  # a double beyond float32 becomes inf, and is refused as such below
            array = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(array)
    if not finite.all():
        if array.ndim == 1:
            raise InvalidArgument(
                f"value {int(np.argmin(finite))} of the vector is not a finite float32", field="vector"
            )
        row, column = np.argwhere(~finite)[0]
        raise InvalidArgument(f"row {row}: value {column} of the vector is not a finite float32", field="vector")
    return array


def plain_bytes(vector: object) -> bytes | None:
    """`wire_bytes(check_vector(vector))` of what nearly all queries are; None: `check_vector` has to look at it."""
    if (
        type(vector) is np.ndarray
        and vector.ndim == 1
        and vector.dtype == WIRE
        and 1 <= vector.size <= MAX_DIMENSION
        # Any inf or NaN makes the sum of squares one. Of all ways to see it this does not let go of the interpreter.
        and math.isfinite(np.vdot(vector, vector))
    ):
        return vector.tobytes()
    return None


def wire_bytes(matrix: Matrix) -> bytes:
    """Raw little-endian float32."""
    return matrix.astype(WIRE, copy=False).tobytes()


def row_bytes(data: Columns) -> Iterator[int]:
    """About what each row takes in a request."""
    base = 4 * data.vectors.shape[1] + ROW_OVERHEAD if len(data) else 0
    for point_id, payload in zip(data.ids, data.payloads, strict=True):
        yield base + len(payload) + (3 * len(point_id) if type(point_id) is str else 0)


def _cuts(data: Columns) -> list[int]:
    """Row numbers at which a new request begins, and the end."""
    cuts, size, start = [0], 0, 0
    for index, row in enumerate(row_bytes(data)):
        if index > start and (size + row > REQUEST_BYTES or index - start >= REQUEST_ROWS):
            cuts.append(index)
            start, size = index, 0
        size += row
    return [*cuts, len(data)]


def upserts(collection: str, data: Columns, *, consistency: str, operation_id: str) -> list[Upsert]:
    """The requests that write `data`, none larger than a node takes in one piece; no points, no request."""
    if not len(data):
        return []
    cuts = _cuts(data)
    raw = memoryview(wire_bytes(data.vectors))
    width = 4 * data.vectors.shape[1]
    return [
        Upsert(
            collection=collection,
            ids=data.ids[start:stop],
            dimension=data.vectors.shape[1],
            vectors=bytes(raw[width * start : width * stop]),
            payloads=data.payloads[start:stop],
            consistency=consistency,
            operation_id=part_id(operation_id, part, len(cuts) - 1),
        )
        for part, (start, stop) in enumerate(pairwise(cuts))
    ]


def upserts_if(
    collection: str, data: Columns, *, mode: str, versions: dict[PointId, bytes], operation_id: str
) -> list[UpsertIf]:
    """As `upserts`, with conditions."""
    return [
        UpsertIf(
            collection=collection,
            ids=part.ids,
            dimension=part.dimension,
            vectors=part.vectors,
            payloads=part.payloads,
            mode=mode,
            if_versions=[versions.get(point) for point in part.ids] if versions else [],
            operation_id=part.operation_id,
        )
        for part in upserts(collection, data, consistency="linearizable", operation_id=operation_id)
    ]
