"""Real time and real threads.

`TrioClock` is trio's clock plus the machine's wall clock. `ThreadExecutor` owns long-lived threads per lane: a hop
through `trio.to_thread` costs about 150 us because it takes a worker from a cache and wakes the loop once per call;
here workers wait on a plain queue, and all results that are ready wake the loop once.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import threading
import time
from collections import deque
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import outcome
import psutil
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vectron_p2p.runtime.interfaces import Done

T = TypeVar("T")


class TrioClock:
    """`Clock` over trio's clock (which a test may replace by trio's MockClock) and `time.time`. One that is made within
    a run of trio is for that run, and cheaper to ask: a small request asks several times.
    """

    def __init__(self) -> None:
        self.now: Callable[[], float] = trio.current_time
        if trio.lowlevel.in_trio_run():
            self.now = trio.lowlevel.current_clock().current_time

    def ticks(self) -> float:
        return time.perf_counter()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def sleep_until(self, at: float) -> None:
        await trio.sleep_until(at)

    def move_on_after(self, seconds: float) -> trio.CancelScope:
        return trio.move_on_after(seconds)

    def fail_after(self, seconds: float) -> AbstractContextManager[trio.CancelScope]:
        return trio.fail_after(seconds)


class ProcessUsage:
    """`Usage` of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def cpu_seconds(self) -> float:
        return time.process_time()

    def rss_bytes(self) -> int:
        rss: int = self._process.memory_info().rss
        return rss

    def memory_percent(self) -> float:
        percent: float = psutil.virtual_memory().percent
        return percent


def usable_cores() -> list[int]:
    """The cores that this process may use, by number; where the system does not say, all."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Lane:
    """Threads of a lane, and how far they stand back when cores are short, as `nice` counts: behind the process's other
    threads, whatever its own priority is; 0: not at all.

    `apart`: each keeps to a core of its own, where there are just as many cores as threads: a scheduler may let two
    that compute share a core for milliseconds while another has nothing to do. With more cores they are left to it, as
    other processes would have theirs on the same few.
    """

    threads: int
    nice: int = 0
    apart: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    fn: Callable[..., Any]
    args: tuple[object, ...]
    context: contextvars.Context
    """The asking task's: what is logged on the thread belongs to its node and request."""
    task: trio.lowlevel.Task | None
    """None once the waiting task was cancelled, so that the result is dropped; or where `done` takes it."""
    done: Done[Any] | None = None
    result: outcome.Outcome[Any] | None = None


class ThreadExecutor:
    """`Executor` over dedicated daemon threads; make it with `open_executor` inside `trio.run`."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._done: deque[_Job] = deque()
        self._queues: dict[str, queue.SimpleQueue[_Job | None]] = {}
        self._lanes = dict(lanes)
        cores = usable_cores()
        for name, lane in lanes.items():
            self._queues[name] = queue.SimpleQueue()
            apart = lane.apart and lane.threads == len(cores) and hasattr(os, "sched_setaffinity")
            for number in range(lane.threads):
                threading.Thread(
                    target=self._work,
                    args=(self._queues[name], lane.nice, cores[number] if apart else None),
                    name=f"vectron-{name}-{number}",
                    daemon=True,
                ).start()

    async def run(self, lane: str, fn: Callable[..., T], *args: object) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        job = _Job(fn, args, contextvars.copy_context(), trio.lowlevel.current_task())
        self._queues[lane].put(job)

        def abandon(_raise_cancel: object) -> trio.lowlevel.Abort:
            job.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return cast("T", await trio.lowlevel.wait_task_rescheduled(abandon))

    def start(
        self, nursery: trio.Nursery, lane: str, fn: Callable[..., T], args: Sequence[object], done: Done[T]
    ) -> None:
        context = nursery.parent_task.context.copy()  # of the service: such a job may be for many requests
        self._queues[lane].put(_Job(fn, tuple(args), context, None, done))

    def waiting(self) -> dict[str, int]:
        """Jobs not yet begun, by lane."""
        return {lane: jobs.qsize() for lane, jobs in self._queues.items()}

    def close(self) -> None:
        """Let each thread end after what it is doing and what is queued before."""
        for name, lane in self._lanes.items():
            for _ in range(lane.threads):
                self._queues[name].put(None)

    def _work(self, jobs: queue.SimpleQueue[_Job | None], nice: int, core: int | None) -> None:
        if core is not None:
            with contextlib.suppress(OSError):  # the core was taken from this process meanwhile
                os.sched_setaffinity(threading.get_native_id(), {core})
        if nice:
            # Linux gives each thread a priority of its own; where it does not, all run alike.
            with contextlib.suppress(OSError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + nice)
        while (job := jobs.get()) is not None:
            job.result = outcome.capture(job.context.run, job.fn, *job.args)
            self._done.append(job)
            try:
                self._token.run_sync_soon(self._deliver, idempotent=True)
            except trio.RunFinishedError:
                return
            del job  # with its arguments, which may be megabytes: not kept until this thread gets another one

    def _deliver(self) -> None:
        while self._done:
            job = self._done.popleft()
            if job.done is not None:
                job.done(cast("outcome.Outcome[Any]", job.result))
            elif job.task is not None:
                trio.lowlevel.reschedule(job.task, cast("outcome.Outcome[Any]", job.result))
                job.task = None


@contextmanager
def open_executor(lanes: Mapping[str, Lane]) -> Iterator[ThreadExecutor]:
    """A `ThreadExecutor` with `lanes` that ends with the block."""
    executor = ThreadExecutor(lanes)
    try:
        yield executor
    finally:
        executor.close()
