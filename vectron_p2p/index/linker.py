"""Upkeep of all shard indexes of a node: payloads, linking, rebuilding, snapshots; in small portions, shard by shard.

Must not know where rows come from. Invariant: of every shard with unlinked points some are linked in every round, so
one shard's import does not keep the others' points in the slow tail.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vectron_p2p.index.shard_index import ShardIndex
    from vectron_p2p.runtime import Clock, Executor

K = TypeVar("K", bound="Hashable")

MAX_UNLINKED = 200_000  # every search scans the tail: at this length (300 MB at 384 dimensions) it takes about 30 ms
# While points come faster than they are linked, and nobody searches, linking waits: it would take cores and interpreter
# from the import and from event loops, and all would be linked no sooner (three nodes on two cores: all acknowledged in
# 0.73 of the time, lags of 16 instead of 30 ms at p99). Up to half of the points that may wait at all.
IMPORT_RATE = 3_000  # points/s
LOOK = 0.3  # seconds that this is told from

TURNS = 8  # per hop to a thread, about 100 ms: hops do not count then, and a stop need not wait long
PORTION = 960  # points, after which a hop has no more turns, for the same reason: calm turns are long
IDLE_POLL = 1.0  # a missed `wake` costs no more than this

# A snapshot when little is left to link, or now and then during a long import, so that a kill costs a part of it only.
# Not oftener: every page that the node writes while the child saves is copied first, which searches and the loop feel,
# and linking a fifth of a shard again after a kill takes seconds, in which its points are searched exactly.
SAVE_SHARE, SAVE_FLOOR, SAVE_PAUSE = 0.2, 1_000, 60.0
BUSY_SAVE_SHARE, BUSY_SAVE_FLOOR, BUSY_SAVE_PAUSE = 0.25, 20_000, 60.0

# Nobody waits for the points of a shard that is being filled: its graph comes slowly, a turn at a time, and searches
# feel less of that.
GENTLE_REST = 4.0  # times what a portion took

# What is written during a rebuild has to be linked again after the swap, and is scanned until then. So a rebuild is put
# off while points keep coming, until it is urgent.
CALM = 5.0  # seconds since points were linked last

CANARY_PAUSE = 60.0  # seconds between two looks at one graph: a thousandth of a core at the most

# A filter's own graph is for searches that are answered without it, too: while somebody searches, most time is his.
SUBGRAPH_REST = 4.0  # times what a portion took
QUIET = 20.0  # batches of searches per second that need no such care

ERROR_PAUSE = 10.0  # a full disk does not empty itself at once


class _Shard:
    __slots__ = (
        "filling", "index", "last_canary", "last_linked", "last_save", "next_look", "not_before", "rests_until",
        "since", "traffic",
    )  # fmt: skip

    def __init__(self, index: ShardIndex, now: float) -> None:
        self.index = index
        self.last_linked = -math.inf
        self.last_save = -math.inf
        self.not_before = self.rests_until = -math.inf
        self.filling = False
        self.traffic = index.traffic
        self.since = self.next_look = self.last_canary = now  # a start has better things to do

    def look(self, now: float) -> None:
        """Whether points come fast and nobody searches."""
        if now >= self.next_look:
            (slots, searches), (slots_before, searches_before) = self.index.traffic, self.traffic
            self.filling = slots - slots_before > IMPORT_RATE * (now - self.since) and searches == searches_before
            self.since, self.next_look, self.traffic = now, now + LOOK, (slots, searches)


def link_some(index: ShardIndex, turns: int = TURNS) -> None:
    """A portion of linking."""
    before = index.linked
    for _ in range(turns):
        if not index.link_turn() or index.linked - before >= PORTION:
            return


def rebuild_some(index: ShardIndex) -> bool:
    """A portion of a rebuild; whether it is done."""
    return any(index.rebuild_turn() for _ in range(TURNS))


class Linker(Generic[K]):
    """A service over indexes that come and go; `K` names them (a ShardId)."""

    def __init__(
        self,
        executor: Executor,
        clock: Clock,
        *,
        on_error: Callable[[K, Exception], None],
        on_lost: Callable[[K], None],
        max_unlinked: int = MAX_UNLINKED,
    ) -> None:
        """`on_error` hears of failures (a full disk); the shard's upkeep pauses for a while and goes on. `on_lost`
        hears of graphs that do not find all of their points any more: they are built anew.
        """
        self._executor = executor
        self._clock = clock
        self._on_error = on_error
        self._on_lost = on_lost
        self._max_unlinked = max_unlinked
        self._shards: dict[K, _Shard] = {}
        self._gentle: dict[K, bool] = {}
        """Shards whose points nobody waits for, and whether more of them come."""
        self._rebuilding: K | None = None
        self._wake = trio.Event()

    def add(self, key: K, index: ShardIndex) -> None:
        self._shards[key] = _Shard(index, self._clock.now())
        self.wake()

    def remove(self, key: K) -> None:
        """No more upkeep for it; a portion that runs goes on to its end, which does no harm."""
        self._shards.pop(key, None)
        self._gentle.pop(key, None)
        if self._rebuilding == key:
            self._rebuilding = None

    def gently(self, key: K, *, filling: bool) -> None:
        """Nobody waits for the points of this shard: take time. Until all are linked after it was called with `filling`
        false.
        """
        self._gentle[key] = filling

    def wake(self) -> None:
        """Rows have been written."""
        self._wake.set()

    @property
    def unlinked(self) -> int:
        """Points of all shards that searches scan."""
        return sum(shard.index.unlinked for shard in self._shards.values())

    @property
    def overloaded(self) -> bool:
        """Whether writes should be refused until linking has caught up."""
        return self.unlinked > self._max_unlinked

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work while there is work, until cancelled."""
        task_status.started()
        while True:
            if self._wake.is_set():
                self._wake = trio.Event()
            if not await self.run_once():
                with self._clock.move_on_after(self._idle()):
                    await self._wake.wait()

    def _idle(self) -> float:
        """Seconds until a shard that rests may go on."""
        now = self._clock.now()
        rests = (at - now for shard in self._shards.values() for at in (shard.not_before, shard.rests_until))
        return min([IDLE_POLL, *(rest for rest in rests if rest > 0)])

    async def run_once(self) -> bool:
        """A portion for every shard that needs one; whether any did."""
        worked = False
        for key in list(self._shards):
            shard = self._shards.get(key)  # it may have been removed meanwhile
            if shard is None or self._clock.now() < shard.not_before:
                continue
            began = self._clock.now()
            try:
                worked |= await self._upkeep(key, shard)
                self._rest(key, shard, began)
            except Exception as error:
                shard.not_before = self._clock.now() + ERROR_PAUSE
                self._on_error(key, error)
        return worked

    def _rest(self, key: K, shard: _Shard, began: float) -> None:
        """After a portion for a shard for whose points nobody waits, all such shards rest."""
        if key in self._gentle:
            now = self._clock.now()
            until = now + GENTLE_REST * (now - began)
            for each in self._gentle:
                if each in self._shards:
                    self._shards[each].not_before = max(self._shards[each].not_before, until)
            if not self._gentle[key] and not shard.index.unlinked:
                del self._gentle[key]

    async def save_all(self) -> None:
        """A snapshot of every graph that changed since its last: before a stop."""
        for key, shard in list(self._shards.items()):
            if shard.index.unsaved > 0:
                try:
                    await self._executor.run("index", shard.index.save)
                except Exception as error:
                    self._on_error(key, error)

    async def _upkeep(self, key: K, shard: _Shard) -> bool:
        index, worked = shard.index, False
        if index.payloads_wait:
            await self._executor.run("index", index.index_payloads)
            worked = True
        if index.unlinked and not self._import_first(shard):
            await self._executor.run("index", link_some, index, 1 if key in self._gentle else TURNS)
            shard.last_linked = self._clock.now()
            worked = True
        if self._clock.now() >= shard.rests_until and key not in self._gentle and index.subgraphs_due:
            await self._link_subgraph(shard)
            worked = True
        if self._canary_due(shard):
            shard.last_canary = self._clock.now()
            if await self._executor.run("index", index.look):
                self._on_lost(key)
            worked = True
        if self._rebuild_due(key, shard):
            self._rebuilding = key
            if await self._executor.run("index", rebuild_some, index):
                self._rebuilding = None
            worked = True
        if self._save_due(shard):
            shard.last_save = self._clock.now()
            await self._executor.run("index", index.save)
            worked = True
        return worked

    async def _link_subgraph(self, shard: _Shard) -> None:
        began, before = self._clock.now(), shard.index.traffic[1]
        await self._executor.run("index", shard.index.subgraph_turn)
        now = self._clock.now()
        if shard.index.traffic[1] - before > QUIET * (now - began):
            shard.rests_until = now + SUBGRAPH_REST * (now - began)

    def _import_first(self, shard: _Shard) -> bool:
        """Whether linking waits for an import."""
        now = self._clock.now()
        shard.look(now)
        waits = shard.filling and 2 * self.unlinked <= self._max_unlinked
        if waits:
            shard.not_before = now + LOOK
        return waits

    def _canary_due(self, shard: _Shard) -> bool:
        index = shard.index
        rested = self._clock.now() - shard.last_canary >= CANARY_PAUSE
        return rested and index.look_due and not index.needs_rebuild

    def _rebuild_due(self, key: K, shard: _Shard) -> bool:
        """Whether to begin or go on; one at a time: it needs the memory of a second index."""
        if not shard.index.needs_rebuild or self._rebuilding not in (None, key):
            return False
        calm = self._clock.now() - shard.last_linked >= CALM
        return self._rebuilding == key or calm or shard.index.rebuild_urgent

    def _save_due(self, shard: _Shard) -> bool:
        index = shard.index
        since = self._clock.now() - shard.last_save
        if index.unlinked:
            return since >= BUSY_SAVE_PAUSE and index.unsaved >= max(BUSY_SAVE_FLOOR, BUSY_SAVE_SHARE * index.linked)
        return since >= SAVE_PAUSE and index.unsaved >= max(SAVE_FLOOR, SAVE_SHARE * index.linked)
