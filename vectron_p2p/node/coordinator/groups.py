"""The searches of which a search by group is made: first for groups, then for what their hits lack.

All are ordinary searches with a narrower filter, at the consistency asked, so they find what such searches find.
Invariant: fewer groups than asked, or fewer hits in one, means that there are no more, or that `missing` says where not
everything was looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import trio

from vectron_p2p.model.errors import ConsistencyError, DeadlineExceeded, Overloaded, Unavailable, VectronError
from vectron_p2p.query.groups import Group, Groups, narrowed
from vectron_p2p.query.scoring import FLOAT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.protocol import messages as m
    from vectron_p2p.query.filters import GroupValue
    from vectron_p2p.query.merge import Scored

FIRST, MOST = 32, 256  # hits of one search; the largest payloads of `MOST` make half of what a message may have
AT_ONCE = 8  # searches for single groups: a few rounds for the usual ten groups, and no flood


class Answer(NamedTuple):
    lists: list[list[Scored]]
    missing: list[int]
    plan: list[dict[str, Any]]


Ask: TypeAlias = Callable[["m.SearchShards"], Awaitable[Answer]]


class GroupSearch:
    """Of all queries of one request; used once."""

    def __init__(self, ask: Ask, message: m.SearchShards, path: str, k: int, size: int, collection: Collection) -> None:
        self._ask = ask
        self._message = replace(message, with_payload=True)
        self._path = path
        self._k = k
        self._size = size
        self._collection = collection
        self._missing: set[int] = set()
        self._plan: list[dict[str, Any]] = []

    async def run(self) -> tuple[list[list[Group]], list[int], list[dict[str, Any]]]:
        """The groups of each query, the shards of which something may lack, and the plans of all searches."""
        step = self._collection.options.dimension * FLOAT_BYTES
        found = []
        for at in range(0, len(self._message.vectors), step):
            query = replace(self._message, vectors=self._message.vectors[at : at + step], count=1)
            found.append(await self._query(query))
        return found, sorted(self._missing), self._plan

    async def _query(self, message: m.SearchShards) -> list[Group]:
        groups = Groups(self._path, self._k, self._size, self._collection.options.metric)
        try:
            await self._discover(message, groups)
            groups.choose()
            await self._fill(message, groups)
        except (ConsistencyError, DeadlineExceeded, Overloaded, Unavailable):
            if not groups.found:
                raise
            self._missing.update(range(self._collection.shards))  # what is known is returned, and that it may lack more
            groups.choose()
        return groups.result()

    async def _discover(self, message: m.SearchShards, groups: Groups) -> None:
        """Until there are enough groups: each search leaves out the points whose groups are all known."""
        size = min(MOST, max(FIRST, 2 * self._k))
        while groups.found < self._k:
            filter = narrowed(message.filter, self._path, besides=groups.values)
            hits = await self._search(replace(message, filter=filter, k=size), "find groups")
            brought = groups.discover(hits, everything=len(hits) < size)
            if not brought or len(hits) < size:
                return
            size = min(MOST, size * 2)

    async def _fill(self, message: m.SearchShards, groups: Groups) -> None:
        """First all groups that lack hits in one search, then one for each that others crowded out of it."""
        lacking = groups.open
        if not lacking:
            return
        size = min(MOST, 2 * self._size * len(lacking))
        hits = await self._search(replace(message, filter=narrowed(message.filter, self._path, among=lacking), k=size))
        groups.fill(lacking, hits, everything=len(hits) < size)
        failures: list[VectronError] = []
        limit = trio.CapacityLimiter(AT_ONCE)

        async def fill_one(value: GroupValue) -> None:
            async with limit:
                if failures:
                    return
                filter = narrowed(message.filter, self._path, among=[value])
                try:
                    best = await self._search(replace(message, filter=filter, k=self._size))
                except VectronError as error:
                    failures.append(error)
                else:
                    groups.fill([value], best, everything=True)

        async with trio.open_nursery() as nursery:
            for value in groups.open:
                nursery.start_soon(fill_one, value)
        if failures:
            raise failures[0]

    async def _search(self, message: m.SearchShards, step: str = "fill groups") -> Sequence[Scored]:
        answer = await self._ask(message)
        self._missing.update(answer.missing)
        self._plan += [{**entry, "step": step} for entry in answer.plan]
        return answer.lists[0]
