"""What a subscription gives: the cluster as it is now, and again whenever it has changed.

A topic is a set of values by key. `TOPICS` are those that every node has; a newer one may have more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPICS = {
    "cluster": "key empty: ClusterInfo (members, liveness, epoch, voters, warnings), without shards",
    "statistics": "by node id: NodeStatistics, without operations",
    "operations": "by node id, and under the empty key those of all nodes: lists of OperationStatistics",
    "collections": "by name: CollectionInfo",
    "totals": "by name: CollectionTotals",
    "shards": "by collection/shard/node id: ReplicaStatistics",
    "moves": "by collection/shard: MoveInfo",
    "alerts": "by id: Alert, those that are active and the last hundred that are resolved",
}

DEFAULT_INTERVAL_S = 1.0  # what a person can follow; changes of members and catalog do not wait for it
SHORTEST_INTERVAL_S = 0.2
LONGEST_INTERVAL_S = 60.0  # a longer one would look like a dead node


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event: at least one every interval, with no changes too, as a sign of life.

    `view` is the whole state after it: a consumer that has missed events lacks nothing.
    """

    node: str
    """Who says it; "" while nobody does."""
    at: float
    """Unix seconds by the clock of that node; 0.0 while nobody says anything."""
    full: bool = False
    """It begins anew: at first, and from another node."""
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By topic and key, what is new or different."""
    removed: Mapping[str, list[str]] = field(default_factory=dict)
    """By topic, the keys that are gone."""
    view: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By topic and key, everything. Of `lost` events what was known before, so it is old."""
    lost: str = ""
    """Why no node gives news now; the subscription goes on trying."""
