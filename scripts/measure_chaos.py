"""Kills nodes while clients write and delete, then looks for every acknowledged operation.

Five nodes, three replicas, eight clients that upsert and delete at QUORUM. Over and over: SIGKILL one random node,
2.5 s, restart it, wait for `ready`, next kill at least 5 s after the last. Each client owns its ids and remembers
what was acknowledged to it. Reads at QUORUM are checked as they go. Afterwards: the time until all replicas have
equal Merkle roots; every id read at QUORUM; then the nodes are stopped and the rows of all replicas compared on disk,
and with what was acknowledged.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
from _data import add_common_arguments, batches, finish, percentile, say, summary_ms
from _ledger import Ledger

from vectron_p2p import connect, errors
from vectron_p2p.testing.processes import ProcessCluster, ProcessFailed, wait_for
from vectron_p2p.testing.replicas import differences, read_replicas

if TYPE_CHECKING:
    from vectron_p2p import Client
    from vectron_p2p.model.points import Point

NAME = "chaos"
REPLICAS = 3
DOWN_S = 2.5
BETWEEN_KILLS_S = 5.0
CONVERGED_S = 60.0
SUCCEED = 0.99
DELETE_SHARE, READ_SHARE, NEW_SHARE = 0.2, 0.1, 0.7
MAX_BATCH = 5


def vector_of(number: int, dimension: int) -> Any:
    """The vector of operation `number`: a row that mixes two writes is found by it."""
    return np.random.default_rng(number).standard_normal(dimension).astype(np.float32)


def operation_of(point: Point | None) -> int | None:
    """The number of the write that this point came from."""
    return None if point is None or point.payload is None else int(point.payload["n"])


class Writer(threading.Thread):
    """One client, with ids of its own."""

    def __init__(self, number: int, seeds: str, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._seeds = seeds
        self._options = options
        self._rng = random.Random(options.seed * 1000 + number)
        self._operation = 0
        self._stop_now = threading.Event()
        self._known: list[str] = []  # the ids of the ledger, to draw from
        self.ledger = Ledger()
        self.seconds: list[float] = []
        self.succeeded: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.crash: BaseException | None = None

    def stop(self) -> None:
        self._stop_now.set()

    def run(self) -> None:
        try:
            with connect(self._seeds, timeout=self._options.timeout) as db:
                collection = db.collection(NAME)
                while not self._stop_now.is_set():
                    self._operate(collection)
                    if self._options.pause:
                        self._stop_now.wait(self._options.pause)
        except BaseException as error:  # reported by main: a client that died silently would make the run look clean
            self.crash = error

    def _operate(self, collection: Any) -> None:
        known = self._known
        drawn = self._rng.random()
        if known and drawn < READ_SHARE:
            self._read(collection, self._rng.sample(known, min(len(known), MAX_BATCH)))
            return
        self._operation += 1
        number = self._operation * 100 + self._number  # unique over all clients
        size = self._rng.randint(1, MAX_BATCH)
        delete = bool(known) and drawn < READ_SHARE + DELETE_SHARE
        if delete or (known and self._rng.random() > NEW_SHARE):
            ids = self._rng.sample(known, min(len(known), size))
        else:
            ids = [f"{self._number}-{len(known) + offset}" for offset in range(size)]
        started = time.monotonic()
        try:
            if delete:
                collection.delete(ids=ids, consistency="quorum")
            else:
                vectors = np.stack([vector_of(number, self._options.dimension)] * len(ids))
                collection.upsert(ids=ids, vectors=vectors, payloads=[{"n": number}] * len(ids), consistency="quorum")
            record = self.ledger.acknowledged
            self.succeeded["delete" if delete else "upsert"] += 1
        except errors.VectronError as error:
            record = self.ledger.unknown
            self.failed[error.code] += 1
        self.seconds.append(time.monotonic() - started)
        for point_id in ids:
            if point_id not in self.ledger.entries:
                known.append(point_id)
            record(point_id, -number if delete else number)

    def _read(self, collection: Any, ids: list[str]) -> None:
        try:
            points = collection.get(ids, consistency="quorum")
        except errors.VectronError as error:
            self.failed[f"get: {error.code}"] += 1
            return
        self.succeeded["get"] += 1
        for point_id, point in zip(ids, points, strict=True):
            self.ledger.observe(point_id, operation_of(point), "read meanwhile")


def kill_loop(cluster: ProcessCluster, seconds: float, rng: random.Random) -> tuple[int, list[float], float]:
    """Kills, times until ready, and when the last restarted node was ready."""
    end = time.monotonic() + seconds
    kills, ready = 0, list[float]()
    last = time.monotonic()
    while time.monotonic() < end:
        began = time.monotonic()
        victim = rng.randrange(len(cluster.nodes))
        cluster.kill(victim)
        kills += 1
        time.sleep(DOWN_S)
        ready.append(cluster.start_node(victim))
        last = time.monotonic()
        time.sleep(max(0.0, began + BETWEEN_KILLS_S - time.monotonic()))
        say(f"kill {kills}: n{victim}, ready {ready[-1]:.1f} s after its start")
    return kills, ready, last


def roots_equal(db: Client, shards: int) -> bool | None:
    mine = [shard for shard in db.cluster().shards if shard.collection == NAME]
    roots = [{replica.merkle_root for replica in shard.replicas} for shard in mine]
    complete = len(mine) == shards and all(len(shard.replicas) == REPLICAS for shard in mine)
    return True if complete and all(len(each) == 1 and "" not in each for each in roots) else None


def read_back(db: Client, writers: list[Writer]) -> int:
    """Every id ever written, at quorum; how many."""
    collection, count = db.collection(NAME), 0
    for writer in writers:
        ids = list(writer.ledger.entries)
        for rows in batches(len(ids), 500):
            for point_id, point in zip(ids[rows], collection.get(ids[rows], consistency="quorum"), strict=True):
                writer.ledger.observe(point_id, operation_of(point), "get at quorum")
        count += len(ids)
    return count


def compare_disks(cluster: ProcessCluster, writers: list[Writer], dimension: int) -> tuple[int, list[str]]:
    """Rows of all replicas with each other and with the ledgers; rows compared, differences."""
    replicas = [read_replicas(node.folder) for node in cluster.nodes]
    compared, found = differences(replicas)
    rows = {point_id: row for node in replicas for shard in node.values() for point_id, row in shard.items()}
    for writer in writers:
        for point_id in writer.ledger.entries:
            row = rows.get(point_id)
            number = None if row is None or row.vector is None else msgpack.unpackb(row.payload)["n"]
            writer.ledger.observe(point_id, number, "disk")
            if number is not None and row is not None and row.vector != vector_of(number, dimension).tobytes():
                found.append(f"{point_id}: the payload of one write with the vector of another")
    return compared, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to kill and write")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--dimension", type=int, default=32)
    parser.add_argument("--timeout", type=float, default=10.0, help="of one operation with its retries")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between the operations of a client")
    parser.add_argument("--seed", type=int, default=1)
    add_common_arguments(parser)
    options = parser.parse_args()

    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == options.nodes else None, 30, "all nodes to be members")
            db.create_collection(NAME, dimension=options.dimension, shards=options.shards, replicas=REPLICAS)
            writers = [Writer(number, cluster.connect, options) for number in range(options.clients)]
            for writer in writers:
                writer.start()
            kills, ready, last = kill_loop(cluster, options.seconds, random.Random(options.seed))
            for writer in writers:
                writer.stop()
            for writer in writers:
                writer.join()
            failures = [f"client {number} died: {w.crash!r}" for number, w in enumerate(writers) if w.crash is not None]
            try:
                wait_for(lambda: roots_equal(db, options.shards), CONVERGED_S * 2, "equal Merkle roots")
                converged = time.monotonic() - last
            except ProcessFailed as error:
                failures.append(str(error))
                converged = float("inf")
            ids = read_back(db, writers)
        codes = cluster.stop_all()
        compared, different = compare_disks(cluster, writers, options.dimension)

    succeeded = sum((writer.succeeded for writer in writers), Counter[str]())
    failed = sum((writer.failed for writer in writers), Counter[str]())
    lost = [line for writer in writers for line in writer.ledger.lost]
    returned = [line for writer in writers for line in writer.ledger.returned]
    share = succeeded.total() / max(1, succeeded.total() + failed.total())
    if share < SUCCEED:
        failures.append(f"{share:.4f} of the operations succeeded, less than {SUCCEED}")
    if not converged <= CONVERGED_S:
        failures.append(f"replicas were equal {converged:.0f} s after the last restart, later than {CONVERGED_S:.0f} s")
    violations = {"acknowledged writes lost": lost, "deleted points back": returned, "rows different": different}
    for name, lines in violations.items():
        if lines:
            failures.append(f"{len(lines)} {name}: {'; '.join(lines[:5])}")
    if any(codes):
        failures.append(f"exit codes on SIGTERM: {codes}")
    result = {
        "nodes": options.nodes, "replicas": REPLICAS, "clients": options.clients, "seconds": options.seconds,
        "kills": kills, "ready_p50_s": round(percentile(ready, 50), 2), "ready_max_s": round(percentile(ready, 100), 2),
        "operations": succeeded.total() + failed.total(), "succeeded": dict(succeeded), "failed": dict(failed),
        "success_share": round(share, 5), "operation": summary_ms([s for w in writers for s in w.seconds]),
        "ids": ids, "lost": len(lost), "deleted_points_back": len(returned), "rows_compared": compared,
        "rows_different": len(different), "converged_s": round(converged, 1),
    }  # fmt: skip
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
