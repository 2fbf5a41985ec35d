"""Reads the shard replicas of stopped nodes from their disks, row by row, without any node's help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.storage.folder import LevelDisk
from vectron_p2p.storage.shard import ShardStore

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.model.ids import PointId
    from vectron_p2p.storage.records import Row

Rows = dict["PointId", "Row"]
SHARD_PREFIX = "shard-"


def read_replicas(folder: Path) -> dict[str, Rows]:
    """All rows, tombstones too, of each shard replica in a node's folder."""
    disk = LevelDisk(folder)
    disk.lock()
    found: dict[str, Rows] = {}
    for name in disk.names(SHARD_PREFIX):
        store = ShardStore(disk.open(name))
        found[name] = {row.id: row for row in store.load()}
        store.close()
    disk.unlock()
    return found


def differences(replicas: list[dict[str, Rows]]) -> tuple[int, list[str]]:
    """Rows compared, and a line per row whose version, vector or payload differs between replicas of its shard."""
    compared = 0
    found: list[str] = []
    for name in sorted({name for node in replicas for name in node}):
        held = [node[name] for node in replicas if name in node]
        for point_id in sorted({point_id for rows in held for point_id in rows}, key=str):
            compared += 1
            rows = [each.get(point_id) for each in held]
            if any(row != rows[0] for row in rows):
                versions = ", ".join("none" if row is None else row.version.hex() for row in rows)
                found.append(f"{name} {point_id!r}: {versions}")
    return compared, found
