"""Bulk loads cut into batches: what to send next, what must wait, what became of it.

Sans-IO. The shells' `upload` keep up to `parallel` batches in flight and hold no more than those, whatever the length
of the source. Invariant: two batches that share an id are never in flight together, so that of duplicates the last
wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from vectron_p2p.client.points import Columns, from_arrays, from_rows
from vectron_p2p.model.collections import check_int
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.model.points import UploadReport

if TYPE_CHECKING:
    from vectron_p2p.model.ids import PointId

BATCH_BYTES = (
    1024 * 1024
)  # of vectors: large enough that the round trip and the fsync vanish, half of what a node takes at once
MIN_ROWS, MAX_ROWS = 16, 2048
MAX_PARALLEL = 64
ARRAY_KEYS = frozenset({"ids", "vectors", "payloads"})
PAYLOAD_GUESS = 256  # bytes; only the size of a batch depends on it

Progress = Callable[[int, int | None], None]
"""Called with the rows settled so far, and all rows if known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows `start..stop` of the source. `data` None: they were refused, `errors` says why."""

    start: int
    stop: int
    data: Columns | None
    errors: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class UploadOptions:
    batch_size: int | None
    parallel: int
    collect: bool


def check_upload(batch_size: object, parallel: object, on_error: object) -> UploadOptions:
    """The options of `upload`.

    Raises:
        InvalidArgument: One of them is out of range.
    """
    if on_error not in ("raise", "collect"):
        raise InvalidArgument(f"on_error is 'raise' or 'collect', not {on_error!r}", field="on_error")
    size = None if batch_size == "auto" else check_int(batch_size, 1, 100_000, field="batch_size")
    return UploadOptions(size, check_int(parallel, 1, MAX_PARALLEL, field="parallel"), on_error == "collect")


def row_count(source: object) -> int | None:
    """How many rows `source` has, if it can tell."""
    if isinstance(source, Mapping):
        source = source.get("ids")
    return len(source) if isinstance(source, Sized) else None


def cut(source: object, options: UploadOptions) -> Iterator[Batch]:
    """The batches of `source`: rows as `upsert` takes them, from any iterable, or a dict of arrays (ids, vectors,
    payloads).

    Raises:
        InvalidArgument: The source as a whole is of no use, or (unless errors are collected) a row is.
    """
    if isinstance(source, Mapping):
        return _cut_arrays(source, options)
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise InvalidArgument(
            f"points are rows or a dict of ids, vectors and payloads, not {type(source).__name__}",
            field="points",
        )
    return _cut_rows(iter(source), options)


def _cut_arrays(source: Mapping[Any, Any], options: UploadOptions) -> Iterator[Batch]:
    unknown = sorted(str(key) for key in source.keys() - ARRAY_KEYS)
    if unknown:
        raise InvalidArgument(f"unknown key {unknown[0]!r}; arrays come as ids, vectors and payloads", field=unknown[0])
    ids: Any = source.get("ids")
    vectors: Any = source.get("vectors")
    payloads: Any = source.get("payloads")
    for name, column in (("ids", ids), ("vectors", vectors)):
        if not isinstance(column, Sized) or not hasattr(column, "__getitem__"):
            raise InvalidArgument(f"{name} is a sequence or an array, not {type(column).__name__}", field=name)
    for name, column in (("vectors", vectors), ("payloads", payloads)):
        if column is not None and len(column) != len(ids):
            raise InvalidArgument(f"{len(column)} {name} for {len(ids)} ids", field=name)
    return _slices(ids, vectors, payloads, options)


def _slices(ids: Any, vectors: Any, payloads: Any, options: UploadOptions) -> Iterator[Batch]:
    size = options.batch_size or (_auto(vectors[0]) if len(ids) else 1)
    for start in range(0, len(ids), size):
        stop = min(start + size, len(ids))
        some = None if payloads is None else payloads[start:stop]
        try:
            yield Batch(start, stop, from_arrays(ids[start:stop], vectors[start:stop], some))
        except InvalidArgument as error:
            if not options.collect:
                raise _shifted(error, start) from None
            rows = [(ids[i], vectors[i], None if payloads is None else payloads[i]) for i in range(start, stop)]
            yield _sifted(rows, start)


def _cut_rows(rows: Iterator[Any], options: UploadOptions) -> Iterator[Batch]:
    start, size = 0, options.batch_size
    while True:
        taken = list(islice(rows, size or MIN_ROWS))
        if not taken:
            return
        if size is None:
            size = _auto(_vector_of(taken[0]))
            taken.extend(islice(rows, size - len(taken)))
        try:
            yield Batch(start, start + len(taken), from_rows(taken))
        except InvalidArgument as error:
            if not options.collect:
                raise _shifted(error, start) from None
            yield _sifted(taken, start)
        start += len(taken)


def _vector_of(row: Any) -> Any:
    if isinstance(row, Mapping):
        return row.get("vector")
    return row[1] if isinstance(row, Sequence) and len(row) > 1 else None


def _auto(vector: Any) -> int:
    dimension = len(vector) if isinstance(vector, Sized) else 1
    return max(MIN_ROWS, min(MAX_ROWS, BATCH_BYTES // (4 * dimension + PAYLOAD_GUESS)))


def _shifted(error: InvalidArgument, start: int) -> InvalidArgument:
    return (
        InvalidArgument(f"in the batch that begins at row {start}: {error.message}", field=error.field)
        if start
        else error
    )


def _sifted(rows: Sequence[Any], start: int) -> Batch:
    """The batch with its bad rows taken out."""
    good: list[Any] = []
    errors: list[dict[str, Any]] = []
    width: int | None = None
    for index, row in enumerate(rows):
        try:
            found = int(from_rows([row]).vectors.shape[1])
            if width is not None and found != width:
                raise InvalidArgument(f"a vector of {found} dimensions among those of {width}", field="vector")
        except InvalidArgument as error:
            errors.append(describe(error, start + index, start + index + 1))
        else:
            width = found
            good.append(row)
    return Batch(start, start + len(rows), from_rows(good) if good else None, tuple(errors))


def describe(error: VectronError, start: int, stop: int) -> dict[str, Any]:
    """An entry of `UploadReport.errors`: the rows [start, stop) and why they were not written."""
    return {"rows": [start, stop], "code": error.code, "message": error.message, "field": error.field}


class Tally:
    """Batches in flight and what became of the others."""

    def __init__(self, options: UploadOptions, total: int | None, progress: Progress | None) -> None:
        self.options = options
        self.total = total
        self.failure: VectronError | None = None
        """The error to raise when no more batches run; nothing new is started once it is set."""
        self._progress = progress
        self._running: dict[int, frozenset[PointId]] = {}
        self._settled = self._sent = self._failed = 0
        self._errors: list[dict[str, Any]] = []

    def may_start(self, batch: Batch) -> bool:
        """Whether `batch` can be sent beside those in flight."""
        if len(self._running) >= self.options.parallel:
            return False
        data = batch.data
        return data is None or all(ids.isdisjoint(data.ids) for ids in self._running.values())

    def start(self, batch: Batch) -> bool:
        """Takes note of `batch`; False when there is nothing to send."""
        self._errors.extend(batch.errors)
        self._failed += len(batch.errors)
        if batch.data is None:
            self._settle(batch)
            return False
        self._running[batch.start] = frozenset(batch.data.ids)
        return True

    def done(self, batch: Batch, error: VectronError | None) -> None:
        """The writing of `batch` ended."""
        del self._running[batch.start]
        rows = batch.stop - batch.start - len(batch.errors)
        if error is None:
            self._sent += rows
        else:
            self._failed += rows
            self._errors.append(describe(error, batch.start, batch.stop))
            if not self.options.collect and self.failure is None:
                self.failure = error
        self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        self._settled += batch.stop - batch.start
        if self._progress is not None:
            self._progress(self._settled, self.total)

    def report(self, seconds: float) -> UploadReport:
        return UploadReport(self._sent, self._failed, self._errors, seconds)
