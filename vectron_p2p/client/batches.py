"""Bulk loads cut into batches: what to send next, what must wait, what became of it.

Sans-IO. The shells' `upload` keep up to `parallel` batches in flight and hold no more than those, whatever the length
of the source. A batch that a node refuses for one of its rows is halved until the bad rows stand alone. Invariants: two
batches that share an id are never in flight together nor overtake each other, so that of duplicates the last wins; all
rows before `Tally.prefix` are written or reported.
"""

from __future__ import annotations

from collections import deque
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

Watch = Callable[["Tally"], None]
"""Called whenever rows were settled, and when it fails; may set `failure`."""


def telling(progress: Progress | None) -> Watch | None:
    """A watcher that tells `progress`."""
    return None if progress is None else lambda tally: progress(tally.settled, tally.total)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows `start..stop` of the source. `data` None: they were refused, `errors` says why. `rows`: the numbers of those
    in `data`; None: `start` and those that follow.
    """

    start: int
    stop: int
    data: Columns | None
    errors: tuple[dict[str, Any], ...] = ()
    rows: Sequence[int] | None = None

    def halves(self) -> tuple[Batch, Batch]:
        """The same rows in two batches; there are at least two."""
        assert self.data is not None
        data, middle = self.data, len(self.data) // 2
        rows = range(self.start, self.start + len(data)) if self.rows is None else self.rows
        cut = rows[middle]
        before = tuple(error for error in self.errors if error["rows"][0] < cut)
        return (
            Batch(self.start, cut, data.part(0, middle), before, rows[:middle]),
            Batch(cut, self.stop, data.part(middle, len(data)), self.errors[len(before) :], rows[middle:]),
        )


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """`collect`: bad rows are reported and the others written. `only_rows`: but what is no row's fault ends it."""

    batch_size: int | None
    parallel: int
    collect: bool
    only_rows: bool = False
    first: int = 0
    """Rows of the source that are done already."""
    dimension: int | None = None
    metric: str | None = None


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
    for start in range(options.first, len(ids), size):
        stop = min(start + size, len(ids))
        some = None if payloads is None else payloads[start:stop]
        try:
            yield _batch(
                start, ids[start:stop], _fitting(from_arrays(ids[start:stop], vectors[start:stop], some), options)
            )
        except InvalidArgument as error:
            if not options.collect:
                raise _shifted(error, start) from None
            rows = [(ids[i], vectors[i], None if payloads is None else payloads[i]) for i in range(start, stop)]
            yield _sifted(rows, start, options)


def _batch(start: int, ids: Any, data: Columns) -> Batch:
    """All rows are good; of those with one id `data` has the last."""
    if len(data) == len(ids):
        return Batch(start, start + len(ids), data)
    last = {point: start + index for index, point in enumerate(ids)}
    return Batch(start, start + len(ids), data, rows=[last[point] for point in data.ids])


def _fitting(data: Columns, options: UploadOptions) -> Columns:
    """`data`, if the collection takes such vectors.

    Raises:
        InvalidArgument: It does not.
    """
    width = data.vectors.shape[1] if len(data) else options.dimension
    if options.dimension is not None and width != options.dimension:
        raise InvalidArgument(f"the collection has dimension {options.dimension}, this vector {width}", field="vector")
    if options.metric == "cosine" and not data.vectors.any(axis=1).all():
        raise InvalidArgument("the vector is zero, which has no direction under cosine", field="vector")
    return data


def _cut_rows(rows: Iterator[Any], options: UploadOptions) -> Iterator[Batch]:
    start, size = options.first, options.batch_size
    while True:
        taken = list(islice(rows, size or MIN_ROWS))
        if not taken:
            return
        if size is None:
            size = _auto(_vector_of(taken[0]))
            taken.extend(islice(rows, size - len(taken)))
        try:
            data = _fitting(from_rows(taken), options)
            yield _batch(start, taken if len(data) == len(taken) else [id_of(row) for row in taken], data)
        except InvalidArgument as error:
            if not options.collect:
                raise _shifted(error, start) from None
            yield _sifted(taken, start, options)
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


