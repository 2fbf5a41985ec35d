"""The way of a search to a thread: requests that can be answered together go together.

One hop to a thread costs about as much as a query; while the workers are busy, all that arrives under one key is
collected and answered by one job. Requests wait in lines, one a collection, and the lines take turns, so a collection
that is asked much delays another by one batch a turn. Waiting is bounded, for all and for each line. What nobody waits
for any more (cancelled, or its deadline has passed) is not searched. Nothing here blocks the loop, and nothing here
knows what a request is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Internal, Overloaded, Unavailable, VectronError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from outcome import Outcome

    from vectron_p2p.runtime import Clock, Executor

    Job = Callable[[list[Any]], Sequence[Any]]
    """Answers some requests, in their order, on a thread; an answer may be the `VectronError` that its caller gets."""

MAX_BATCH = 128  # weight taken together: some 30 ms of a thread, which is what another collection waits for its turn
MAX_WAITING = 4_096  # weight; about a second of work of two cores
RETRY_AFTER = 0.2


class _Waiting:
    """One request of one caller."""

    __slots__ = ("answer", "deadline", "done", "request", "weight")

    def __init__(self, request: Any, weight: int, deadline: float) -> None:
        self.request = request
        self.weight = weight
        self.deadline = deadline
        self.done = trio.Event()
        self.answer: Any = None


class _Group:
    """Those that may go together."""

    __slots__ = ("job", "members")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.members: dict[_Waiting, None] = {}  # oldest first

    def take(self, now: float) -> tuple[list[_Waiting], list[_Waiting]]:
        """The first members up to a batch, and those among them that are too late."""
        taken: list[_Waiting] = []
        late: list[_Waiting] = []
        size = 0
        for one in self.members:
            if one.deadline <= now:
                late.append(one)
                continue
            if taken and size + one.weight > MAX_BATCH:
                break
            taken.append(one)
            size += one.weight
        for one in (*taken, *late):
            del self.members[one]
        return taken, late


class _Line:
    """What waits for one collection."""

    __slots__ = ("groups", "weight")

    def __init__(self) -> None:
        self.groups: dict[Hashable, _Group] = {}  # oldest first
        self.weight = 0


class SearchExecutor:
    """A service: `run` is its life; `submit` is for everybody.

    Batches are handed to threads and taken back without a task in between, which would have to be woken for each.
    """

    def __init__(self, executor: Executor, clock: Clock, *, workers: int = 2, max_waiting: int = MAX_WAITING) -> None:
        """`workers`: jobs run at once; as many as the "search" lane has threads."""
        self._executor = executor
        self._clock = clock
        self._workers = workers
        self._max_waiting = max_waiting
        self._lines: dict[Hashable, _Line] = {}  # whose turn is next comes first
        self._nursery: trio.Nursery | None = None
        self._searched: dict[int, list[_Waiting]] = {}
        """Batches that threads work on."""
        self._started = 0
        self.waiting = 0
        """Weight of what no worker has taken yet."""
        self.late = 0
        """Requests that were not searched because their deadline had passed."""
        self.refused = 0
        """Requests answered `Overloaded`."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; whoever still waits then gets Unavailable."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._dispatch()
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for line in self._lines.values():
                for group in line.groups.values():
                    _fail(group.members)
                    group.members.clear()
            for taken in self._searched.values():
                _fail(taken)
            self._lines.clear()
            self.waiting = 0

    async def submit(self, name: Hashable, key: Hashable, job: Job, request: Any, weight: int, deadline: float) -> Any:
        """The answer of `job` to `request`; requests under one `key` may share one call of the first one's job.

        Args:
            name: The line that it waits in.
            weight: What it costs, in ordinary queries.
            deadline: After it nobody wants the answer.

        Raises:
            Overloaded: Too much waits.
            DeadlineExceeded: It was not begun before `deadline`.
            Unavailable: The service stops.
            VectronError: The answer, when it is one.
        """
        line = self._admit(name, weight)
        group = line.groups.get(key)
        if group is None:
            group = line.groups[key] = _Group(job)
        one = _Waiting(request, weight, deadline)
        group.members[one] = None
        line.weight += weight
        self.waiting += weight
        self._dispatch()
        try:
            await one.done.wait()
        finally:
            if one in group.members:  # cancelled: what no worker has taken is not searched for nobody
                del group.members[one]
                self._leave(name, line, key, group, weight)
        if isinstance(one.answer, VectronError):
            raise one.answer
        return one.answer

    def _admit(self, name: Hashable, weight: int) -> _Line:
        """The line, if it has room: each has an equal share of what may wait; one that is empty takes anything."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line()
        elif line.weight + weight > self._max_waiting / len(self._lines):
            self.refused += 1
            raise Overloaded(
                f"searches of this collection wait on this node already ({line.weight})", retry_after=RETRY_AFTER
            )
        return line

    def _leave(self, name: Hashable, line: _Line, key: Hashable, group: _Group, weight: int) -> None:
        """`weight` waits no more."""
        line.weight -= weight
        self.waiting -= weight
        if not group.members and line.groups.get(key) is group:
            del line.groups[key]
        if not line.groups and self._lines.get(name) is line:
            del self._lines[name]

    def _dispatch(self) -> None:
        """Hand over batches while threads are free and somebody waits."""
        nursery = self._nursery
        while nursery is not None and len(self._searched) < self._workers:
            batch = self._take()
            if batch is None:
                return
            job, taken = batch
            self._started += 1
            number = self._started
            self._searched[number] = taken
            requests = [one.request for one in taken]
            self._executor.start(nursery, "search", job, [requests], partial(self._done, number))

    def _done(self, number: int, result: Outcome[Sequence[Any]]) -> None:
        taken = self._searched.pop(number)
        if self._nursery is None:
            return  # too late: they were told that the node stops
        self._dispatch()
        try:
            answers = result.unwrap()
        except Exception as error:
            for one in taken:
                # An exception of its own for each: raised in several tasks, one would collect all their tracebacks.
                one.answer = Internal(f"the search failed: {error!r}")
                one.answer.__cause__ = error
                one.done.set()
        else:
            for one, answer in zip(taken, answers, strict=True):
                one.answer = answer
                one.done.set()

    def _take(self) -> tuple[Job, list[_Waiting]] | None:
        """The first members of the oldest group of the line whose turn it is; None: nobody waits."""
        now = self._clock.now()
        while self._lines:
            name, line = next(iter(self._lines.items()))
            key, group = next(iter(line.groups.items()))
            del line.groups[key]
            taken, late = group.take(now)
            if group.members:
                line.groups[key] = group  # what is left of it goes to the end of its line
            del self._lines[name]
            self._lines[name] = line  # and the line behind the others
            self._leave(name, line, key, group, sum(one.weight for one in (*taken, *late)))
            for one in late:
                self.late += 1
                one.answer = DeadlineExceeded("the time given ran out before the search was begun; give more time")
                one.done.set()
            if taken:
                return group.job, taken
        return None


def _fail(members: dict[_Waiting, None] | list[_Waiting]) -> None:
    for one in members:
        one.answer = Unavailable("the node is stopping")
        one.done.set()
