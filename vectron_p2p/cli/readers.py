"""The files that `vectron import` reads, as points.

Owns the formats: `.npy` vectors with optional JSON-lines payloads, JSON lines, Parquet. A point's id is the `id` of its
payload line (which stays in the payload), or else its row number. Files are read as they are needed, never whole.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

Row: TypeAlias = tuple[int | str, Any, dict[str, Any] | None]

PARQUET_ROWS = 1024  # taken from the file at a time


@dataclass(frozen=True, slots=True)
class Source:
    """Points to import. `total` None where only reading to the end would tell."""

    rows: Iterable[Row]
    dimension: int
    total: int | None


def open_source(source: Path | None, vectors: Path | None, payloads: Path | None) -> Source:
    """The points of the files named on the command line.

    Raises:
        click.ClickException: A file is of no known format, or not what its name says.
    """
    if (source is None) == (vectors is None):
        raise click.UsageError("give either --vectors F.npy or one file (F.jsonl, F.jsonl.gz or F.parquet)")
    if vectors is not None:
        return _numpy(vectors, payloads)
    assert source is not None
    if payloads is not None:
        raise click.UsageError("--payloads belongs to --vectors")
    if source.name.endswith((".jsonl", ".jsonl.gz")):
        return _peeked(_json_rows(source), source)
    if source.suffix == ".parquet":
        return _parquet(source)
    raise click.UsageError(f"{source}: the name tells no format; use .npy, .jsonl, .jsonl.gz or .parquet")


def _numpy(path: Path, payloads: Path | None) -> Source:
    import numpy as np

    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise click.ClickException(f"{path} is no .npy file: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise click.ClickException(f"{path} holds no two-dimensional array of numbers")
    return Source(_numpy_rows(array, payloads, path), array.shape[1], len(array))


def _numpy_rows(array: npt.NDArray[Any], payloads: Path | None, path: Path) -> Iterator[Row]:
    if payloads is None:
        yield from ((number, vector, None) for number, vector in enumerate(array))
        return
    number = -1
    for number, payload in enumerate(_json_lines(payloads)):
        if number >= len(array):
            raise click.ClickException(f"{payloads} has more lines than {path} has rows ({len(array)})")
        yield _id(payload, number), array[number], payload
    if number + 1 != len(array):
        raise click.ClickException(f"{payloads} has {number + 1} lines, {path} {len(array)} rows")


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise click.ClickException(f"{path}, line {number}: no JSON object")
                yield value
    except (OSError, EOFError) as error:  # gzip's own errors are OSErrors
        raise click.ClickException(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{path} is no JSON-lines file: {error}") from None


def _json_rows(path: Path) -> Iterator[Row]:
    return (_object_row(value, number, f"{path}, row {number}") for number, value in enumerate(_json_lines(path)))


def _object_row(value: dict[str, Any], number: int, place: str) -> Row:
    """`{"id", "vector", "payload"}`; without `payload`, everything but the vector is the payload."""
    if "vector" not in value:
        raise click.ClickException(f"{place} has no vector")
    payload = value["payload"] if "payload" in value else {key: item for key, item in value.items() if key != "vector"}
    if payload is not None and not isinstance(payload, dict):
        raise click.ClickException(f"{place}: its payload is no object")
    found = value["id"] if "id" in value else _id(payload, number)
    return found, value["vector"], payload


def _id(payload: dict[str, Any] | None, number: int) -> Any:
    return number if payload is None or payload.get("id") is None else payload["id"]


def _peeked(rows: Iterator[Row], path: Path, total: int | None = None) -> Source:
    """The source with the dimension of its first row."""
    first = list(islice(rows, 1))
    if not first:
        return Source((), 0, 0)
    vector = first[0][1]
    if not hasattr(vector, "__len__") or isinstance(vector, str):
        raise click.ClickException(f"{path}: the first vector is no list of numbers")

    def all_rows() -> Iterator[Row]:
        yield from first
        yield from rows

    return Source(all_rows(), len(vector), total)


def _parquet(path: Path) -> Source:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise click.ClickException("reading Parquet needs pyarrow: pip install pyarrow (the extra [parquet])") from None
    try:
        file = ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise click.ClickException(f"{path} is no Parquet file: {error}") from None
    if "vector" not in file.schema_arrow.names:
        raise click.ClickException(f"{path} has no column named vector (it has {', '.join(file.schema_arrow.names)})")
    return _peeked(_parquet_rows(file, path), path, file.metadata.num_rows)


def _parquet_rows(file: Any, path: Path) -> Iterator[Row]:
    number = 0
    for batch in file.iter_batches(batch_size=PARQUET_ROWS):
        for value in batch.to_pylist():
            if isinstance(value.get("payload"), str):  # JSON text is how tables often keep it
                try:
                    value["payload"] = json.loads(value["payload"])
                except (ValueError, RecursionError) as error:
                    raise click.ClickException(f"{path}, row {number}: its payload is no JSON: {error}") from None
            yield _object_row(value, number, f"{path}, row {number}")
            number += 1
