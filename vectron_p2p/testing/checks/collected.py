"""T1: what was collected is gone. Where a full owner has collected the tombstones up to a floor, no other full owner
holds a point of that leaf at or below the floor which the first does not have: all held the same there, and nothing as
old may come any more (PROTOCOLS §7). Such a point could be read again, and neither repair nor a read can settle it.

Looked at while a cluster runs, for the next write of the point covers it up; not where shards move.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vectron_p2p.model.ids import decode_point_id
from vectron_p2p.replication.version import VERSION_SIZE, stamp
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.storage.retention import ID_AT, LIVE, VERSION, VERSION_END

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.ids import ShardId
    from vectron_p2p.node.node import Node
    from vectron_p2p.storage.shard import ShardStore


def unforgotten(nodes: Iterable[Node]) -> list[str]:
    """What running nodes hold and must not, [] if nothing."""
    owners: defaultdict[ShardId, list[tuple[str, ShardStore, dict[bytes, bytes]]]] = defaultdict(list)
    for node in nodes:
        for replica in node.replicas.all():
            if replica.learner is None and not replica.store.broken:
                entries = _entries(replica.store)
                if entries is not None:
                    owners[replica.shard].append((node.identity.name, replica.store, entries))
    return [
        f"shard {shard.index}: {name} holds {decode_point_id(key[ID_AT:])!r} at {stamp(entry)}, "
        f"which {other} has collected up to {floor}"
        for shard, group in sorted(owners.items())
        for name, _, entries in group
        for other, store, theirs in group
        if store.floors.collected
        for key, entry in entries.items()
        if entry[VERSION_SIZE:] == LIVE
        and key not in theirs
        and stamp(entry) <= (floor := store.floors.collected_at(int.from_bytes(key[1:ID_AT], "big")))
    ]


def _entries(store: ShardStore) -> dict[bytes, bytes] | None:
    """The versions held, by key; None if they cannot be read. Past the store's own watch over damage: a look from
    outside changes nothing.
    """
    try:
        return dict(store._kv.iterate(VERSION, VERSION_END))
    except StorageError:
        return None
