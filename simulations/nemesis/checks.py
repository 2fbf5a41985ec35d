"""The end state: healed, are the nodes of one mind, are all rows where they should be, is nothing lost.

Order: the nodes agree (epoch, members, Merkle roots); every id ever written is read at quorum; the nodes are stopped;
the rows of all replicas are compared on disk with each other and with the ledgers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgpack

from simulations.nemesis.workload import COLLECTION, state_of, vector_of
from vectron_p2p import connect, errors
from vectron_p2p.testing.ledger import ABSENT
from vectron_p2p.testing.processes import ProcessFailed, wait_for
from vectron_p2p.testing.replicas import differences, read_replicas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulations.nemesis.registers import RegisterWorker
    from simulations.nemesis.workload import Worker
    from vectron_p2p.testing.processes import ProcessCluster

AGREE_WITHIN = 120.0  # seconds after the last fault; the target for isolation is 35, for replicas 60
ASK_WITHIN = 5.0
READ_AT_ONCE = 500


@dataclass(slots=True)
class Outcome:
    """What was found; `failures` are sentences for the report."""

    agreed_after_s: float = float("inf")
    points_read: int = 0
    rows_compared: int = 0
    rows_different: int = 0
    failures: list[str] = field(default_factory=list)


def opinions(cluster: ProcessCluster, shards: int, replicas: int) -> list[str]:
    """What is not yet as it should be, as the nodes themselves say; empty: all agree."""
    wrong, epochs = [], set[int]()
    for node in cluster.nodes:
        if not node.running:
            return [f"n{node.index} does not run"]
        try:
            with connect(node.address, timeout=ASK_WITHIN) as db:
                info = db.cluster()
        except errors.VectronError as error:
            return [f"n{node.index}: {error.message}"]
        epochs.add(info.epoch)
        dead = [each.name for each in info.nodes if each.state != "active" or each.liveness != "alive"]
        if dead or len(info.nodes) != len(cluster.nodes):
            wrong.append(f"n{node.index} sees {len(info.nodes)} members, not well: {dead}")
        mine = [shard for shard in info.shards if shard.collection == COLLECTION]
        unequal = [
            shard.shard
            for shard in mine
            if len(shard.replicas) != replicas
            or len({replica.merkle_root for replica in shard.replicas}) != 1
            or not shard.replicas[0].merkle_root
        ]
        if unequal or len(mine) != shards:
            wrong.append(f"n{node.index} finds shards unequal or missing: {unequal}, {len(mine)} in all")
    if len(epochs) > 1:
        wrong.append(f"epochs {sorted(epochs)}")
    return wrong


def wait_agreed(cluster: ProcessCluster, shards: int, replicas: int, outcome: Outcome, *, since: float) -> None:
    """Wait until they agree; `since` is when the last fault was over."""
    last: list[str] = []

    def agreed() -> bool | None:
        last[:] = opinions(cluster, shards, replicas)
        return None if last else True

    try:
        wait_for(agreed, AGREE_WITHIN, "the nodes to agree")
        outcome.agreed_after_s = time.monotonic() - since
    except ProcessFailed:
        outcome.failures.append(f"the nodes do not agree {AGREE_WITHIN:.0f} s after the last fault: {'; '.join(last)}")


def read_back(cluster: ProcessCluster, workers: Sequence[Worker | RegisterWorker], outcome: Outcome) -> None:
    """Every id, at quorum, through each node in turn."""
    for number, worker in enumerate(workers):
        node = cluster.nodes[number % len(cluster.nodes)]
        with connect(node.address) as db:
            collection = db.collection(COLLECTION)
            for start in range(0, len(worker.points), READ_AT_ONCE):
                ids = worker.points[start : start + READ_AT_ONCE]
                for point_id, point in zip(ids, collection.get(ids, consistency="quorum"), strict=True):
                    worker.book.saw(point_id, state_of(point), "read at the end", final=True)
                outcome.points_read += len(ids)


def compare_disks(cluster: ProcessCluster, workers: Sequence[Worker | RegisterWorker], outcome: Outcome) -> None:
    """The stopped nodes' rows with each other and with the ledgers."""
    replicas = [read_replicas(node.folder) for node in cluster.nodes]
    outcome.rows_compared, different = differences(replicas)
    outcome.rows_different = len(different)
    if different:
        outcome.failures.append(f"{len(different)} rows differ between replicas: {'; '.join(different[:5])}")
    rows = {point_id: row for node in replicas for shard in node.values() for point_id, row in shard.items()}
    for worker in workers:
        for point in worker.points:
            row = rows.get(point)
            state = ABSENT if row is None or row.vector is None else int(msgpack.unpackb(row.payload)["n"])
            worker.book.saw(point, state, "disk", final=True)
            if state != ABSENT and row is not None and row.vector != vector_of(state).tobytes():
                worker.book.mixed(point, "disk")
