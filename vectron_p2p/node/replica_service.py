"""The owner's side of requests between nodes: finds the replica a request means and answers for it.

Invariants (PROTOCOLS §1, §6): a request that carries a newer epoch than this node has applied makes it pull the catalog
first, so it never says "no such shard" out of ignorance; one that is older than the shard's last step is refused; an
owner whose replica a move is still filling takes writes and answers no reads.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.catalog.moves import Step
from vectron_p2p.model.errors import InvalidArgument, Learning, Overloaded, Unavailable, VectronError
from vectron_p2p.model.ids import CollectionId, ShardId
from vectron_p2p.node.shard_search import OwnSearch, search_shards
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import MATCH_ALL, parse_filter
from vectron_p2p.query.ordering import Order, position
from vectron_p2p.replication.ballots import BALLOT_SIZE, content_version, unpack_mark
from vectron_p2p.replication.floors import Path
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.fences import Fences
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas


log = get_logger(__name__)

PATHS = {"repair": Path.COPY, "write_back": Path.COPY, "move": Path.LEARN}
"""How a batch of rows came, by its `kind`; the rest are writes."""


class ReplicaService:
    """Answers the messages of `protocol.messages` "between nodes: shards" and "anti-entropy"."""

    def __init__(
        self,
        node: NodeId,
        replicas: Replicas,
        fences: Fences,
        *,
        state: Callable[[], ClusterState],
        catch_up: Callable[[int], Awaitable[None]],
        observe: Callable[[Iterable[bytes | None]], None],
    ) -> None:
        self._node = node
        self._replicas = replicas
        self._fences = fences
        self._state = state
        self._catch_up = catch_up
        self._observe = observe
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            m.ApplyRows: self._apply_rows,
            m.Prepare: self._prepare,
            m.MatchingIds: self._matching_ids,
            m.FetchRows: self._fetch_rows,
            m.SearchShards: self._search_shards,
            m.CountShards: self._count_shards,
            m.ScrollShard: self._scroll_shard,
            m.MerkleRoots: self._merkle_roots,
            m.MerkleLeaves: self._merkle_leaves,
            m.LeafVersions: self._leaf_versions,
            m.AwaitFence: self._await_fence,
        }

    def handles(self, message: object) -> bool:
        return type(message) in self._handlers

    async def handle(self, message: Any) -> Any:
        await self._catch_up(message.epoch)
        shards = _shards(message)
        await self._replicas.opened(shards)
        handler = self._handlers[type(message)]
        try:
            if isinstance(message, m.AwaitFence | m.SearchShards | m.MerkleRoots):  # the last two answer shard by shard
                return await handler(message)
            with self._fences.admit(shards, message.epoch):
                return await handler(message)
        except StorageError as error:
            log.error("shard_failed", message=type(message).__name__, error=str(error))
            raise Unavailable(f"this owner's disk failed: {error}; ask another") from error

    def _replica(self, collection: str, shard: int) -> Replica:
        return self._replicas.get(ShardId(CollectionId(collection), shard))

    def _reader(self, collection: str, shard: int, *, learning: bool = False) -> Replica:
        """The replica, if it may answer: a learner answers another learner alone (PROTOCOLS §5), and one that a move
        still fills nobody (PROTOCOLS §6).
        """
        replica = self._replica(collection, shard)
        if self._filled(replica.shard):
            raise Learning(f"shard {shard} is being moved to this node, which does not have all of it yet: ask another")
        if replica.learner is not None and not learning:
            raise Learning(f"shard {shard} on this node is learning what it may have forgotten; ask another owner")
        return replica

    def _promiser(self, collection: str, shard: int) -> Replica:
        """The replica, if it may promise. One that is still being filled by a move may: what an operation starts from
        is what a quorum of the old owners shows, and to this one nothing was promised before.
        """
        replica = self._replica(collection, shard)
        if replica.learner is not None and not self._filled(replica.shard):
            raise Learning(f"shard {shard} on this node is learning what it may have forgotten; ask another owner")
        return replica

    def _filled(self, shard: ShardId) -> bool:
        """Whether a move is still filling this node's replica."""
        move = self._state().moves.get(shard)
        return move is not None and move.step is Step.BOTH and move.coming == self._node

    async def _await_fence(self, message: m.AwaitFence) -> m.Done:
        shard = ShardId(CollectionId(message.collection), message.shard)
        self._state().route(shard)  # not of a collection that is gone
        if self._fences.check(shard, message.epoch) < message.fence:
            raise Unavailable(f"this node's catalog has no step {message.fence} of shard {shard} yet", node=self._node)
        await self._fences.passed(shard, message.fence)
        with contextlib.suppress(VectronError):  # not open: then nothing is queued in it
            # Callers that gave up have left their rows in the queue, where they may still be written.
            await self._replicas.get(shard).commit.barrier()
        return m.Done()

    async def _apply_rows(self, message: m.ApplyRows) -> m.ApplyReply:
        marks = message.marks or [b""] * len(message.ids)
        columns = (message.ids, message.versions, message.vectors, message.payloads, marks)
        if len({len(column) for column in columns}) != 1:
            raise InvalidArgument("the columns of a batch of rows differ in length", field="ids")
        for mark in filter(None, marks):
            _check_mark(mark)
        rows = [Row(*fields) for fields in zip(*columns, strict=True)]
        replica = self._replica(message.collection, message.shard)
        if message.kind == "write" and self._replicas.linker.overloaded:
            raise Overloaded("too many points of this node wait to be linked into graphs; retry", retry_after=1.0)
        self._observe(message.versions)
        held = await replica.apply(rows, PATHS.get(message.kind, Path.WRITE))
        self._replicas.linker.wake()
        return m.ApplyReply(held)

    async def _prepare(self, message: m.Prepare) -> m.PrepareReply:
        if len(message.ids) != len(message.ballots) or any(len(ballot) != BALLOT_SIZE for ballot in message.ballots):
            raise InvalidArgument(f"each id comes with a ballot of {BALLOT_SIZE} bytes", field="ballots")
        replica = self._promiser(message.collection, message.shard)
        if message.kind == "write" and self._replicas.linker.overloaded:
            raise Overloaded("too many points of this node wait to be linked into graphs; retry", retry_after=1.0)
        self._observe(message.ballots)
        answers = await replica.promise(list(zip(message.ids, message.ballots, strict=True)))
        rows = [answer.row for answer in answers]
        return m.PrepareReply(
            granted=[answer.granted for answer in answers],
            above=[answer.above for answer in answers],
            versions=[row.version if row else None for row in rows],
            vectors=[row.vector if row else None for row in rows],
            payloads=[row.payload if row else None for row in rows],
            marks=[row.mark if row else b"" for row in rows],
        )

    async def _matching_ids(self, message: m.MatchingIds) -> m.MatchingIdsReply:
        filter = parse_filter(message.filter) if message.filter else None
        replica = self._reader(message.collection, message.shard)
        ids, upto, more = await replica.matching(message.after, message.limit, filter)
        return m.MatchingIdsReply(upto, more, ids)

    async def _fetch_rows(self, message: m.FetchRows) -> m.RowsReply:
        rows = await self._reader(message.collection, message.shard, learning=message.learning).fetch(message.ids)
        return m.RowsReply(
            versions=[row.version if row else None for row in rows],
            tombstones=[row is not None and row.vector is None for row in rows],
            vectors=[row.vector if row and message.with_vector else None for row in rows],
            payloads=[row.payload if row and message.with_payload else None for row in rows],
            marks=[row.mark if row else b"" for row in rows] if any(row and row.mark for row in rows) else [],
        )

    async def _search_shards(self, message: m.SearchShards) -> m.ShardsReply:
        find = partial(self._fenced_reader, message.collection, message.epoch)
        return await search_shards(message, find, self._replicas, trio.current_effective_deadline())

    def own_search(self, message: m.SearchShards) -> OwnSearch:
        """Searches of this node for itself, as `message` asks but for the query."""
        find = partial(self._fenced_reader, message.collection, message.epoch)
        return OwnSearch(message, find, self._replicas)

    def _fenced_reader(self, collection: str, epoch: int, shard: int) -> Replica:
        which = ShardId(CollectionId(collection), shard)
        state = self._state()
        if epoch >= state.fence(which) and not state.moves:  # the usual case, in as few steps as it can be
            replica = self._replicas.get(which)
            if replica.learner is None:
                return replica
        self._fences.check(which, epoch)
        return self._reader(collection, shard)

    async def _count_shards(self, message: m.CountShards) -> m.CountsReply:
        filter = parse_filter(message.filter) if message.filter else None
        counts = []
        for shard in message.shards:
            try:
                counts.append(await self._reader(message.collection, shard).count(filter))
            except VectronError:
                counts.append(-1)
        return m.CountsReply(counts)

    async def _scroll_shard(self, message: m.ScrollShard) -> m.RowsPage:
        filter = parse_filter(message.filter) if message.filter else None
        replica = self._reader(message.collection, message.shard)
        if message.order_by:
            order = Order(message.order_by, message.descending)
            value = message.after_value
            after = None if value is None else position(value, message.after)
            rows, more = await replica.scroll_by(order, after, message.limit, filter or MATCH_ALL)
        else:
            rows, more = await replica.scroll(message.after, message.limit, filter)
        return m.RowsPage(
            ids=[row.id for row in rows],
            versions=[content_version(row.version, row.mark) for row in rows],
            vectors=[row.vector if message.with_vector else None for row in rows],
            payloads=[row.payload for row in rows],
            more=more,
        )

    async def _merkle_roots(self, message: m.MerkleRoots) -> m.MerkleRootsReply:
        root: bytes | None
        roots: list[bytes | None] = []
        learners: list[bool] = []
        for collection, shard in zip(message.collections, message.shards, strict=True):
            learner = False
            try:
                self._fences.check(ShardId(CollectionId(collection), shard), message.epoch)
                learner = self._replica(collection, shard).learner is not None
                root = self._reader(collection, shard).store.merkle_root()
            except VectronError:
                root = None
            roots.append(root)
            learners.append(learner)
        return m.MerkleRootsReply(roots, learners)

    async def _merkle_leaves(self, message: m.MerkleLeaves) -> m.MerkleLeavesReply:
        store = self._reader(message.collection, message.shard, learning=message.learning).store
        return m.MerkleLeavesReply(leaves=store.merkle_leaves(), floors=store.floors.to_bytes())

    async def _leaf_versions(self, message: m.LeafVersions) -> m.LeafVersionsReply:
        replica = self._reader(message.collection, message.shard, learning=message.learning)
        found = await replica.leaf_versions(message.leaves)
        floors = replica.store.floors
        return m.LeafVersionsReply(
            ids=[point for point, _ in found],
            versions=[version for _, version in found],
            collected=[floors.collected_at(leaf) for leaf in message.leaves] if floors.collected else [],
        )


def _shards(message: Any) -> list[ShardId]:
    """The shards that a message is about; none of `MerkleRoots`, which opens nothing."""
    if isinstance(message, m.MerkleRoots):
        return []
    indices = message.shards if isinstance(message, m.SearchShards | m.CountShards) else [message.shard]
    return [ShardId(CollectionId(message.collection), index) for index in indices]


def _check_mark(mark: bytes) -> None:
    try:
        unpack_mark(mark)
    except ValueError as error:
        raise InvalidArgument(str(error), field="marks") from None
