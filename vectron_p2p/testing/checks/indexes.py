"""D6: the index of a replica holds exactly the live rows of its store, in their versions, with their very vectors, and
what filters on their payloads find there is true of the stored ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.points import unpack_payload
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.testing.checks.replicas import ALL

if TYPE_CHECKING:
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.node.node import Node
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.storage.records import Row


def differences(node: Node) -> list[str]:
    """What the indexes of a running node have, or lack, contrary to their stores. Collections have the metric l2: other
    indexes keep other vectors than were written.
    """
    wrong: list[str] = []
    for replica in node.replicas.all():
        wrong += [f"shard {replica.shard.index} on {node.identity.name}: {text}" for text in _of(replica)]
    return wrong


VALUES = 16  # of payloads that are looked for: enough to meet each field, and cheap where a check runs often


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
    return wrong + _filters(replica, rows)


def _filters(replica: Replica, rows: dict[PointId, Row]) -> list[str]:
    payloads = {point: unpack_payload(row.payload or b"\x80") for point, row in rows.items()}
    values = {repr(item): item for payload in payloads.values() for item in payload.items()}
    wrong: list[str] = []
    for path, value in [values[key] for key in sorted(values)[:VALUES]]:
        if isinstance(value, dict | list) or "." in path or path.startswith("$"):
            continue
        tree = parse_filter({path: value})
        found = replica.index.matches(tree)
        sure, passing = set(found.sure_ids()), {point for point in payloads if matches(tree, payloads[point])}
        if not sure <= passing <= sure | set(found.open_ids()):
            wrong.append(f"the filter {{{path!r}: {value!r}}} finds {sorted(map(str, sure ^ passing))} wrongly or not")
    return wrong
