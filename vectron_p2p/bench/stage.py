"""Nodes with the data set loaded: what is asked about them from outside while and after they are measured."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vectron_p2p.bench.jobs import Place
from vectron_p2p.bench.load import BenchFailed
from vectron_p2p.bench.memory import memory_of
from vectron_p2p.client.sync_client import Client
from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.bench.data import Data
    from vectron_p2p.bench.settings import Settings
    from vectron_p2p.client.collection import Collection
    from vectron_p2p.model.nodes import ClusterStatus

NAME = "bench"
INGEST_BATCH = 1000
LINKED_PER_S = 100  # far below what one core links into three replicas; decides only when to give up waiting
LOOK = 0.2  # seconds between looks: the answer costs a node about a millisecond


class Stage:
    """`nodes` processes and one collection: one shard, a replica on each."""

    def __init__(self, data: Data, settings: Settings, cluster: ProcessCluster, db: Client) -> None:
        self.data = data
        self.cluster = cluster
        self.db = db
        self.nodes = len(cluster.nodes)
        self.place = Place(cluster.connect, NAME)
        self.collection: Collection = db.create_collection(
            NAME, dimension=data.dimension, shards=1, replicas=self.nodes,
            m=settings.m, ef_construction=settings.ef_construction,
        )  # fmt: skip
        self.acked = self.searchable = self.linked = 0.0
        """Seconds from the first point sent."""
        self.linked_at = 0.0
        self.load_lag: dict[str, float] = {}
        """Of the minute up to the last link."""

    def ingest(self) -> None:
        data = self.data
        started = time.perf_counter()
        columns = {"ids": data.ids, "vectors": data.vectors, "payloads": data.payloads}
        report = self.collection.upload(columns, batch_size=INGEST_BATCH)
        self.acked = time.perf_counter() - started
        if report.sent != len(data.ids):
            raise BenchFailed(f"{report.sent} of {len(data.ids)} points were written: are all ids different?")
        last = data.ids[-1]

        def found() -> bool | None:
            hits = self.collection.search(data.vectors[-1], k=100, with_payload=False)  # of equal vectors any is first
            return True if any(hit.id == last for hit in hits) else None

        wait_for(found, 60.0, "the last point to be found")
        self.searchable = time.perf_counter() - started
        wait_for(self._all_linked, 60 + len(data.ids) / LINKED_PER_S, "all points to be linked", self.db.status)
        self.linked_at = time.perf_counter()
        self.linked = self.linked_at - started
        self.load_lag = self.lag()

    def _all_linked(self) -> bool | None:
        time.sleep(LOOK)
        nodes = self.db.status().nodes
        done = [node.answered and node.points >= len(self.data.ids) and not node.unindexed for node in nodes]
        return True if len(done) == self.nodes and all(done) else None

    def rest(self, seconds: float) -> None:
        """Wait until it is so long ago that the last point was linked."""
        time.sleep(max(0.0, self.linked_at + seconds - time.perf_counter()))

    def lag(self) -> dict[str, float]:
        """Of the slowest node: p99 of the loop's lag over the minute before now, and its maximum since the start."""
        nodes = self.db.status().nodes
        return {
            "lag_p99_ms": max(node.loop_lag_ms for node in nodes),
            "lag_max_ms": max(node.loop_lag_max_ms for node in nodes),
        }

    def cached(self) -> tuple[int, int]:
        """Single queries that were answered by the search cache, and all."""
        nodes = self.db.status().nodes
        hits = sum(node.cache_hits for node in nodes)
        return hits, hits + sum(node.cache_misses for node in nodes)

    def memory(self) -> dict[str, int]:
        """Of node 0."""
        return memory_of(self.cluster[0].pid)

    @contextmanager
    def watching_tail(self) -> Iterator[list[int]]:
        """Collects, while the block runs, how many points are searched without the graph."""
        over = threading.Event()
        seen: list[int] = []

        def watch() -> None:
            with Client(self.place.target) as db:
                while not over.wait(LOOK):
                    with contextlib.suppress(VectronError):  # the next look may be answered
                        seen.append(_unlinked(db.status()))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


def _unlinked(status: ClusterStatus) -> int:
    return max(node.unindexed for node in status.nodes)


@contextmanager
def staged(data: Data, settings: Settings, nodes: int) -> Iterator[Stage]:
    """Started and loaded."""
    with ProcessCluster(nodes) as cluster:
        # Where the environment forbids Python to keep bytecode, every start would compile all sources anew: a quarter
        # of a second that no installed node spends.
        for node in cluster.nodes if sys.dont_write_bytecode else ():
            node.wrap = ("env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={cluster.folder / 'bytecode'}")
        cluster.start()
        with Client(cluster.connect, timeout=60.0) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == nodes else None, 30, "all nodes to be members")
            stage = Stage(data, settings, cluster, db)
            stage.ingest()
            yield stage
