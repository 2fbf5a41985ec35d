"""The topics of subscriptions: how each is read, and what several subscribers of this node read together.

Owns the gathering: nodes are asked once for all topics and subscribers that want it within `SHARED_S`, one gathering at
a time. A topic is added by its name and a function (`add`). Invariant: others get their turn after each node,
collection or `SLICE` replicas, for a large cluster has thousands of values. Freeing them in one go takes long too: what
has not changed is taken over, and what nobody reads any more is let go piece by piece.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.ids import CollectionId, ShardId
from vectron_p2p.node.reports import ReplicaFigures
from vectron_p2p.node.statistics import collection_totals, move_infos, operations_of_all, replica_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.reports import Reports
    from vectron_p2p.node.statistics import Replies, Statistics
    from vectron_p2p.runtime import Clock

    Reader = Callable[["Look"], Awaitable[dict[str, Any]]]

SHARED_S = 0.4  # how old a gathering may be: below half of the usual interval, so that no subscriber sees one twice
WITH_REPLICAS = frozenset({"collections", "totals", "shards"})
GATHERED = frozenset({"statistics", "operations", "moves"}) | WITH_REPLICAS


class Look:
    """What readings of topics see: the answers of the nodes, and what is made of them for several topics."""

    def __init__(self, replies: Replies, before: dict[str, dict[str, Any]] | None = None) -> None:
        """`before`: the replicas of the look before this one."""
        self.replies = replies
        self.readers = 0
        self.current = True
        self._turn = trio.Lock()
        self._state: ClusterState | None = None
        self.shown = before or {}

    async def replicas(self, state: ClusterState) -> dict[str, dict[str, Any]]:
        """As `replica_fields`, made once for each state."""
        async with self._turn:
            if self._state is not state:
                self.shown = await replica_fields(state, self.replies, self.shown)
                self._state = state
            return self.shown

    async def let_go(self) -> None:
        """To be called when there is no reader any more, and will be none."""
        while self.replies:
            self.replies.popitem()
            await trio.lowlevel.checkpoint()


class _Gathering:
    """The last one, if it is young enough, else a new one."""

    def __init__(self, clock: Clock, gather: Callable[[], Awaitable[Replies]]) -> None:
        self._clock = clock
        self._gather = gather
        self._turn = trio.Lock()
        self._begun = float("-inf")
        self._look = Look({})

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Look]:
        """To be read within the block."""
        look = await self._take()
        look.readers += 1
        try:
            yield look
        finally:
            look.readers -= 1
        if not (look.readers or look.current):
            await look.let_go()

    async def _take(self) -> Look:
        async with self._turn:
            now = self._clock.now()
            if now - self._begun >= SHARED_S:
                replies, before = await self._gather(), self._look
                self._look = Look(replies, before.shown)
                self._begun = now
                before.current = False
                if not before.readers:
                    await before.let_go()
            return self._look


class Topics:
    """Of one node."""

    def __init__(self, clock: Clock, catalog: Catalog, statistics: Statistics, reports: Reports) -> None:
        self._catalog = catalog
        self._statistics = statistics
        self._reports = reports
        self._plain = _Gathering(clock, lambda: statistics.gather(replicas=False))
        self._whole = _Gathering(clock, lambda: statistics.gather(replicas=True))
        self._readers: dict[str, Reader] = {
            "cluster": self._cluster,
            "statistics": self._nodes,
            "operations": self._operations,
            "collections": self._collections,
            "totals": self._totals,
            "shards": self._shards,
            "moves": self._moves,
        }

    def add(self, name: str, read: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Another topic; `read` gives its plain values by key."""
        assert name not in self._readers
        self._readers[name] = lambda look: read()

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._readers)

    async def read(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The values of these topics now."""
        wanted = GATHERED.intersection(names)
        if not wanted:
            return {name: await self._readers[name](Look({})) for name in names}
        async with (self._whole if wanted & WITH_REPLICAS else self._plain).look() as look:
            return {name: await self._readers[name](look) for name in names}

    async def _cluster(self, look: Look) -> dict[str, Any]:
        return {"": dataclasses.asdict(await self._reports.cluster(replicas=False, shards=False))}

    async def _nodes(self, look: Look) -> dict[str, Any]:
        found = {}
        for each in self._statistics.nodes(look.replies):
            found[str(each.node)] = dataclasses.asdict(dataclasses.replace(each, operations=[]))
            await trio.lowlevel.checkpoint()
        return found

    async def _operations(self, look: Look) -> dict[str, Any]:
        found = {"": [dataclasses.asdict(each) for each in await operations_of_all(look.replies)]}
        for node, reply in look.replies.items():
            found[node] = [{key: each[key] for key in each if key != "histogram"} for each in reply.operations]
            await trio.lowlevel.checkpoint()
        return found

    async def _collections(self, look: Look) -> dict[str, Any]:
        figures: defaultdict[str, list[ReplicaFigures]] = defaultdict(list)
        for node, reply in look.replies.items():
            for each in reply.replicas:
                shard = ShardId(CollectionId(each["collection"]), each["shard"])
                figures[shard.collection].append(ReplicaFigures(node, shard, each))
            await trio.lowlevel.checkpoint()
        found = {}
        for collection in self._catalog.collections():
            info = self._reports.collection(collection, figures[collection.id])
            found[collection.name] = dataclasses.asdict(info)
            await trio.lowlevel.checkpoint()
        return found

    async def _totals(self, look: Look) -> dict[str, Any]:
        state = self._catalog.state
        totals = await collection_totals(state, (await look.replicas(state)).values())
        return {each.name: dataclasses.asdict(each) for each in totals}

    async def _shards(self, look: Look) -> dict[str, Any]:
        return await look.replicas(self._catalog.state)

    async def _moves(self, look: Look) -> dict[str, Any]:
        said = [each for reply in look.replies.values() for each in reply.moves]
        return {
            f"{each.collection}/{each.shard}": dataclasses.asdict(each)
            for each in move_infos(self._catalog.state, said)
        }
