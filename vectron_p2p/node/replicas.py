"""The set of shard replicas that this node owns, opened and closed as the catalog says.

Invariants: a replica is opened once; one that is not open yet is answered by Unavailable (retryable), never by
NotFound; data of a dropped collection is destroyed only after its replica was closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.index.executor import SearchExecutor
from vectron_p2p.index.linker import Linker
from vectron_p2p.model.errors import NotFound, ReadOnly, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId, ShardId
from vectron_p2p.node.replica import KV_PREFIX, Replica, kv_name, open_replica
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.replication.hlc import MAX_SKEW_MS, stamp_of
from vectron_p2p.storage.space import SpaceFloor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.node.runtime import Runtime

log = get_logger(__name__)

OPENING = 4  # replicas loading at a time: as many as disk threads
OPEN_TIMEOUT = (
    5.0  # seconds a request waits for a replica being opened: a new one takes milliseconds, a full one seconds
)


class Replicas:
    """The owner's replicas by shard."""

    def __init__(
        self, node: NodeId, runtime: Runtime, *, durability: str, latest: Callable[[], int] = lambda: 0
    ) -> None:
        """`latest`: the highest stamp that this node's clock knows of, over restarts too."""
        self._node = node
        self._runtime = runtime
        self._durability = durability
        self._latest = latest
        self._space = SpaceFloor(runtime.disk)
        self._committing: dict[ShardId, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._open: dict[ShardId, Replica] = {}
        self._failed: dict[ShardId, VectronError] = {}
        self._wanted: dict[ShardId, CollectionOptions] = {}
        self._closing = False
        self._changed = trio.Event()
        self.searcher = SearchExecutor(runtime.executor)
        self.linker: Linker[ShardId] = Linker(runtime.executor, runtime.clock, on_error=_index_failed)

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
        self._wanted = {
            ShardId(collection.id, index): collection.options
            for collection in state.collections.values()
            for index, owners in enumerate(collection.placement)
            if self._node in owners
        }
        self._notify()

    async def changed(self) -> None:
        """Until a replica was opened or given up, or the catalog assigned anew."""
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def run(self) -> None:
        await self._runtime.executor.run("disk", self._destroy_leftovers)
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self.searcher.run)
            while True:
                changed = self._changed
                await self.run_once()
                if changed is self._changed:
                    await changed.wait()

    async def run_once(self) -> None:
        """Open what is owned and not open, close and destroy what is open and not owned."""
        for shard in sorted(set(self._open) - set(self._wanted)):
            await self._drop(shard)
        for shard in sorted(set(self._failed) - set(self._wanted)):
            del self._failed[shard]
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
            replica = await open_replica(
                shard,
                options,
                self._runtime,
                self._space,
                durability=self._durability,
                refuse_below=self.refuse_below(),
            )
        except OSError as error:
            # The node starts all the same and serves its other shards; the other owners answer for this one.
            log.error("shard_not_opened", shard=str(shard), error=str(error))
            self._failed[shard] = ReadOnly(
                f"shard {shard.index} cannot be opened on this node: {error}", node=self._node
            )
        else:
            assert self._nursery is not None
            self._committing[shard] = await self._nursery.start(self._commit, replica)
            self._open[shard] = replica
            self.linker.add(shard, replica.index)
        self._notify()

    def _destroy_leftovers(self) -> None:
        """Shards of collections that were dropped while this node was down: only the catalog may say so, and it has."""
        wanted = {kv_name(shard) for shard in self._wanted}
        for name in self._runtime.disk.names(KV_PREFIX):
            if name not in wanted:
                log.info("leftover_destroyed", name=name)
                self._runtime.disk.destroy(name)

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

        await self._runtime.executor.run("disk", destroy)

    def _stop(self, shard: ShardId) -> Replica:
        replica = self._open.pop(shard)
        self.linker.remove(shard)
        self._committing.pop(shard).cancel()
        return replica

    async def aclose(self) -> None:
        """Take no more writes, save the graphs, close all, one after the other; none is opened any more."""
        self._closing = True
        await self.linker.save_all()
        for shard in sorted(self._open):
            await self._runtime.executor.run("disk", self._stop(shard).close)


def _index_failed(shard: ShardId, error: Exception) -> None:
    """Searches go on with what there is: the tail is searched exactly, and upkeep is tried again."""
    log.error("index_upkeep_failed", shard=str(shard), error=repr(error))
