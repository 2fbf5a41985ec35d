"""The way of a search to a thread: requests that can be answered together go together.

One hop to a thread costs about as much as a query; while the workers are busy, all that arrives under one key is
collected and answered by one job. Waiting is bounded. Nothing here blocks the loop, and nothing here knows what a
request is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import Internal, Overloaded, Unavailable, VectronError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vectron_p2p.runtime import Executor

    Job = Callable[[list[Any]], Sequence[Any]]
    """Answers some requests, in their order, on a thread; an answer may be the `VectronError` that its caller gets."""

MAX_BATCH = 128  # queries taken together: half a turn at the gate more or less no longer matters
MAX_WAITING = 4_096  # queries; about a second of work of two cores
RETRY_AFTER = 0.2


class _Waiting:
    """One request of one caller; `weight` is its number of queries."""

    __slots__ = ("answer", "done", "request", "weight")

    def __init__(self, request: Any, weight: int) -> None:
        self.request = request
        self.weight = weight
        self.done = trio.Event()
        self.answer: Any = None


class _Group:
    """Those that may go together."""

    __slots__ = ("job", "members")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.members: list[_Waiting] = []


class SearchExecutor:
    """A service: `run` keeps the workers; `submit` is for everybody."""

    def __init__(self, executor: Executor, *, workers: int = 2, max_waiting: int = MAX_WAITING) -> None:
        """`workers`: jobs run at once; as many as the "search" lane has threads."""
        self._executor = executor
        self._workers = workers
        self._max_waiting = max_waiting
        self._groups: dict[Hashable, _Group] = {}  # oldest first
        self._wake = trio.Event()
        self.waiting = 0
        """Queries that no worker has taken yet."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; whoever still waits then gets Unavailable."""
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._workers):
                    nursery.start_soon(self._work)
                task_status.started()
        finally:
            for group in self._groups.values():
                _fail(group.members)
            self._groups.clear()
            self.waiting = 0

    async def submit(self, key: Hashable, job: Job, request: Any, weight: int) -> Any:
        """The answer of `job` to `request`; requests under one `key` may share one call of the first one's job.

        Raises:
            Overloaded: Too many queries wait.
            Unavailable: The service stops.
            VectronError: The answer, when it is one.
        """
        if self.waiting and self.waiting + weight > self._max_waiting:
            raise Overloaded(f"{self.waiting} queries wait on this node already", retry_after=RETRY_AFTER)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(job)
        one = _Waiting(request, weight)
        group.members.append(one)
        self.waiting += weight
        self._wake.set()
        try:
            await one.done.wait()
        finally:
            if one in group.members:  # cancelled: what no worker has taken is not searched for nobody
                group.members.remove(one)
                self.waiting -= weight
            if not group.members and self._groups.get(key) is group:
                del self._groups[key]
        if isinstance(one.answer, VectronError):
            raise one.answer
        return one.answer

    async def _work(self) -> None:
        while True:
            while not self._groups:
                if self._wake.is_set():
                    self._wake = trio.Event()
                await self._wake.wait()
            job, taken = self._take()
            try:
                answers = await self._executor.run("search", job, [one.request for one in taken])
            except Exception as error:
                for one in taken:
                    # An exception of its own for each: raised in several tasks, one would collect all their tracebacks.
                    one.answer = Internal(f"the search failed: {error!r}")
                    one.answer.__cause__ = error
                    one.done.set()
            except BaseException:  # cancelled: the callers may belong to others
                _fail(taken)
                raise
            else:
                for one, answer in zip(taken, answers, strict=True):
                    one.answer = answer
                    one.done.set()

    def _take(self) -> tuple[Job, list[_Waiting]]:
        """The oldest group's first members; what is left of it goes to the end of the line."""
        key = next(iter(self._groups))
        group = self._groups.pop(key)
        taken, size = [group.members[0]], group.members[0].weight
        for one in group.members[1:]:
            if size + one.weight > MAX_BATCH:
                break
            taken.append(one)
            size += one.weight
        del group.members[: len(taken)]
        if group.members:
            self._groups[key] = group
        self.waiting -= size
        return group.job, taken


def _fail(members: list[_Waiting]) -> None:
    for one in members:
        one.answer = Unavailable("the node is stopping")
        one.done.set()
