"""Data sets: vectors, payloads, queries and their exact neighbours.

Rows are numbers into `Data.vectors`; a collection knows them by `Data.ids`. Truths are exact, in double precision.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.sample import load_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vectron_p2p.client import Collection

Rows: TypeAlias = npt.NDArray[np.int32]
Matrix: TypeAlias = npt.NDArray[np.float32]

BATCH = 1000
TRUTH_BLOCK = 64  # queries of one matrix product: 50 MB of scores for 100,000 points


@dataclass(frozen=True, slots=True)
class Data:
    """Row i of `vectors` belongs to `ids[i]` and `payloads[i]`; `truth` are row numbers per query, best first."""

    name: str
    vectors: Matrix
    ids: list[int | str]
    payloads: list[dict[str, Any]]
    queries: Matrix
    truth: Rows | None

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])


def first_rows(data: Data, count: int | None) -> Data:
    """The first `count` rows, without truth; all of it when there are no more, or `count` is None."""
    if count is None or count >= len(data.vectors):
        return data
    return Data(data.name, data.vectors[:count], data.ids[:count], data.payloads[:count], data.queries, None)


def sample_data(count: int | None = None) -> Data:
    """The shipped sample, or its first `count` rows."""
    sample = load_sample()
    data = Data("sample", sample.vectors, list(sample.ids), sample.payloads, sample.queries, sample.truth)
    return first_rows(data, count)


def load_files(
    vectors: Path | None, queries: Path | None, truth: Path | None, payloads: Path | None, points: int | None = None
) -> Data:
    """The data set of these files, the shipped sample when there are none; its first `points` rows.

    Raises:
        InvalidArgument: A file is missing among them, or they do not fit together.
    """
    if vectors is None:
        if payloads or queries or truth:
            raise InvalidArgument("payloads, queries and truth need vectors", field="vectors")
        return sample_data(points)
    if queries is None:
        raise InvalidArgument("vectors need queries", field="queries")
    rows = _matrix(vectors, "vectors")
    asked = _matrix(queries, "queries")
    if rows.shape[1] != asked.shape[1]:
        raise InvalidArgument(f"vectors have {rows.shape[1]} dimensions, queries {asked.shape[1]}", field="queries")
    found: list[dict[str, Any]] = [{} for _ in rows] if payloads is None else _payloads(payloads)
    if len(found) != len(rows):
        raise InvalidArgument(f"{len(found)} payloads for {len(rows)} vectors", field="payloads")
    known = None if truth is None else _truth(truth, len(asked), len(rows))
    ids = [payload.get("id", row) for row, payload in enumerate(found)]
    if len(set(ids)) != len(ids):
        raise InvalidArgument(f"{len(ids) - len(set(ids))} ids of the payloads are there twice", field="payloads")
    return first_rows(Data(vectors.name, rows, ids, found, asked, known), points)


def _array(path: Path, field: str) -> npt.NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InvalidArgument(f"{path} is no .npy file: {error}", field=field) from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu" or not len(array):
        raise InvalidArgument(f"{path} holds no two-dimensional array of numbers", field=field)
    return array


def _matrix(path: Path, field: str) -> Matrix:
    return np.ascontiguousarray(_array(path, field), dtype=np.float32)


def _truth(path: Path, queries: int, rows: int) -> Rows:
    array = _array(path, "truth")
    if len(array) != queries or array.min() < 0 or array.max() >= rows:
        text = f"{path} does not hold, for each of {queries} queries, numbers of {rows} rows"
        raise InvalidArgument(text, field="truth")
    return array.astype(np.int32)


def _payloads(path: Path) -> list[dict[str, Any]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        found = [json.loads(line) for line in text.splitlines()]
    except (OSError, EOFError, ValueError) as error:
        raise InvalidArgument(f"{path} is no JSON-lines file: {error}", field="payloads") from None
    if not all(isinstance(payload, dict) for payload in found):
        raise InvalidArgument(f"{path} has lines that are no JSON objects", field="payloads")
    return found


def exact_neighbours(data: Data, k: int) -> Rows:
    """The truth given, or exact cosine neighbours in double precision."""
    if data.truth is not None and data.truth.shape[1] >= k:
        return data.truth[:, :k]
    return nearest(data.vectors, data.queries, k)


def nearest(vectors: Matrix, queries: Matrix, k: int) -> Rows:
    """The `k` rows of `vectors` nearest to each query by cosine, best first; fewer columns when there are fewer."""
    rows = _unit(vectors)
    blocks = [_top(_unit(queries[at : at + TRUTH_BLOCK]) @ rows.T, k) for at in range(0, len(queries), TRUTH_BLOCK)]
    return np.concatenate(blocks).astype(np.int32) if blocks else np.empty((0, min(k, len(rows))), np.int32)


def _unit(rows: Matrix) -> npt.NDArray[np.float64]:
    wide = rows.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return wide


def _top(scores: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.int64]:
    """Of equal scores the lower row first, so that the truth is a function of the data. Only what is no worse than the
    k-th is sorted: sorting 70,000 scores for each of 2,000 queries would take a quarter of a minute.
    """
    wanted = min(k, scores.shape[1])
    if not wanted:
        return np.empty((len(scores), 0), dtype=np.int64)
    found = np.empty((len(scores), wanted), dtype=np.int64)
    worst = -np.partition(-scores, wanted - 1, axis=1)[:, wanted - 1]
    for query, row in enumerate(scores):
        near = np.flatnonzero(row >= worst[query])
        found[query] = near[np.argsort(-row[near], kind="stable")][:wanted]
    return found


def batches(count: int, size: int = BATCH) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def load_collection(collection: Collection, data: Data) -> None:
    """All of `data`, in batches at quorum."""
    for rows in batches(len(data.vectors)):
        collection.upsert(ids=data.ids[rows], vectors=data.vectors[rows], payloads=data.payloads[rows])
