"""D6: the index of a replica holds exactly the live rows of its store, in their versions, with their very vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import StorageError
from vectron_p2p.testing.checks.replicas import ALL

if TYPE_CHECKING:
    from vectron_p2p.node.node import Node
    from vectron_p2p.node.replica import Replica


def differences(node: Node) -> list[str]:
    """What the indexes of a running node have, or lack, contrary to their stores. Collections have the metric l2: other
    indexes keep other vectors than were written.
    """
    wrong: list[str] = []
    for replica in node.replicas.all():
        wrong += [f"shard {replica.shard.index} on {node.identity.name}: {text}" for text in _of(replica)]
    return wrong


def _of(replica: Replica) -> list[str]:
    if replica.index_error is not None or replica.store.broken:
        return []  # the node knows, and loads it anew
    try:
        rows = {row.id: row for row in replica.store.scan(b"", ALL) if row.vector is not None}
    except StorageError:
        return []  # damaged: replaced as a whole
    table = replica.index._layer.table
    wrong: list[str] = []
    if rows.keys() != table.slot_of.keys():
        wrong.append(f"ids {sorted(map(str, rows.keys() ^ table.slot_of.keys()))} are in store or index alone")
    for point, slot in table.slot_of.items():
        row = rows.get(point)
        if row is None:
            continue
        if table.version_of(point) != row.version:
            wrong.append(f"point {point!r} is indexed in another version than stored")
        elif table.rows[slot].tobytes() != row.vector:
            wrong.append(f"point {point!r} is indexed with another vector than stored")
    return wrong
