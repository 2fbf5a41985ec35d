"""The way of a search to a thread: requests that can be answered together go together.

One hop to a thread costs about as much as a query; while the workers are busy, all that arrives under one key is
collected and answered by one job. A few that another worker is at the likes of wait for that one, however many are
free: small batches on several cost more than they save, most of all where nodes share cores. Requests wait in lines,
one a collection, and the lines take turns, so a collection that is asked much delays another by one batch a turn.
Waiting is bounded, for all and for each line. What nobody waits for any more (taken back, or its deadline has passed)
is not searched. Nothing here blocks the loop but a lone caller's own small query, for which two hops would take longer
than the query; and nothing here knows what a request is.

Answers go to callbacks (`runtime.callbacks`), as a batch answers a hundred requests at once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Internal, Overloaded, Unavailable
from vectron_p2p.runtime.callbacks import awaited, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from outcome import Outcome

    from vectron_p2p.runtime import Clock, Executor
    from vectron_p2p.runtime.callbacks import Done, TakeBack

    Job = Callable[[list[Any]], Sequence[Any]]
    """Answers some requests, in their order, on a thread; an answer may be the `VectronError` that its caller gets."""

MAX_BATCH = 128  # weight taken together: some 30 ms of a thread, which is what another collection waits for its turn
LEAST_BATCH = 40  # weight taken together in any case: some 5 ms, which one thread may wait for another at the end
BATCH_COST = 5  # weight that any batch costs its threads and the loop beside its queries: one of it needs no company
# Weight for which another thread begins what one is at already: its share of all that is asked, within these bounds:
# less is not worth a batch; and two milliseconds are worth one, however many ask.
LEAST_SHARE, MOST_SHARE = 4, 32
MOST_HELD = 0.05  # seconds for which fewer wait: five times a batch that they wait for, unless it waits for a disk
PEAK_KEPT = 0.995  # of what was asked at once, after each batch: half of it is forgotten in half a second of full load
MAX_WAITING = 4_096  # weight; about a second of work of two cores
ANSWERED_AT_ONCE = 32  # requests, before others get the loop: two milliseconds of encoding and sending
RETRY_AFTER = 0.2
LONE_S = 0.02  # for so long nobody else has asked: several callers are answered together, faster than one by one
OVERDUE_EVERY = 0.05  # seconds between looks for requests whose time is over: much less than clients wait for the word


class _Waiting:
    """One request of one caller. `done` is None once it was answered or taken back."""

    __slots__ = ("deadline", "done", "request", "weight")

    def __init__(self, request: Any, weight: int, deadline: float, done: Done) -> None:
        self.request = request
        self.weight = weight
        self.deadline = deadline
        self.done: Done | None = done

    def answer(self, what: Any) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(what)


class _Group:
    """Those that may go together."""

    __slots__ = ("job", "members", "weight")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.members: dict[_Waiting, None] = {}  # oldest first
        self.weight = 0

    def take(self, now: float, most: int) -> tuple[list[_Waiting], list[_Waiting]]:
        """The first members up to this weight, and those among them that are too late."""
        taken: list[_Waiting] = []
        late: list[_Waiting] = []
        size = 0
        for one in self.members:
            if one.deadline <= now:
                late.append(one)
                continue
            if taken and size + one.weight > most:
                break
            taken.append(one)
            size += one.weight
        for one in (*taken, *late):
            del self.members[one]
            self.weight -= one.weight
        return taken, late


class _Batch(NamedTuple):
    """What a thread works on: of the line `name`, those under `key`."""

    name: Hashable
    key: Hashable
    members: list[_Waiting]
    weight: int
    began: float


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

    def __init__(
        self,
        executor: Executor,
        clock: Clock,
        *,
        workers: int = 2,
        max_waiting: int = MAX_WAITING,
        on_loop: bool = False,
    ) -> None:
        """`workers`: jobs run at once; as many as the "search" lane has threads.

        `on_loop`: a lone caller's small queries are answered on the event loop.
        """
        self._executor = executor
        self._clock = clock
        self._workers = workers
        self._max_waiting = max_waiting
        self._on_loop = on_loop
        self._lines: dict[Hashable, _Line] = {}  # whose turn is next comes first
        self._nursery: trio.Nursery | None = None
        self._searched: dict[int, _Batch] = {}
        self._under_way = 0  # weight of these
        self._peak = 0.0  # of what was under way and waited, lately
        self._started = 0
        self._caller: Hashable = None
        self._alone_since = 0.0
        self._looking = False
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
            left = list(self._all())
            self._lines.clear()
            self.waiting = 0
            for one in left:
                one.answer(Unavailable("the node is stopping"))

    async def submit(self, name: Hashable, key: Hashable, job: Job, request: Any, weight: int, deadline: float) -> Any:
        """As `begin`, for a task that waits.

        Raises:
            VectronError: The answer, when it is one.
        """
        return await awaited(partial(self.begin, name, key, job, request, weight, deadline))

    def begin(
        self,
        name: Hashable,
        key: Hashable,
        job: Job,
        request: Any,
        weight: int,
        deadline: float,
        done: Done,
        *,
        lone: Hashable = None,
        calm: Callable[[], bool] = lambda: True,
    ) -> TakeBack:
        """Gives `done` the answer of `job` to `request`; those under one `key` may share one call of the first one's
        job. Or an error: `Overloaded` (too much waits), `DeadlineExceeded` (not begun in time), `Unavailable` (the
        service stops), `Internal`.

        Args:
            name: The line that it waits in.
            weight: What it costs, in ordinary queries.
            deadline: After it nobody wants the answer.
            lone: The caller, if this is a query of a fraction of a millisecond, and the only one that it has asked.
            calm: Whether it would wait for no lock now.
        """
        if self._on_loop and lone is not None and self._is_alone(lone) and self._nursery is not None and calm():
            done(_answered(job, request))
            return nothing
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line()
        elif line.weight + weight > self._max_waiting / len(self._lines):  # an empty line takes anything
            self.refused += 1
            done(
                Overloaded(
                    f"searches of this collection wait on this node already ({line.weight})", retry_after=RETRY_AFTER
                )
            )
            return nothing
        group = line.groups.get(key)
        if group is None:
            group = line.groups[key] = _Group(job)
        one = _Waiting(request, weight, deadline, done)
        group.members[one] = None
        group.weight += weight
        line.weight += weight
        self.waiting += weight
        self._peak = max(self._peak, self._under_way + self.waiting)
        self._dispatch()
        return partial(self._take_back, name, line, key, group, one)

    def share(self, weight: int) -> int:
        """How much of `weight` to hand over at once, so that the threads are at work as long as each other: half of
        what each gets of all that waits (guided self-scheduling: Polychronopoulos and Kuck, 1987).
        """
        return (self.waiting + weight) // (2 * self._workers)

    def _take_back(self, name: Hashable, line: _Line, key: Hashable, group: _Group, one: _Waiting) -> None:
        one.done = None
        if one in group.members:  # what no worker has taken is not searched for nobody
            del group.members[one]
            group.weight -= one.weight
            self._leave(name, line, key, group, one.weight)

    def _is_alone(self, caller: Hashable) -> bool:
        """Whether this caller, and for a while no other, asks."""
        busy = bool(self._searched or self._lines)
        if caller != self._caller:
            self._caller, self._alone_since = caller, math.inf if busy else self._clock.now()
            return False
        if busy:
            return False
        now = self._clock.now()
        self._alone_since = min(self._alone_since, now)
        return now - self._alone_since >= LONE_S

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
        late: list[_Waiting] = []
        while nursery is not None and len(self._searched) < self._workers:
            taken = self._take(late)
            if taken is None:
                break
            job, batch = taken
            self._started += 1
            number = self._started
            self._searched[number] = batch
            self._under_way += batch.weight
            self._peak *= PEAK_KEPT
            requests = [one.request for one in batch.members]
            self._executor.start(nursery, "search", job, [requests], partial(self._done, number))
            if not self._looking:
                self._looking = True
                nursery.start_soon(self._look_for_overdue)
        self.late += len(late)
        for one in late:  # last: whoever is told may ask again
            one.answer(DeadlineExceeded("the time given ran out before the search was begun; give more time"))

    def _done(self, number: int, result: Outcome[Sequence[Any]]) -> None:
        batch = self._searched.pop(number)
        self._under_way -= batch.weight
        taken = batch.members
        nursery = self._nursery
        if nursery is None:
            return  # too late: they were told that the node stops
        self._dispatch()
        try:
            answers: Sequence[Any] = result.unwrap()
        except Exception as error:
            answers = [_failed(error) for _ in taken]
        for one, answer in zip(taken[:ANSWERED_AT_ONCE], answers, strict=False):
            one.answer(answer)
        if len(taken) > ANSWERED_AT_ONCE:
            nursery.start_soon(self._answer_rest, taken[ANSWERED_AT_ONCE:], answers[ANSWERED_AT_ONCE:])

    async def _answer_rest(self, taken: list[_Waiting], answers: Sequence[Any]) -> None:
        """A few at a time, so that others get the loop in between."""
        try:
            for at, (one, answer) in enumerate(zip(taken, answers, strict=True)):
                if at % ANSWERED_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
                one.answer(answer)
        finally:
            for one in taken:
                one.answer(Unavailable("the node is stopping"))  # of no effect on those that were answered

    async def _look_for_overdue(self) -> None:
        """Until nothing is under way: a thread that hangs (a disk that does) must not keep its callers."""
        while self._searched or self._lines:
            await self._clock.sleep(OVERDUE_EVERY)
            self._dispatch()  # of those that waited for likes of theirs that a disk holds up
            now = self._clock.now()
            # They stay where they are: `_take` and `_done` count them and pass over them.
            for one in [one for one in self._all() if one.deadline <= now]:
                one.answer(DeadlineExceeded("the time given ran out on the node that was asked"))
        self._looking = False

    def _all(self) -> Iterator[_Waiting]:
        """Whoever waits or is searched for."""
        for line in self._lines.values():
            for group in line.groups.values():
                yield from group.members
        for batch in self._searched.values():
            yield from batch.members

    def _take(self, late: list[_Waiting]) -> tuple[Job, _Batch] | None:
        """The first members of the oldest group of the line whose turn it is; None: nobody waits, or only for likes
        of theirs that are searched. Those that are too late are added to `late`.
        """
        now = self._clock.now()
        while (turn := self._next(now)) is not None:
            name, line, key, group = turn
            del line.groups[key]
            taken, overdue = group.take(now, max(LEAST_BATCH, min(self.share(0), MAX_BATCH)))
            if group.members:
                line.groups[key] = group  # what is left of it goes to the end of its line
            del self._lines[name]
            self._lines[name] = line  # and the line behind the others
            weight = sum(one.weight for one in taken)
            self._leave(name, line, key, group, weight + sum(one.weight for one in overdue))
            late += overdue
            if taken:
                return group.job, _Batch(name, key, taken, weight, now)
        return None

    def _next(self, now: float) -> tuple[Hashable, _Line, Hashable, _Group] | None:
        """Whose turn it is, but for those of whom few wait and a batch will be answered soon."""
        enough = min(MOST_SHARE, max(LEAST_SHARE, self._peak / self._workers))
        for name, line in self._lines.items():
            for key, group in line.groups.items():
                light = group.weight < min(enough, BATCH_COST * len(group.members))
                if not (light and self._soon_over(name, key, now)):
                    return name, line, key, group
        return None

    def _soon_over(self, name: Hashable, key: Hashable, now: float) -> bool:
        """Whether a small batch of these is under way, and was begun lately: a disk may hold it up."""
        return any(
            batch.key == key and batch.name == name and batch.weight <= LEAST_BATCH and now < batch.began + MOST_HELD
            for batch in self._searched.values()
        )


def _answered(job: Job, request: Any) -> Any:
    try:
        return job([request])[0]
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> Internal:
    """One for each caller: raised in several tasks, one would collect all their tracebacks."""
    failure = Internal(f"the search failed: {error!r}")
    failure.__cause__ = error
    return failure
