"""D4: once all is healed, the replicas of each shard have equal Merkle roots, and equal rows, byte by byte, those of
deleted points too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from vectron_p2p.model.ids import ShardId
    from vectron_p2p.node.node import Node
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.storage.records import Row

ALL = 1_000_000  # rows; more than any run writes


def owned(nodes: list[Node]) -> dict[ShardId, list[tuple[Node, Replica | None]]]:
    """By shard, the running owners that the catalog names, and their replicas; None: not open."""
    found: dict[ShardId, list[tuple[Node, Replica | None]]] = {}
    for node in nodes:
        replicas = {replica.shard: replica for replica in node.replicas.all()}
        for shard in sorted({*node.replicas.failed, *node.replicas.learners, *replicas}):
            if shard.collection in node.catalog.state.collections and shard_is_read(node, shard):
                found.setdefault(shard, []).append((node, replicas.get(shard)))
    return found


def shard_is_read(node: Node, shard: ShardId) -> bool:
    """Whether `node` is an owner that is read: one that a move fills, or takes away, may well differ."""
    return node.identity.node in node.catalog.state.route(shard).read


def unequal(nodes: list[Node]) -> list[str]:
    """What keeps the replicas from being equal: those that are not open, that learn, that differ. [] when they are.

    Reads every row, so that damage that nobody has come upon is found, by the node too.
    """
    wrong: list[str] = []
    for shard, owners in owned(nodes).items():
        contents: dict[str, tuple[bytes, list[Row]]] = {}
        for node, replica in owners:
            name = f"shard {shard.index} on {node.identity.name}"
            if replica is None:
                wrong.append(f"{name} is not open: {node.replicas.failed.get(shard)}")
            elif replica.learner is not None:
                wrong.append(f"{name} is learning: {replica.learner.reason}")
            else:
                try:
                    contents[name] = replica.store.merkle_root(), replica.store.scan(b"", ALL)
                except StorageError as error:
                    wrong.append(f"{name} cannot be read: {error}")
        for name, content in contents.items():
            first = next(iter(contents))
            if content[0] != contents[first][0]:
                wrong.append(f"{name} has another Merkle root than {first}")
            elif content[1] != contents[first][1]:
                wrong.append(f"{name} has other rows than {first}, under one Merkle root")
    return wrong
