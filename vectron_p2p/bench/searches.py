"""A window of single searches by several threads of this process, whoever answers them.

The loop is the same for nodes and for other engines, so that none of them has a cheaper client.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vectron_p2p.bench.jobs import Outcome
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from vectron_p2p.bench.queries import Queries

Vector: TypeAlias = npt.NDArray[np.float32]
Answer = TypeVar("Answer")
if TYPE_CHECKING:
    Search: TypeAlias = Callable[[Vector], Answer]
    Read: TypeAlias = Callable[[Answer], tuple[list[int | str], bool]]
    """The ids found, best first, and whether some of the collection could not be searched."""


class Searches(Generic[Answer]):
    """`connections` threads. They share the counter of queries and nothing else, so none waits for another."""

    def __init__(
        self,
        queries: Queries,
        connections: int,
        seconds: float,
        warm: int,
        asking: Callable[[], AbstractContextManager[Search[Answer]]],
        read: Read[Answer],
    ) -> None:
        """`asking` is entered by each thread: a connection of its own, where there are connections. `read` counts for
        the rate, as everybody reads answers, and not for the duration of the call.
        """
        self._queries = queries
        self._seconds = seconds
        self._warm_turns = warm
        self._asking = asking
        self._read = read
        self._turns = itertools.count()  # `next` of a count is atomic
        self._warm = threading.Barrier(connections + 1)
        self._go = threading.Event()
        self._until = 0.0
        self._outcomes = [Outcome() for _ in range(connections)]
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
            self._until = started + self._seconds
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
            with self._asking() as search:
                self._work(search, outcome)
        except threading.BrokenBarrierError:
            pass
        except Exception as error:
            self._failure = error
            self._warm.abort()

    def _work(self, search: Search[Answer], outcome: Outcome) -> None:
        queries = self._queries
        for _ in range(self._warm_turns):
            search(queries.vector(queries.number(next(self._turns))))
        self._warm.wait()
        self._go.wait()
        while (before := time.perf_counter()) < self._until:
            number = queries.number(next(self._turns))
            try:
                answer = search(queries.vector(number))
            except VectronError as error:
                outcome.errors.append(f"{error.code}: {error}")
                continue
            outcome.durations.append(time.perf_counter() - before)
            outcome.done += 1
            found, partial = self._read(answer)
            outcome.found.append((number, found))
            outcome.partial += partial
