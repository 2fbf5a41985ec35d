"""The owner's side of requests between nodes: finds the replica a request means and answers for it.

Invariant (PROTOCOLS §1): a request that carries a newer epoch than this node has applied makes it pull the catalog
first, so it never says "no such shard" out of ignorance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.model.errors import InvalidArgument, Overloaded, Unavailable, VectronError
from vectron_p2p.model.ids import CollectionId, ShardId
from vectron_p2p.node.shard_search import search_shards
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.replication.version import stamp
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas


log = get_logger(__name__)


class ReplicaService:
    """Answers the messages of `protocol.messages` "between nodes: shards" and "anti-entropy"."""

    def __init__(
        self,
        replicas: Replicas,
        *,
        catch_up: Callable[[int], Awaitable[None]],
        observe: Callable[[Iterable[bytes | None]], None],
    ) -> None:
        self._replicas = replicas
        self._catch_up = catch_up
        self._observe = observe
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            m.ApplyRows: self._apply_rows,
            m.FetchRows: self._fetch_rows,
            m.SearchShards: self._search_shards,
            m.CountShards: self._count_shards,
            m.ScrollShard: self._scroll_shard,
            m.MerkleRoots: self._merkle_roots,
            m.MerkleLeaves: self._merkle_leaves,
            m.LeafVersions: self._leaf_versions,
        }

    def handles(self, message: object) -> bool:
        return type(message) in self._handlers

    async def handle(self, message: Any) -> Any:
        await self._catch_up(message.epoch)
        if not isinstance(message, m.MerkleRoots):
            indices = message.shards if isinstance(message, m.SearchShards | m.CountShards) else [message.shard]
            await self._replicas.opened([ShardId(CollectionId(message.collection), index) for index in indices])
        try:
            return await self._handlers[type(message)](message)
        except StorageError as error:
            log.error("shard_failed", message=type(message).__name__, error=str(error))
            raise Unavailable(f"this owner's disk failed: {error}; ask another") from error

    def _replica(self, collection: str, shard: int, *, reading: bool = True) -> Replica:
        replica = self._replicas.get(ShardId(CollectionId(collection), shard))
        if reading and replica.store.learner is not None:
            raise Unavailable(f"shard {shard} is being rebuilt on this node; ask another owner")
        return replica

    async def _apply_rows(self, message: m.ApplyRows) -> m.ApplyReply:
        columns = (message.ids, message.versions, message.vectors, message.payloads)
        if len({len(column) for column in columns}) != 1:
            raise InvalidArgument("the columns of a batch of rows differ in length", field="ids")
        rows = [Row(*fields) for fields in zip(*columns, strict=True)]
        replica = self._replica(message.collection, message.shard, reading=False)
        if message.kind == "write" and self._replicas.linker.overloaded:
            raise Overloaded("too many points of this node wait to be linked into graphs; retry", retry_after=1.0)
        self._observe(message.versions)
        held = await (replica.apply(rows) if message.kind == "repair" else apply_above_floor(replica, rows))
        self._replicas.linker.wake()
        return m.ApplyReply(held)

    async def _fetch_rows(self, message: m.FetchRows) -> m.RowsReply:
        rows = await self._replica(message.collection, message.shard).fetch(message.ids)
        return m.RowsReply(
            versions=[row.version if row else None for row in rows],
            tombstones=[row is not None and row.vector is None for row in rows],
            vectors=[row.vector if row and message.with_vector else None for row in rows],
            payloads=[row.payload if row and message.with_payload else None for row in rows],
        )

    async def _search_shards(self, message: m.SearchShards) -> m.ShardsReply:
        return await search_shards(
            message, lambda shard: self._replica(message.collection, shard), self._replicas.searcher
        )

    async def _count_shards(self, message: m.CountShards) -> m.CountsReply:
        filter = parse_filter(message.filter) if message.filter else None
        counts = []
        for shard in message.shards:
            try:
                counts.append(await self._replica(message.collection, shard).count(filter))
            except VectronError:
                counts.append(-1)
        return m.CountsReply(counts)

    async def _scroll_shard(self, message: m.ScrollShard) -> m.RowsPage:
        filter = parse_filter(message.filter) if message.filter else None
        replica = self._replica(message.collection, message.shard)
        rows, more = await replica.scroll(message.after, message.limit, filter)
        return m.RowsPage(
            ids=[row.id for row in rows],
            versions=[row.version for row in rows],
            vectors=[row.vector if message.with_vector else None for row in rows],
            payloads=[row.payload for row in rows],
            more=more,
        )

    async def _merkle_roots(self, message: m.MerkleRoots) -> m.MerkleRootsReply:
        roots: list[bytes | None] = []
        for collection, shard in zip(message.collections, message.shards, strict=True):
            try:
                roots.append(self._replica(collection, shard).store.merkle_root())
            except VectronError:
                roots.append(None)
        return m.MerkleRootsReply(roots)

    async def _merkle_leaves(self, message: m.MerkleLeaves) -> m.MerkleLeavesReply:
        return m.MerkleLeavesReply(self._replica(message.collection, message.shard).store.merkle_leaves())

    async def _leaf_versions(self, message: m.LeafVersions) -> m.LeafVersionsReply:
        found = await self._replica(message.collection, message.shard).leaf_versions(message.leaves)
        return m.LeafVersionsReply(ids=[point for point, _ in found], versions=[version for _, version in found])


async def apply_above_floor(replica: Replica, rows: list[Row]) -> list[bytes | None]:
    """As `Replica.apply`, but a replica that has lost its promises refuses the stamps that they were about."""
    floor = replica.store.refuse_below
    taken = [row for row in rows if stamp(row.version) > floor] if floor else rows
    if len(taken) == len(rows):
        return await replica.apply(rows)
    held = iter(await replica.apply(taken))
    return [next(held) if stamp(row.version) > floor else None for row in rows]
