"""A load generator: `python -m vectron_p2p.bench.generator`, a process of its own that uses the blocking client.

It reads a job, prepares, says "ready", waits for "go", works, and answers with the outcome; then the next job, until
its input ends. All in pickles over stdin and stdout, from and to the benchmark that started it. Whoever is measured
shares no interpreter with whoever measures.
"""

from __future__ import annotations

import pickle
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from vectron_p2p.bench.jobs import BatchJob, Broken, Outcome, SearchJob
from vectron_p2p.bench.queries import moved
from vectron_p2p.bench.searches import Searches
from vectron_p2p.client.sync_client import Client
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vectron_p2p.bench.jobs import Ask, Job, Place, WriteJob
    from vectron_p2p.bench.searches import Search, Vector
    from vectron_p2p.model.points import SearchResult

READY = "ready"
GO = "go"
TIMEOUT = 60.0  # of a call with its retries: a batch of 2,000 on a busy machine


@contextmanager
def _asking(place: Place, ask: Ask) -> Iterator[Search[SearchResult]]:
    with Client(place.target, timeout=TIMEOUT) as db:
        collection = db.collection(place.collection)

        def search(vector: Vector) -> SearchResult:
            return collection.search(vector, k=ask.k, ef=ask.ef, filter=ask.filter, with_payload=ask.with_payload)

        yield search


def _read(result: SearchResult) -> tuple[list[int | str], bool]:
    return [hit.id for hit in result], result.partial


def _search(job: SearchJob, wait: Callable[[], None]) -> Outcome:
    searches = Searches(job.queries, job.connections, job.seconds, job.warm, lambda: _asking(job.place, job.ask), _read)
    return searches.run(wait)


def _batch(job: BatchJob, wait: Callable[[], None]) -> Outcome:
    ask = job.ask
    vectors = job.queries.matrix(job.warm + job.count)
    with Client(job.place.target, timeout=TIMEOUT) as db:
        collection = db.collection(job.place.collection)
        keywords: dict[str, Any] = {"k": ask.k, "ef": ask.ef, "filter": ask.filter, "with_payload": ask.with_payload}
        collection.search_batch(vectors[: job.warm], **keywords)
        wait()
        started = time.perf_counter()
        results = collection.search_batch(vectors[job.warm :], **keywords)
        outcome = Outcome(seconds=time.perf_counter() - started, done=len(results), turns=len(vectors))
    for turn, result in enumerate(results, job.warm):
        found, partial = _read(result)
        outcome.found.append((job.queries.number(turn), found))
        outcome.partial += partial
    return outcome


def _write(job: WriteJob, wait: Callable[[], None]) -> Outcome:
    """Batches at their appointed times; one that is late is sent at once, so a slow server shows as a lower rate."""
    outcome = Outcome()
    turns = round(job.seconds * job.rate / job.batch)
    starts = range(0, max(1, len(job.ids) - job.batch + 1), job.batch)
    with Client(job.place.target, timeout=TIMEOUT) as db:
        collection = db.collection(job.place.collection)
        collection.info()  # dials
        wait()
        started = time.perf_counter()
        for turn in range(turns):
            due = started + turn * job.batch / job.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            before = time.perf_counter()
            if before > started + job.seconds:
                break
            at = starts[turn % len(starts)]
            rows = slice(at, at + job.batch)
            vectors = moved(job.vectors[rows], job.noise[turn % len(job.noise)])
            try:
                collection.upsert(ids=job.ids[rows], vectors=vectors, payloads=job.payloads[rows])
            except VectronError as error:
                outcome.errors.append(f"{error.code}: {error}")
                continue
            outcome.durations.append(time.perf_counter() - before)
            outcome.done += len(vectors)
        outcome.seconds = max(job.seconds, time.perf_counter() - started)
    return outcome


def perform(job: Job, wait: Callable[[], None]) -> Outcome:
    """Does the job; `wait` returns when the others are ready too."""
    if isinstance(job, SearchJob):
        return _search(job, wait)
    return _batch(job, wait) if isinstance(job, BatchJob) else _write(job, wait)


def main(source: BinaryIO, sink: BinaryIO) -> None:
    def say(what: object) -> None:
        pickle.dump(what, sink)
        sink.flush()

    def wait() -> None:
        say(READY)
        pickle.load(source)

    while True:
        try:
            job = pickle.load(source)
        except EOFError:
            return
        try:
            outcome: Outcome | Broken = perform(job, wait)
        except EOFError:
            return  # the benchmark has gone
        except Exception as error:
            outcome = Broken(f"{type(error).__name__}: {error}")
        say(outcome)


if __name__ == "__main__":
    pipe = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may come between the pickles
    main(sys.stdin.buffer, pipe)
