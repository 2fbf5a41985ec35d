"""One measurement: a batch or a window of searches on nodes, or a batch on raw hnswlib, with its recall."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.bench.figures import percentile, recall
from vectron_p2p.bench.jobs import BatchJob, SearchJob
from vectron_p2p.bench.load import BenchFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vectron_p2p.bench.data import Data, Rows
    from vectron_p2p.bench.jobs import Ask, Job, Outcome, Place
    from vectron_p2p.bench.load import Generators
    from vectron_p2p.bench.queries import Supply
    from vectron_p2p.bench.raw import Raw
    from vectron_p2p.bench.settings import Settings

ONE_PROCESS = 50  # connections; more are shared by two processes, as one interpreter is busy with about that many
BATCH_WARM = 20


@dataclass(frozen=True, slots=True)
class Window:
    rate: float
    """Queries per second."""
    recall: float
    durations: list[float] = field(default_factory=list)
    """Seconds of each operation."""
    failed: int = 0
    partial: int = 0
    cpu_us: float = 0.0
    """CPU time of a query, where it was measured."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries to ask and, for each query of the data set, the rows that are its answer."""

    supply: Supply
    rows: Rows


class Measure:
    """Measures with what it is given; knows no row of the report."""

    def __init__(self, data: Data, settings: Settings, generators: Generators, raw: Raw) -> None:
        self._data = data
        self._settings = settings
        self._generators = generators
        self._raw = raw

    def raw_batch(self, truth: Truth, ef: int) -> Window:
        count = self._settings.batch
        (queries,) = truth.supply.split(1)
        vectors = queries.matrix(BATCH_WARM + count)
        numbers = [queries.number(turn) for turn in range(BATCH_WARM, len(vectors))]
        truth.supply.asked(len(vectors))
        self._raw.batch(vectors[:BATCH_WARM], self._settings.k, ef)
        rate, labels = self._raw.batch(vectors[BATCH_WARM:], self._settings.k, ef)
        wanted = (truth.rows[truth.supply.query(number)].tolist() for number in numbers)
        return Window(rate, recall(labels.tolist(), wanted), cpu_us=self._raw.cpu_us)

    def raw_serial(self, truth: Truth, ef: int) -> list[float]:
        """Seconds of each call of a window."""
        (queries,) = truth.supply.split(1)
        vectors = queries.matrix(BATCH_WARM + self._settings.batch)
        truth.supply.asked(len(vectors))
        self._raw.batch(vectors[:BATCH_WARM], self._settings.k, ef)
        return self._raw.serial(vectors[BATCH_WARM:], self._settings.k, ef, self._settings.seconds)

    def batch(self, place: Place, ask: Ask, truth: Truth) -> Window:
        (queries,) = truth.supply.split(1)
        job = BatchJob(place, ask, queries, self._settings.batch, BATCH_WARM)
        return self.window([self._generators.run([job])[0]], truth)

    def searches(self, place: Place, ask: Ask, truth: Truth, connections: int) -> Window:
        """Single queries on `connections` connections."""
        processes = 1 if connections <= ONE_PROCESS else 2
        seconds = self._settings.seconds
        jobs = self.search_jobs(place, ask, truth, connections, processes, seconds)
        return self.window(self._generators.run(jobs), truth)

    def search_jobs(
        self, place: Place, ask: Ask, truth: Truth, connections: int, processes: int, seconds: float
    ) -> list[Job]:
        shares = [len(part) for part in np.array_split(np.arange(connections), processes)]
        pairs = zip(truth.supply.split(processes), shares, strict=True)
        return [SearchJob(place, ask, queries, share, seconds, self._settings.warm) for queries, share in pairs]

    def window(self, outcomes: Sequence[Outcome], truth: Truth) -> Window:
        """What the processes did together; notes the queries that they used up.

        Raises:
            BenchFailed: No operation was answered.
        """
        truth.supply.asked(max(outcome.turns for outcome in outcomes), len(outcomes))
        failed = sum(len(outcome.errors) for outcome in outcomes)
        if not sum(outcome.done for outcome in outcomes):
            errors = [error for outcome in outcomes for error in outcome.errors]
            raise BenchFailed(f"no search was answered in a window: {errors[0] if errors else 'none ended in time'}")
        return Window(
            rate=sum(outcome.done / outcome.seconds for outcome in outcomes),
            recall=self._recall([pair for outcome in outcomes for pair in outcome.found], truth),
            durations=[seconds for outcome in outcomes for seconds in outcome.durations],
            failed=failed,
            partial=sum(outcome.partial for outcome in outcomes),
        )

    def _recall(self, found: list[tuple[int, list[int | str]]], truth: Truth) -> float:
        ids = self._data.ids
        wanted: Iterable[list[int | str]] = (
            [ids[row] for row in truth.rows[truth.supply.query(number)]] for number, _ in found
        )
        return recall((answer for _, answer in found), wanted)


def milliseconds(windows: Iterable[Window]) -> dict[str, float]:
    """p50 and p99 of all operations, and what went wrong, if anything did."""
    together = list(windows)
    durations = [seconds for window in together for seconds in window.durations]
    figures = {"p50_ms": percentile(durations, 50) * 1000, "p99_ms": percentile(durations, 99) * 1000}
    failed, partial = sum(each.failed for each in together), sum(each.partial for each in together)
    return figures | ({"failed": failed} if failed else {}) | ({"partial": partial} if partial else {})
