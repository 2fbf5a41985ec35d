"""The payload fields of a collection, for whoever looks at it: each shard as one of its owners knows it, and the sums.

Invariants: nothing is counted before somebody asks, and then off the event loop; no shard counts twice; a shard of
which no owner can tell is missing, never guessed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import NotFound, VectronError
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields, joined
from vectron_p2p.node.statistics import known
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vectron_p2p.catalog.state import ClusterState, Collection
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.runtime import Runtime

ASK_TIMEOUT = 4.0  # counting five million rows takes a second; a console gives up after 5 s
KEPT_FIELDS = 16_384  # of shards that were not written to since they were counted: at most some 10 MB


class CollectionFields:
    """Answers of one node."""

    def __init__(
        self, replicas: Replicas, peers: Peers, runtime: Runtime, *, state: Callable[[], ClusterState]
    ) -> None:
        self._replicas = replicas
        self._peers = peers
        self._clock = runtime.clock
        self._executor = runtime.executor
        self._state = state
        self._kept: dict[ShardId, tuple[tuple[int, int], PayloadFields]] = {}
        self._turn = trio.Lock()

    # --- of this node -----------------------------------------------------------------------------------------------

    def handles(self, message: object) -> bool:
        """Whether a peer's `message` is for `handle`."""
        return isinstance(message, m.GetShardFields)

    async def handle(self, message: m.GetShardFields) -> m.PayloadFieldsReply:
        found: dict[int, PayloadFields] = {}
        for index in dict.fromkeys(message.shards):
            with contextlib.suppress(VectronError):  # being opened, failed, or gone: another owner is asked
                replica = self._replicas.get(ShardId(CollectionId(message.collection), index))
                fields = await self._of(replica)
                if fields is not None:
                    found[index] = fields
        reply = await self._executor.run("read", _sums, message.collection, list(found.values()))
        return m.PayloadFieldsReply(reply, list(found))

    async def _of(self, replica: Replica) -> PayloadFields | None:
        """None from a learner, and while payloads are read after a start."""
        if replica.learner is not None:
            return None
        async with self._turn:  # one count at a time: the threads for reads are there for others too
            revision = replica.index.revision  # first: what is written meanwhile is counted again
            kept = self._kept.get(replica.shard)
            if kept is not None and kept[0] == revision:
                return kept[1]
            found = await self._executor.run("read", replica.index.census)
            if found is not None:
                held = sum(len(fields.fields) for _, fields in self._kept.values())
                if held + len(found.fields) > KEPT_FIELDS:
                    self._kept.clear()
                self._kept[replica.shard] = revision, found
            return found

    # --- of the cluster ---------------------------------------------------------------------------------------------

    async def of(self, collection: Collection, timeout: float) -> dict[str, Any]:
        """The fields of `PayloadFields`. Who is asked first is `Peers.prefer`; the others, about what is left then."""
        parts: list[PayloadFields] = []
        left = set(range(collection.shards))

        async def ask(node: NodeId, shards: list[int]) -> None:
            with contextlib.suppress(VectronError):  # whoever does not answer is replaced by the next
                request = m.GetShardFields(collection.id, shards)
                reply = await self._peers.call(node, request, timeout=ASK_TIMEOUT)
                parts.append(_read(reply.fields))
                left.difference_update(reply.shards)

        with self._clock.move_on_after(min(timeout, ASK_TIMEOUT)):
            untried = self._owners(collection)
            while groups := _next(untried, left):
                async with trio.open_nursery() as nursery:
                    for node, shards in groups.items():
                        nursery.start_soon(ask, node, shards)
        parts.append(PayloadFields(collection.name, shards=len(left), missing_shards=len(left)))
        return await self._executor.run("read", _sums, collection.name, parts)

    def _owners(self, collection: Collection) -> dict[int, list[NodeId]]:
        """Whom to ask about each shard, in order."""
        state = self._state()
        with contextlib.suppress(NotFound):  # deleted meanwhile
            return {
                index: [*filter(self._peers.alive, self._peers.prefer(state.route(ShardId(collection.id, index)).read))]
                for index in range(collection.shards)
            }
        return {}


def _next(untried: Mapping[int, list[NodeId]], left: set[int]) -> dict[NodeId, list[int]]:
    groups: defaultdict[NodeId, list[int]] = defaultdict(list)
    for shard in sorted(left & untried.keys()):
        if untried[shard]:
            groups[untried[shard].pop(0)].append(shard)
    return groups


def _sums(collection: str, parts: list[PayloadFields]) -> dict[str, Any]:
    return dataclasses.asdict(joined(collection, parts))


def _read(said: Mapping[str, Any]) -> PayloadFields:
    fields = known(PayloadFields, said)
    return PayloadFields(**{**fields, "fields": [PayloadField(**known(PayloadField, each)) for each in said["fields"]]})
