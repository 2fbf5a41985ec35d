"""R1: what a replica has promised to a round it keeps, over restarts too: the promise or a higher one is there until a
row at or above it is held, or until all stamps so low are refused (a floor, or a replica that may have forgotten).

Looked at while a cluster runs; not where shards move, for a replica that went and came back has promised nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.replication.ballots import ballot_of
from vectron_p2p.replication.version import stamp
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vectron_p2p.model.ids import NodeId, PointId, ShardId
    from vectron_p2p.node.node import Node
    from vectron_p2p.node.replica import Replica


class Promises:
    """`violated(invariant, text)` is told what does not hold."""

    def __init__(self, violated: Callable[[str, str], None]) -> None:
        self._violated = violated
        self._given: dict[tuple[NodeId, ShardId], dict[PointId, bytes]] = {}

    def look(self, nodes: Iterable[Node]) -> None:
        """At running nodes."""
        for node in nodes:
            for replica in node.replicas.all():
                if not replica.store.broken:
                    self._compare(node, replica)

    def _compare(self, node: Node, replica: Replica) -> None:
        key, store = (node.identity.node, replica.shard), replica.store
        now = dict(store.open_promises())
        before = self._given.get(key, {})
        lower = [point for point, ballot in before.items() if now.get(point, b"") < ballot]
        try:
            versions = store.versions(lower)
        except StorageError:
            return  # damaged: replaced as a whole
        for point, version in zip(lower, versions, strict=True):
            ballot = before[point]
            if ballot_of(version or b"") < ballot and stamp(ballot) > store.refuse_below:
                self._violated(
                    "R1", f"shard {replica.shard.index} on {node.identity.name} forgot what it promised for {point!r}"
                )
        self._given[key] = now
