"""Virtual time: a trio clock that jumps to the next thing due whenever nothing can run, and processes that can freeze.

Owns the time of a simulated run and its cheap timers (no cancel scope, no exception: most of what a cluster at rest
does is wake up and look). Touches trio's run queue, which is private: the trio version is pinned, and tests fail when
this stops working.

Invariants: time moves only when no task can run; a run in which nothing is due any more is an error, not a hang.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio
from trio._core import _run

if TYPE_CHECKING:
    from collections.abc import Iterable

PROCESS: ContextVar[str] = ContextVar("PROCESS", default="")
"""The simulated process that a task belongs to: inherited by all tasks started from it; "" for none."""

ENDING = 20  # real waits in a row: at the end of a run trio wakes itself up over a socket, a few times


class VirtualClock(trio.abc.Clock):
    """For `trio.run(clock=...)`, when the only thing to wait for is time: no sockets, threads or signals."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, trio.lowlevel.Task]] = []  # a heap
        self._count = 0
        self._nothing_due = 0
        self._waiting: set[trio.lowlevel.Task] = set()
        self._runq = RunQueue()

    def start_clock(self) -> None:
        _run.GLOBAL_RUN_CONTEXT.runner.runq = self._runq

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """trio asks this when no task can run: time goes on to what is due first, a deadline or a timer."""
        timers = self._timers
        while timers and timers[0][2] not in self._waiting:
            heapq.heappop(timers)
        due = min(deadline, timers[0][0]) if timers else deadline
        if due == math.inf:
            self._nothing_due += 1
            if self._nothing_due > ENDING:
                raise RuntimeError("every task waits for something that no task will do")
            return 0.1
        self._nothing_due = 0
        self._now = max(self._now, due)
        while timers and timers[0][0] <= self._now:
            task = heapq.heappop(timers)[2]
            if task in self._waiting:
                self._waiting.remove(task)
                trio.lowlevel.reschedule(task)
        return 0.0

    async def sleep_until(self, at: float) -> None:
        if at <= self._now or at == math.inf:
            await trio.sleep_until(at)
            return
        task = trio.lowlevel.current_task()
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, task))
        self._waiting.add(task)

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._waiting.discard(task)
            self._timers = [timer for timer in self._timers if timer[2] is not task]
            heapq.heapify(self._timers)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def freeze(self, process: str) -> None:
        """As SIGSTOP: no task of `process` runs. Its deadlines pass and its messages arrive meanwhile, and it finds all
        of that at once when it is thawed.
        """
        self._runq.freeze(process)

    def thaw(self, process: str) -> None:
        self._runq.thaw(process)


class RunQueue(deque[Any]):
    """trio's queue of tasks that can run, which keeps those of frozen processes back."""

    def __init__(self, tasks: Iterable[Any] = ()) -> None:
        super().__init__(tasks)
        self._held: dict[str, list[Any]] = {}

    def append(self, task: Any) -> None:
        if self._held:
            held = self._held.get(task.context.get(PROCESS, ""))
            if held is not None:
                held.append(task)
                return
        super().append(task)

    def freeze(self, process: str) -> None:
        if process in self._held:
            return
        held = self._held[process] = []
        ready = list(self)
        self.clear()
        for task in ready:
            (held if task.context.get(PROCESS, "") == process else self).append(task)

    def thaw(self, process: str) -> None:
        for task in self._held.pop(process, ()):
            self.append(task)
