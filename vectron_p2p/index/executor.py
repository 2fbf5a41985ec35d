"""The way of a search to a thread: queries that wait for the same index with the same parameters go together.

One hop to a thread costs about as much as a query; while the workers are busy, all that arrives for one index is
collected and answered by one batched call. Waiting is bounded. Nothing here blocks the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import trio

from vectron_p2p.model.errors import Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from vectron_p2p.index.search import Hits, Keep
    from vectron_p2p.index.shard_index import ShardIndex
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.runtime import Executor

MAX_BATCH = 128  # queries taken together: half a turn at the gate more or less no longer matters
SLICE = 256  # a larger request is cut, so that all workers share it and others get between
MAX_WAITING = 4_096  # queries; about a second of work of two cores
RETRY_AFTER = 0.2


class _Waiting:
    """Some queries of one caller."""

    __slots__ = ("done", "error", "queries", "result")

    def __init__(self, queries: Matrix) -> None:
        self.queries = queries
        self.done = trio.Event()
        self.result: tuple[list[Hits], dict[str, Any]] | None = None
        self.error: BaseException | None = None


class _Group:
    """Those that may go together."""

    __slots__ = ("index", "members", "options")

    def __init__(self, index: ShardIndex, options: dict[str, Any]) -> None:
        self.index = index
        self.options = options
        self.members: list[_Waiting] = []

    def run(self, queries: Matrix) -> tuple[list[Hits], dict[str, Any]]:
        return self.index.search(queries, **self.options)


class SearchExecutor:
    """A service: `run` keeps the workers; `search` is for everybody."""

    def __init__(self, executor: Executor, *, workers: int = 2, max_waiting: int = MAX_WAITING) -> None:
        """`workers`: searches run at once; as many as the "search" lane has threads."""
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
                self._fail(group.members)
            self._groups.clear()
            self.waiting = 0

    async def search(
        self,
        index: ShardIndex,
        queries: Matrix,
        *,
        k: int,
        ef: int | None = None,
        exact: bool = False,
        keep: Keep | None = None,
        score_threshold: float | None = None,
    ) -> tuple[list[Hits], dict[str, Any]]:
        """`ShardIndex.search` on a thread.

        Raises:
            Overloaded: Too many queries wait.
            Unavailable: The service stops.
        """
        if self.waiting + len(queries) > self._max_waiting and self.waiting:
            raise Overloaded(f"{self.waiting} queries wait on this node already", retry_after=RETRY_AFTER)
        options = {"k": k, "ef": ef, "exact": exact, "keep": keep, "score_threshold": score_threshold}
        # Filters are not compared: a callback goes alone.
        key: Hashable = (index, k, ef, exact, score_threshold) if keep is None else object()
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(index, options)
        parts = [_Waiting(queries[at : at + SLICE]) for at in range(0, max(1, len(queries)), SLICE)]
        group.members.extend(parts)
        self.waiting += len(queries)
        self._wake.set()
        try:
            for part in parts:
                await part.done.wait()
        finally:
            for part in parts:  # cancelled: what no worker has taken is not searched for nobody
                if part in group.members:
                    group.members.remove(part)
                    self.waiting -= len(part.queries)
            if not group.members and self._groups.get(key) is group:
                del self._groups[key]
        hits: list[Hits] = []
        plan: dict[str, Any] = {}
        for part in parts:
            if part.error is not None:
                raise part.error
            if part.result is not None:
                hits.extend(part.result[0])
                plan = plan or part.result[1]
        return hits, plan

    async def _work(self) -> None:
        while True:
            while not self._groups:
                if self._wake.is_set():
                    self._wake = trio.Event()
                await self._wake.wait()
            group, taken = self._take()
            queries = taken[0].queries if len(taken) == 1 else np.concatenate([one.queries for one in taken])
            try:
                hits, plan = await self._executor.run("search", group.run, queries)
            except Exception as error:
                for one in taken:
                    one.error = error
                    one.done.set()
            except BaseException:  # cancelled: the callers may belong to others
                self._fail(taken)
                raise
            else:
                at = 0
                for one in taken:
                    one.result = (hits[at : at + len(one.queries)], plan)
                    at += len(one.queries)
                    one.done.set()

    def _take(self) -> tuple[_Group, list[_Waiting]]:
        """The oldest group's first members; what is left of it goes to the end of the line."""
        key = next(iter(self._groups))
        group = self._groups.pop(key)
        taken, size = [group.members[0]], len(group.members[0].queries)
        for one in group.members[1:]:
            if size + len(one.queries) > MAX_BATCH:
                break
            taken.append(one)
            size += len(one.queries)
        del group.members[: len(taken)]
        if group.members:
            self._groups[key] = group
        self.waiting -= size
        return group, taken

    def _fail(self, members: list[_Waiting]) -> None:
        for one in members:
            one.error = Unavailable("the node is stopping")
            one.done.set()
