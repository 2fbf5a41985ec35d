"""One shard replica: its rows, its group commit and its index, kept in step.

Invariants: a row is in the index before its write is acknowledged (the index is fed in the commit's own disk job), and
nothing is in the index that is not in the store. The store is the truth; the index can be rebuilt from it at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.node.ordered_pages import OrderedPages
from vectron_p2p.node.pages import Pages
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.replication.floors import Path
from vectron_p2p.replication.hlc import ms_of
from vectron_p2p.replication.learners import FILLING
from vectron_p2p.storage.commit import GroupCommit
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.watched import WatchedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.index.payload.budget import Budget
    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.model.ids import PointId, ShardId
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.query.ordering import Order, Position
    from vectron_p2p.replication.learners import Learner
    from vectron_p2p.storage.kv import KeyValue
    from vectron_p2p.storage.outcomes import Promised
    from vectron_p2p.storage.retention import FloorScan
    from vectron_p2p.storage.space import SpaceFloor

log = get_logger(__name__)

KV_PREFIX = "shard-"


class Replica:
    """Made by `open_replica`."""

    def __init__(
        self,
        shard: ShardId,
        options: CollectionOptions,
        store: WatchedStore,
        index: ShardIndex,
        runtime: Runtime,
        space: SpaceFloor,
        *,
        durability: str,
    ) -> None:
        self.shard = shard
        self.options = options
        self.store = store
        self.index = index
        self.trouble = ""
        """What is wrong here and cannot be mended from other owners."""
        self.replacement = False
        """Begun empty in the place of one that was put aside: while it learns, all that it has others have."""
        self.index_error: Exception | None = None
        """Rows are in the store and not in the index: it has to be loaded anew."""
        self._runtime = runtime
        trusted = lambda: self.index_error is None  # noqa: E731
        self._pages = Pages(store, index, runtime.executor, trusted)
        self._ordered_pages = OrderedPages(store, index, runtime.executor, trusted)
        self.commit = GroupCommit(
            store, runtime.executor, runtime.clock, self._index, space=space, durability=durability
        )

    def _index(self, rows: list[Row]) -> None:
        try:
            self.index.apply(rows)
        except Exception as error:
            self.index_error = error
            raise

    async def apply(self, rows: Sequence[Row], path: Path = Path.WRITE) -> list[bytes | None]:
        """Apply-if-newer, durable on return; per row the version now held, None where the stamp was refused."""
        return await self.commit.apply(rows, path)

    @property
    def learner(self) -> Learner | None:
        """Set: it may have forgotten rows, and answers nothing (PROTOCOLS §5)."""
        return self.store.learner

    async def set_learner(self, reason: str, refuse_below: int) -> None:
        """Answers nothing any more until it has learned; see `ShardStore.set_learner`."""
        await self.commit.exclusive(self.store.set_learner, reason, refuse_below)

    async def scan_floor(self, floor: int) -> FloorScan:
        """The sums of the rows at or below `floor`; see `ShardStore.scan_floor`."""
        return await self._runtime.executor.run("read", self.store.scan_floor, floor)

    async def drop(self, rows: Sequence[tuple[PointId, bytes]]) -> int:
        """Removes rows (id and version) of a learner; see `ShardStore.drop`."""

        def drop() -> int:
            # Out of the index first: what fails after it is tried again, and a row found there only would be a ghost.
            # One byte more than the version sorts above it and below every other.
            self.index.apply([Row(point, version + b"\0", None, None) for point, version in rows])
            return self.store.drop(rows)

        return await self.commit.exclusive(drop)

    async def promise(self, ballots: Sequence[tuple[PointId, bytes]]) -> list[Promised]:
        """Promises to rounds, durable on return."""
        return await self.commit.promise(ballots)

    async def fetch(self, ids: Sequence[PointId]) -> list[Row | None]:
        """Rows as stored, tombstones included."""
        return await self._runtime.executor.run("read", self.store.get, ids)

    async def leaf_versions(self, leaves: Sequence[int]) -> list[tuple[PointId, bytes]]:
        """Id and version of every row in those Merkle leaves, tombstones included."""
        return await self._runtime.executor.run("read", self.store.leaf_versions, leaves)

    def keep(self, filter: Filter) -> Callable[[Sequence[PointId]], list[bool]]:
        """Which of some ids pass `filter`, by their stored payloads. Blocking."""
        return self._pages.keep(filter)

    async def count(self, filter: Filter | None) -> int:
        """Live points that match."""
        return self.store.live if filter is None else await self._pages.count(filter)

    async def scroll(self, after: bytes, limit: int, filter: Filter | None) -> tuple[list[Row], bool]:
        """See `Pages.scroll`."""
        return await self._pages.scroll(after, limit, filter)

    async def scroll_by(
        self, order: Order, after: Position | None, limit: int, filter: Filter
    ) -> tuple[list[Row], bool]:
        """See `OrderedPages.scroll`."""
        return await self._ordered_pages.scroll(order, after, limit, filter)

    async def matching(self, after: bytes, limit: int, filter: Filter | None) -> tuple[list[PointId], bytes, bool]:
        """See `Pages.matching`."""
        return await self._pages.matching(after, limit, filter)

    def close(self) -> None:
        """Blocking; after the last request."""
        self.index.close()
        self.store.close()

    def figures(self) -> dict[str, Any]:
        """The fields of `ReplicaInfo` that the node knows."""
        learner = self.store.learner
        state = "damaged" if self.trouble else "active"
        if learner is not None:
            state = "filling" if learner.reason == FILLING else "learner"
        return {
            "state": state,
            "learner": "" if learner is None else learner.reason,
            "floor_ms": ms_of(self.store.floors.floor),
            "points": self.store.live,
            "bytes": self.store.approximate_size(),
            "merkle_root": self.store.merkle_root().hex(),
            "indexed": self.index.linked,
            "tombstones": self.store.tombstones,
            "payload_bytes": self.index.payload_bytes,
            "payload_unindexed": self.index.payload_unindexed,
        }


def index_options(options: CollectionOptions) -> IndexOptions:
    return IndexOptions(
        dimension=options.dimension, metric=options.metric, m=options.m, ef_construction=options.ef_construction
    )


def kv_name(shard: ShardId) -> str:
    """The replica's key-value store on this node's disk: by UUID, so that a recreated name never meets old data."""
    return f"{KV_PREFIX}{shard.collection}-{shard.index}"


async def open_replica(
    shard: ShardId,
    options: CollectionOptions,
    runtime: Runtime,
    space: SpaceFloor,
    *,
    durability: str,
    refuse_below: int,
    budget: Budget | None = None,
) -> Replica:
    """Open (or create) the replica's store and bring its index up from it, off the event loop.

    One that may have lost rows since is a learner, and refuses writes up to the stamp `refuse_below`.

    Raises:
        StorageError: The store cannot be opened.
    """

    def load() -> tuple[WatchedStore, ShardIndex]:
        kv = runtime.disk.open(kv_name(shard))
        try:
            return open_on(kv)
        except BaseException:
            kv.close()
            raise

    def open_on(kv: KeyValue) -> tuple[WatchedStore, ShardIndex]:
        store = WatchedStore(kv)
        if store.begin_life(runtime.machine, refuse_below, interval=durability == "interval"):
            log.warning("replica_learns", shard=str(shard), reason="unclean restart of the machine")
        index = ShardIndex(
            index_options(options),
            runtime.disk.folder(kv_name(shard)),
            link_threads=runtime.link_threads,
            payload_index=options.payload_index,
            budget=budget,
        )
        index.load(store.load())
        return store, index

    store, index = await runtime.executor.run("disk", load)
    return Replica(shard, options, store, index, runtime, space, durability=durability)
