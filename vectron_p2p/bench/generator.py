"""A load generator: `python -m vectron_p2p.bench.generator`, a process of its own that uses the blocking client.

It reads a job, prepares, says "ready", waits for "go", works, and answers with the outcome; then the next job, until
its input ends. All in pickles over stdin and stdout, from and to the benchmark that started it. Whoever is measured
shares no interpreter with whoever measures.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from vectron_p2p.bench.jobs import BatchJob, Broken, Outcome, SearchJob
from vectron_p2p.bench.queries import moved
from vectron_p2p.client.sync_client import Client
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.bench.jobs import Job, WriteJob
    from vectron_p2p.client.collection import Collection
    from vectron_p2p.model.points import SearchResult

READY = "ready"
GO = "go"
TIMEOUT = 60.0  # of a call with its retries: a batch of 2,000 on a busy machine


class _Searches:
    """The threads of one `SearchJob`. They share the counter of queries and nothing else, so none waits for another."""

    def __init__(self, job: SearchJob) -> None:
        self._job = job
        self._turns = itertools.count()  # `next` of a count is atomic
        self._warm = threading.Barrier(job.connections + 1)
        self._go = threading.Event()
        self._until = 0.0
        self._outcomes = [Outcome() for _ in range(job.connections)]
        self._failure: BaseException | None = None

    def run(self, wait: Callable[[], None]) -> Outcome:
        threads = [threading.Thread(target=self._guarded, args=(outcome,)) for outcome in self._outcomes]
        for thread in threads:
            thread.start()
        started = time.perf_counter()
        try:
            self._warm.wait()
            wait()
            started = time.perf_counter()
            self._until = started + self._job.seconds
        except threading.BrokenBarrierError:
            pass  # a thread failed while it warmed up; the others end at once
        finally:
            self._go.set()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        total = Outcome(seconds=time.perf_counter() - started, turns=next(self._turns))
        for outcome in self._outcomes:
            total.done += outcome.done
            total.durations += outcome.durations
            total.found += outcome.found
            total.partial += outcome.partial
            total.errors += outcome.errors
        return total

    def _guarded(self, outcome: Outcome) -> None:
        try:
            with Client(self._job.place.target, timeout=TIMEOUT) as db:
                self._work(db.collection(self._job.place.collection), outcome)
        except threading.BrokenBarrierError:
            pass
        except Exception as error:
            self._failure = error
            self._warm.abort()

    def _work(self, collection: Collection, outcome: Outcome) -> None:
        queries, ask = self._job.queries, self._job.ask

        def search(number: int) -> SearchResult:
            vector = queries.vector(number)
            return collection.search(vector, k=ask.k, ef=ask.ef, filter=ask.filter, with_payload=ask.with_payload)

        for _ in range(self._job.warm):
            search(queries.number(next(self._turns)))
        self._warm.wait()
        self._go.wait()
        while (before := time.perf_counter()) < self._until:
            number = queries.number(next(self._turns))
            try:
                result = search(number)
            except VectronError as error:
                outcome.errors.append(f"{error.code}: {error}")
                continue
            outcome.durations.append(time.perf_counter() - before)
            outcome.done += 1
            _note(outcome, number, result)


def _note(outcome: Outcome, number: int, result: SearchResult) -> None:
    outcome.found.append((number, [hit.id for hit in result]))
    outcome.partial += result.partial


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
        _note(outcome, job.queries.number(turn), result)
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
        return _Searches(job).run(wait)
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
