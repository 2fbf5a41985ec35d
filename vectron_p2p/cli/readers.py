"""The files that `vectron import` reads, as points.

Owns the formats: `.npy` vectors with optional JSON-lines payloads, JSON lines, Parquet. A point's id is the `id` of its
payload line (which stays in the payload), or else its row number. Files are read as they are needed, never whole. A
row that is no point comes as the `InvalidArgument` that says why, so that the others can be imported.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

Row: TypeAlias = tuple[int | str, Any, dict[str, Any] | None] | InvalidArgument
Value: TypeAlias = dict[str, Any] | InvalidArgument

PARQUET_ROWS = 1024  # taken from the file at a time
LOOKED_AT = 1000  # rows for the first point: a file without one in so many is something else


@dataclass(frozen=True, slots=True)
class Source:
    """Points to import. `total` None where only reading to the end would tell."""

    rows: Iterable[Row]
    dimension: int
    total: int | None
    files: tuple[Path, ...]


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
    files = (path,) if payloads is None else (path, payloads)
    return Source(_numpy_rows(array, payloads, path), array.shape[1], len(array), files)


def _numpy_rows(array: npt.NDArray[Any], payloads: Path | None, path: Path) -> Iterator[Row]:
    if payloads is None:
        yield from ((number, vector, None) for number, vector in enumerate(array))
        return
    number = -1
    for number, payload in enumerate(_json_lines(payloads, blank=False)):
        if number >= len(array):
            raise click.ClickException(f"{payloads} has more lines than {path} has rows ({len(array)})")
        yield payload if isinstance(payload, InvalidArgument) else (_id(payload, number), array[number], payload)
    if number + 1 != len(array):
        raise click.ClickException(f"{payloads} has {number + 1} lines, {path} {len(array)} rows")


def _json_lines(path: Path, *, blank: bool) -> Iterator[Value]:
    """`blank`: lines may be, and are no rows then. Bytes and not text, so that one bad line is one bad row."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    empty: list[InvalidArgument] = []  # blank lines that a row may follow: those at the end are none
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from empty
                    empty.clear()
                    yield _json_value(line, f"{path.name}, line {number}")
                elif not blank:
                    empty.append(InvalidArgument(f"{path.name}, line {number} is blank: write {{}} for no payload"))
    except (OSError, EOFError, zlib.error) as error:  # gzip's own errors are OSErrors
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _json_value(line: bytes, place: str) -> Value:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return InvalidArgument(f"{place}: no JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return InvalidArgument(f"{place}: no JSON: {error}")
    return value if isinstance(value, dict) else InvalidArgument(f"{place}: no JSON object")


def _json_rows(path: Path) -> Iterator[Row]:
    for number, value in enumerate(_json_lines(path, blank=True)):
        yield value if isinstance(value, InvalidArgument) else _object_row(value, number)


def _object_row(value: dict[str, Any], number: int) -> Row:
    """`{"id", "vector", "payload"}`; without `payload`, everything but the vector is the payload."""
    if "vector" not in value:
        return InvalidArgument("there is no vector", field="vector")
    payload = value["payload"] if "payload" in value else {key: item for key, item in value.items() if key != "vector"}
    if payload is not None and not isinstance(payload, dict):
        return InvalidArgument("the payload is no object", field="payload")
    found = value["id"] if "id" in value else _id(payload, number)
    return found, value["vector"], payload


def _id(payload: dict[str, Any] | None, number: int) -> Any:
    return number if payload is None or payload.get("id") is None else payload["id"]


def _peeked(rows: Iterator[Row], path: Path, total: int | None = None) -> Source:
    """The source with the dimension of its first point."""
    first: list[Row] = []
    dimension = 0
    for row in rows:
        first.append(row)
        if not isinstance(row, InvalidArgument) and isinstance(row[1], list) and row[1]:
            dimension = len(row[1])
            break
        if len(first) >= LOOKED_AT:
            raise click.ClickException(f"{path}: none of its first {LOOKED_AT} rows is a point: {_why(first)}")
    if first and not dimension:
        raise click.ClickException(f"{path}: none of its rows is a point: {_why(first)}")
    return Source(chain(first, rows), dimension, total, (path,))


def _why(rows: list[Row]) -> str:
    row = rows[0]
    return row.message if isinstance(row, InvalidArgument) else "the vector is no list of numbers"


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

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for value in batch.to_pylist():
                    yield _parquet_row(value, number)
                    number += 1
        except (ArrowException, OSError) as error:
            raise click.ClickException(f"{path} cannot be read beyond row {number}: {error}") from None

    return _peeked(rows(), path, file.metadata.num_rows)


def _parquet_row(value: dict[str, Any], number: int) -> Row:
    if isinstance(value.get("payload"), str):  # JSON text is how tables often keep it
        try:
            value["payload"] = json.loads(value["payload"])
        except (ValueError, RecursionError) as error:
            return InvalidArgument(f"the payload is no JSON: {error}", field="payload")
    return _object_row(value, number)
