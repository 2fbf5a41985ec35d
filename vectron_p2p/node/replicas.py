"""The set of shard replicas that this node owns, opened and closed as the catalog says.

Also looks after those that are open: one whose disk gives back something else than was written, or goes on refusing
writes, is replaced (`node.opening`); one that could not be opened is tried again.

Invariants: a replica is opened once; one that is not open yet is answered by Unavailable (retryable), never by
NotFound; data of a dropped collection is destroyed only after its replica was closed.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from vectron_p2p.index.executor import SearchExecutor
from vectron_p2p.index.linker import Linker
from vectron_p2p.model.errors import NotFound, ReadOnly, Unavailable, VectronError
from vectron_p2p.node.opening import Opening
from vectron_p2p.node.replica import KV_PREFIX, Replica, kv_name
from vectron_p2p.node.search_cache import SearchCache
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.replication.hlc import MAX_SKEW_MS, stamp_of
from vectron_p2p.storage.kv import Corrupt
from vectron_p2p.storage.space import SpaceFloor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.model.ids import NodeId, ShardId
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.shard_records import ShardRecords

log = get_logger(__name__)

OPENING = 4  # replicas loading at a time: as many as disk threads
OPEN_TIMEOUT = (
    5.0  # seconds a request waits for a replica being opened: a new one takes milliseconds, a full one seconds
)
WATCH = 1.0  # seconds between looks at how the replicas fare: a look reads two attributes of each
RETRY_OPEN = 10.0  # seconds until a replica that could not be opened is tried again: a full disk lasts for minutes
UNKNOWN = "this node has no record of it, so its records may be older than this: nothing is removed on their word"
FAILURES = 5  # writes in a row that failed, over at least
FAILING_FOR = 30.0  # seconds, before a store is given up: a disk that is reset or failed over is back by then


class Replicas:
    """The owner's replicas by shard."""

    def __init__(
        self,
        node: NodeId,
        runtime: Runtime,
        records: ShardRecords,
        durability: str,
        cache_bytes: int,
        *,
        latest: Callable[[], int] = lambda: 0,
    ) -> None:
        """`latest`: the highest stamp that this node's clock knows of, over restarts too."""
        self._node = node
        self._runtime = runtime
        self._records = records
        self._latest = latest
        self._space = SpaceFloor(runtime.disk)
        self._opening = Opening(runtime, records, self._space, durability=durability, refuse_below=self.refuse_below)
        self._changing = trio.Lock()  # replicas come and go by one task at a time
        self._others: dict[ShardId, int] = {}
        self._retry_at: dict[ShardId, float] = {}
        self._failing: dict[ShardId, float] = {}
        self._committing: dict[ShardId, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._open: dict[ShardId, Replica] = {}
        self._failed: dict[ShardId, VectronError] = {}
        self._wanted: dict[ShardId, CollectionOptions] = {}
        self._closing = False
        self._changed = trio.Event()
        self.ticks = runtime.clock.ticks
        self.searcher = SearchExecutor(
            runtime.executor, runtime.clock, workers=runtime.search_threads, on_loop=runtime.search_on_loop
        )
        self.cache = SearchCache(cache_bytes)
        self.linker: Linker[ShardId] = Linker(
            runtime.executor, runtime.clock, on_error=_index_failed, on_lost=_points_lost
        )

    def get(self, shard: ShardId) -> Replica:
        """The open replica.

        Raises:
            Unavailable: It is being opened.
            ReadOnly: It could not be opened.
            NotFound: This node does not own the shard at its epoch.
        """
        replica = self._open.get(shard)
        if replica is not None:
            return replica
        if shard in self._failed:
            raise self._failed[shard]
        if shard in self._wanted:
            raise Unavailable(f"shard {shard.index} is being opened on this node; retry", node=self._node)
        raise NotFound(f"this node owns no shard {shard}", node=self._node, field="shard")

    async def opened(self, shards: Sequence[ShardId]) -> None:
        """Until none of `shards` is being opened any more, for a bounded time."""
        if all(shard in self._open for shard in shards):
            return
        with self._runtime.clock.move_on_after(OPEN_TIMEOUT):
            while any(shard in self._wanted and not self._served(shard) for shard in shards):
                await self._changed.wait()

    def _served(self, shard: ShardId) -> bool:
        return shard in self._open or shard in self._failed

    def refuse_below(self) -> int:
        """What a learner refuses from its first moment on (PROTOCOLS §5): all that it may have promised before."""
        wall = stamp_of(int(self._runtime.clock.wall() * 1000))
        return max(wall, self._latest()) + stamp_of(MAX_SKEW_MS)

    def all(self) -> list[Replica]:
        """Open replicas, by shard."""
        return [self._open[shard] for shard in sorted(self._open)]

    @property
    def settled(self) -> bool:
        """Whether every shard that this node owns is open, or has failed to."""
        return all(self._served(shard) for shard in self._wanted)

    @property
    def failed(self) -> dict[ShardId, VectronError]:
        """Shards that this node owns and cannot serve."""
        return dict(self._failed)

    def assign(self, state: ClusterState) -> None:
        """The catalog has a new state: note what this node owns now; `run` opens and closes."""
        owned = state.owned(self._node)
        self._wanted = {shard: state.collections[shard.collection].options for shard in owned}
        # Who could fill it again: not one that a move is still filling.
        self._others = {shard: len({*state.route(shard).read} - {self._node}) for shard in owned}
        self._notify()

    async def changed(self) -> None:
        """Until a replica was opened or given up, or the catalog assigned anew."""
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def run(self) -> None:
        await self._runtime.executor.run("disk", self._destroy_leftovers)
        wanted = {kv_name(shard) for shard in self._wanted}
        for name in self._records.names:
            if name not in wanted:
                await self._forget(name)
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self.searcher.run)
            self._nursery.start_soon(self._watch)
            while True:
                changed = self._changed
                async with self._changing:
                    await self.run_once()
                if changed is self._changed:
                    await changed.wait()

    async def run_once(self) -> None:
        """Open what is owned and not open, close and destroy what is open and not owned."""
        for shard in sorted(set(self._open) - set(self._wanted)):
            await self._drop(shard)
        for shard in sorted(set(self._failed) - set(self._wanted)):
            del self._failed[shard]
            self._retry_at.pop(shard, None)
            await self._forget(kv_name(shard))
            with contextlib.suppress(OSError):  # it could not be opened either; a start removes what is left
                await self._runtime.executor.run("disk", self._runtime.disk.destroy, kv_name(shard))
        coming = [shard for shard in sorted(self._wanted) if not self._served(shard)]
        try:
            await self._records.note(map(kv_name, coming))
        except OSError as error:
            for shard in coming:
                self._give_up(shard, error)
            self._notify()
        limiter = trio.CapacityLimiter(OPENING)

        async def bring_up(shard: ShardId, options: CollectionOptions) -> None:
            async with limiter:
                await self._bring_up(shard, options)

        async with trio.open_nursery() as nursery:
            for shard in sorted(self._wanted):
                if not self._served(shard) and not self._closing:
                    nursery.start_soon(bring_up, shard, self._wanted[shard])

    async def _bring_up(self, shard: ShardId, options: CollectionOptions) -> None:
        try:
            replica = await self._opening.open(shard, options, self._others.get(shard, 0))
        except OSError as error:
            self._give_up(shard, error)
        else:
            await self._serve(replica)
        self._notify()

    def _give_up(self, shard: ShardId, error: OSError) -> None:
        """The node starts all the same and serves its other shards; the other owners answer for this one."""
        if shard not in self._failed:
            log.error("shard_not_opened", shard=str(shard), error=str(error))
        self._failed[shard] = ReadOnly(f"shard {shard.index} cannot be opened on this node: {error}", node=self._node)
        if not isinstance(error, Corrupt):  # damage does not go away by itself
            self._retry_at[shard] = self._runtime.clock.now() + RETRY_OPEN

    async def _serve(self, replica: Replica) -> None:
        assert self._nursery is not None
        shard = replica.shard
        self._committing[shard] = await self._nursery.start(self._commit, replica)
        self._open[shard] = replica
        self._failed.pop(shard, None)
        self._retry_at.pop(shard, None)
        self.linker.add(shard, replica.index)

    # --- looking after them -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self._closing:
            await self._runtime.clock.sleep(WATCH)
            async with self._changing:
                await self.look_after()

    async def look_after(self) -> None:
        """Replace what is damaged, load anew what is not all searchable, try again what could not be opened."""
        now = self._runtime.clock.now()
        for shard in sorted(set(self._open) & set(self._wanted)):
            replica = self._open[shard]
            why = self._damage(replica, now)
            if why and self._others[shard]:
                await self._replace(replica, why)
            elif why:
                replica.trouble = replica.trouble or f"no other node has a copy of it, and it is damaged: {why}"
            elif replica.index_error is not None:
                log.error("index_loaded_anew", shard=str(shard), error=repr(replica.index_error))
                await self._close(replica)
                await self._bring_up(shard, replica.options)
        for shard, at in sorted(self._retry_at.items()):
            if at <= now and shard in self._wanted and not self._closing:
                await self._bring_up(shard, self._wanted[shard])

    def _damage(self, replica: Replica, now: float) -> str:
        """Why the replica's files are to be given up; "" when they are not."""
        store, shard = replica.store, replica.shard
        if store.damage is not None:
            return str(store.damage)
        if not store.failures or self.read_only:
            self._failing.pop(shard, None)
            return ""
        since = self._failing.setdefault(shard, now)
        if store.failures < FAILURES or now - since < FAILING_FOR:
            return ""
        return f"its disk refused {store.failures} writes in a row, for {now - since:.0f} s"

    async def _replace(self, replica: Replica, why: str) -> None:
        shard = replica.shard
        # An unfinished copy has nothing that others do not have; another learner's files may be the last with some row.
        keep = replica.learner is None or not replica.replacement
        await self._close(replica)
        try:
            fresh = await self._opening.replace(shard, replica.options, self._others[shard], why, keep=keep)
        except OSError as error:
            self._give_up(shard, error)
        else:
            await self._serve(fresh)
        self._notify()

    async def _close(self, replica: Replica) -> None:
        self._failing.pop(replica.shard, None)
        with contextlib.suppress(OSError):  # a broken store has nothing left to put on disk
            await self._runtime.executor.run("disk", self._stop(replica.shard).close)

    def _destroy_leftovers(self) -> None:
        """Shards of collections that were dropped while this node was down: only the catalog may say so, and it has."""
        wanted = {kv_name(shard) for shard in self._wanted}
        for name in self._runtime.disk.names(KV_PREFIX):
            if name in wanted:
                continue
            if name in self._records.names:
                log.info("leftover_destroyed", name=name)
                self._runtime.disk.destroy(name)
            else:
                kept = self._runtime.disk.quarantine(name, UNKNOWN)
                log.warning("leftover_kept", name=name, kept=kept)

    async def _commit(
        self, replica: Replica, *, task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            await replica.commit.run()

    @property
    def read_only(self) -> bool:
        """Whether the disk is nearly full."""
        return self._space.read_only

    async def _drop(self, shard: ShardId) -> None:
        replica = self._stop(shard)

        def destroy() -> None:
            replica.close()
            self._runtime.disk.destroy(kv_name(shard))

        await self._forget(kv_name(shard))
        await self._runtime.executor.run("disk", destroy)

    async def _forget(self, name: str) -> None:
        """Before the store goes: should it come to this node again, it comes as a new one."""
        try:
            await self._records.forget(name)
        except OSError as error:  # then it comes as one that has lost rows, and is filled all the same
            log.warning("shard_record_kept", name=name, error=str(error))

    def _stop(self, shard: ShardId) -> Replica:
        replica = self._open.pop(shard)
        self.linker.remove(shard)
        self._committing.pop(shard).cancel()
        return replica

    async def aclose(self) -> None:
        """Take no more writes, save the graphs, close all, one after the other; none is opened any more."""
        self._closing = True
        async with self._changing:
            await self.linker.save_all()
            for shard in sorted(self._open):
                await self._runtime.executor.run("disk", self._stop(shard).close)

    def sequences(self) -> dict[str, int]:
        """How far each open store has come, by its name."""
        return {kv_name(shard): replica.store.sequence for shard, replica in self._open.items()}

    @property
    def learners(self) -> dict[ShardId, str]:
        """Why each of the open replicas that are learners is one."""
        return {shard: replica.learner.reason for shard, replica in self._open.items() if replica.learner is not None}


def _index_failed(shard: ShardId, error: Exception) -> None:
    """Searches go on with what there is: the tail is searched exactly, and upkeep is tried again."""
    log.error("index_upkeep_failed", shard=str(shard), error=repr(error))


def _points_lost(shard: ShardId) -> None:
    """Searches miss some points until the graph is built anew, which begins now or when writes are calm."""
    log.warning("index_lost_points", shard=str(shard), then="the graph is built anew")