def _sifted(rows: Sequence[Any], start: int, options: UploadOptions) -> Batch:
    """The batch with its bad rows taken out."""
    good: dict[int, Any] = {}
    errors: list[dict[str, Any]] = []
    width: int | None = None
    for number, row in enumerate(rows, start):
        try:
            found = int(_fitting(from_rows([row]), options).vectors.shape[1])
            if width is not None and found != width:
                raise InvalidArgument(f"a vector of {found} dimensions among those of {width}", field="vector")
        except InvalidArgument as error:
            entry = describe(error, number, number + 1, id_of(row))
            entry["message"] = error.message.removeprefix("row 0: ").removeprefix("ids[0]: ")  # of the one looked at
            errors.append(entry)
        else:
            width = found
            good[number] = row
    stop = start + len(rows)
    if not good:
        return Batch(start, stop, None, tuple(errors))
    data = from_rows(list(good.values()))
    last = {id_of(row): number for number, row in good.items()}
    return Batch(start, stop, data, tuple(errors), [last[point] for point in data.ids])


def id_of(row: Any) -> Any:
    """The id that a row has, if any can be seen."""
    found = row.get("id") if isinstance(row, Mapping) else row[0] if isinstance(row, list | tuple) and row else None
    return found if type(found) in (int, str) else None


def describe(error: VectronError, start: int, stop: int, point: Any = None) -> dict[str, Any]:
    """An entry of `UploadReport.errors`: the rows [start, stop), the id if it is one, and why they were not written."""
    return {"rows": [start, stop], "id": point, "code": error.code, "message": error.message, "field": error.field}


class Tally:
    """Batches in flight and what became of the others."""

    def __init__(self, options: UploadOptions, total: int | None, watch: Watch | None = None) -> None:
        self.options = options
        self.total = total
        self.failure: Exception | None = None
        """What to raise when no more batches run; nothing new is started once it is set."""
        self.settled = options.first
        """Rows, written or not."""
        self.sent = self.failed = 0
        self.errors: list[dict[str, Any]] = []
        """A watcher may take them away."""
        self._watch = watch
        self._running: dict[int, frozenset[PointId]] = {}
        self._halves: deque[Batch] = deque()
        self._held: Batch | None = None
        self._cut_to = options.first
        self._exhausted = False

    @property
    def over(self) -> bool:
        """Whether all has been sent and answered."""
        return self._exhausted and not self._running and not self._halves

    @property
    def prefix(self) -> int:
        """The row before which all are settled."""
        return min([*self._running, *(half.start for half in self._halves)], default=self._cut_to)

    def next(self, batches: Iterator[Batch]) -> Batch | None:
        """What to `start` now; None: nothing before something that runs is done, or at all (`over`)."""
        if len(self._running) >= self.options.parallel:
            return None
        for half in self._halves:
            if self._clear(half):
                self._halves.remove(half)
                return half
        if self._held is None:
            self._held = next(batches, None)
        batch = self._held
        if batch is None:
            self._exhausted = True
            return None
        if not self._clear(batch) or not all(_disjoint(batch, half) for half in self._halves):
            return None
        self._held, self._cut_to = None, batch.stop
        self.errors.extend(batch.errors)
        self.failed += len(batch.errors)
        return batch

    def _clear(self, batch: Batch) -> bool:
        """Whether none of its ids is in flight."""
        return batch.data is None or all(ids.isdisjoint(batch.data.ids) for ids in self._running.values())

    def start(self, batch: Batch) -> bool:
        """Takes note of `batch`; False when there is nothing to send."""
        if batch.data is None:
            self._settle(batch)
            return False
        self._running[batch.start] = frozenset(batch.data.ids)
        return True

    def done(self, batch: Batch, error: VectronError | None) -> None:
        """The writing of `batch` ended."""
        del self._running[batch.start]
        assert batch.data is not None
        rows = batch.stop - batch.start - len(batch.errors)
        own = isinstance(error, InvalidArgument)
        if error is None:
            self.sent += rows
        elif not self.options.collect or (self.options.only_rows and not own):
            self.failure = self.failure or error
            if not self.options.collect:
                self.failed += rows
                self.errors.append(describe(error, batch.start, batch.stop))
            else:
                self._running[batch.start] = frozenset()  # not settled: it is where to go on from
                self._tell()
                return
        elif own and len(batch.data) > 1:
            self._halves.extend(batch.halves())
            return
        else:
            self.failed += rows
            one = batch.rows[0] if batch.rows else batch.start
            single = len(batch.data) == 1
            found = (one, one + 1, batch.data.ids[0]) if single else (batch.start, batch.stop)
            self.errors.append(describe(error, *found))
        self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        self.settled += batch.stop - batch.start
        self._tell()

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(self)

    def report(self, seconds: float) -> UploadReport:
        return UploadReport(self.sent, self.failed, self.errors, seconds)


def _disjoint(one: Batch, other: Batch) -> bool:
    return one.data is None or other.data is None or set(one.data.ids).isdisjoint(other.data.ids)
