"""Three nodes, real data in, search out, a node killed and brought back; exit 0 only if every step held.

Run it as scripts/demo, which makes the environment first.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from _data import batches

from vectron_p2p import connect, errors
from vectron_p2p.sample import Sample, load_sample
from vectron_p2p.testing.processes import ProcessCluster, ProcessFailed, wait_for

if TYPE_CHECKING:
    from vectron_p2p import Client
    from vectron_p2p.client import Collection

NODES = 3
VICTIM = 2
NAME = "words"
NEW_POINTS = 300
DELETED = 100
CATCH_UP_TIMEOUT = 30.0


class StepFailed(Exception):
    """A step of the demo did not hold."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise StepFailed(what)


class Report:
    """Numbered lines, each with the time since the one before."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()
        self._lines = 0

    def done(self, text: str) -> None:
        now = time.monotonic()
        self._lines += 1
        print(f"{self._lines:>2}. {text}  [{now - self._last:.1f} s]", flush=True)
        self._last = now


def replicas_equal(db: Client) -> str | None:
    """The common Merkle roots in short, once every replica of every shard has the same; None before."""
    shards = [shard for shard in db.cluster().shards if shard.collection == NAME]
    roots = [{replica.merkle_root for replica in shard.replicas} for shard in shards]
    complete = all(len(shard.replicas) == NODES for shard in shards)
    if not shards or not complete or any(len(each) != 1 or "" in each for each in roots):
        return None
    return " ".join(sorted(root[:8] for each in roots for root in each))


def all_alive(db: Client) -> bool | None:
    nodes = db.cluster().nodes
    return True if len(nodes) == NODES and all((n.state, n.liveness) == ("active", "alive") for n in nodes) else None


def load(words: Collection, sample: Sample) -> None:
    for rows in batches(len(sample.vectors)):
        words.upsert(
            ids=sample.ids[rows], vectors=sample.vectors[rows], payloads=sample.payloads[rows], consistency="all"
        )
    count = words.count()
    check(count == len(sample.vectors), f"{len(sample.vectors)} points were loaded, {count} are counted")


def search_everywhere(cluster: ProcessCluster, sample: Sample) -> float:
    """Recall@10 of the sample's queries, spread over all nodes."""
    found = 0
    for node in cluster.nodes:
        with connect(node.address) as db:
            words = db.collection(NAME)
            mine = slice(node.index, None, NODES)
            for result, truth in zip(words.search_batch(sample.queries[mine], k=10), sample.truth[mine], strict=True):
                check(not result.partial, f"a search through {node.name} missed shards {result.missing_shards}")
                found += len({hit.id for hit in result} & {sample.ids[row] for row in truth})
    return found / sample.truth.size


def search_filtered(cluster: ProcessCluster, sample: Sample) -> None:
    """A filter keeps only what matches, and the best of it, through each node."""
    rows = [row for row, payload in enumerate(sample.payloads) if payload["pos"] == "verb"]
    vectors = sample.vectors[rows]
    query = sample.queries[0]
    scores = vectors @ query / np.linalg.norm(vectors, axis=1)
    best = [sample.ids[rows[i]] for i in np.argsort(-scores)[:5]]
    for node in cluster.nodes:
        with connect(node.address) as db:
            hits = db.collection(NAME).search(query, k=5, filter={"pos": "verb"}).hits
            ids = [hit.id for hit in hits]
            check(ids == best, f"filtered search through {node.name} found {ids}, not {best}")


def new_points(sample: Sample) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((NEW_POINTS, sample.vectors.shape[1])).astype(np.float32)
    return [f"new-{number}" for number in range(NEW_POINTS)], noise


def write_without_victim(words: Collection, sample: Sample) -> float:
    """Writes, deletes and searches while a node is dead; the longest call in seconds."""
    ids, vectors = new_points(sample)
    slowest = 0.0
    for rows in batches(NEW_POINTS, 10):
        started = time.monotonic()
        words.upsert(ids=ids[rows], vectors=vectors[rows], payloads=[{"pos": "new"} for _ in ids[rows]])
        result = words.search(vectors[rows.start], k=1)
        slowest = max(slowest, time.monotonic() - started)
        check(not result.partial, f"a search missed shards {result.missing_shards}")
        check(result[0].id == ids[rows.start], "a point just acknowledged is not the nearest to its own vector")
    words.delete(ids=sample.ids[:DELETED])
    check(words.get(sample.ids[:DELETED]) == [None] * DELETED, "a deleted point is still there")
    return slowest


def verify(words: Collection, sample: Sample, through: str) -> None:
    """Every acknowledged write and delete, read back."""
    ids, vectors = new_points(sample)
    for point, vector in zip(words.get(ids, with_vector=True), vectors, strict=True):
        if point is None or point.vector is None:
            raise StepFailed(f"a point written while {through} was dead is missing there")
        check(np.array_equal(point.vector, vector), "a vector came back changed")
    check(words.get(sample.ids[:DELETED]) == [None] * DELETED, f"a deleted point is back, seen through {through}")
    kept = sample.ids[DELETED:]
    for rows in batches(len(kept)):
        check(None not in words.get(kept[rows]), "a loaded point is missing")
    count, expected = words.count(), len(sample.ids) - DELETED + NEW_POINTS
    check(count == expected, f"{count} points are counted, {expected} are expected")


def run(cluster: ProcessCluster) -> None:
    report = Report()
    sample = load_sample()
    cluster.start()
    victim = cluster[VICTIM]
    with connect(cluster.connect) as db:
        wait_for(lambda: all_alive(db), 15, "all nodes to see each other")
        report.done(f"{NODES} nodes: " + ", ".join(f"{node.name} {node.address}" for node in cluster.nodes))

        started = time.monotonic()
        words = db.create_collection(NAME, dimension=sample.vectors.shape[1], metric="cosine")
        load(words, sample)
        rate = len(sample.vectors) / (time.monotonic() - started)
        report.done(f"{len(sample.vectors):,} points loaded, each on {NODES} disks: {rate:,.0f} points/s")

        recall = search_everywhere(cluster, sample)
        check(recall >= 0.95, f"recall@10 is {recall:.3f}")
        hits = words.search(sample.queries[0], k=3)
        nearest = "; ".join(", ".join((hit.payload or {})["words"][:2]) for hit in hits)
        report.done(f'searched through each node: recall@10 {recall:.3f}; "{sample.query_texts[0]}" -> {nearest}')
        search_filtered(cluster, sample)
        report.done('searched with the filter {"pos": "verb"}: the exact five best through each node')

        cluster.kill(VICTIM)
        slowest = write_without_victim(words, sample)
        report.done(
            f"{victim.name} killed with SIGKILL; {NEW_POINTS} points written, {DELETED} deleted, searches complete; "
            f"slowest call {slowest * 1000:.0f} ms"
        )

        seconds = cluster.start_node(VICTIM)
        report.done(f"{victim.name} restarted: ready in {seconds:.1f} s")
        roots = wait_for(lambda: replicas_equal(db), CATCH_UP_TIMEOUT, "the replicas to be equal", lambda: db.cluster())
        report.done(f"{victim.name} caught up: all replicas have the same Merkle roots ({roots})")

    with connect(victim.address) as db:
        verify(db.collection(NAME), sample, victim.name)
    report.done(f"every acknowledged write and delete read back through {victim.name}")

    codes = cluster.stop_all()
    check(codes == [0] * NODES, f"the nodes ended with {codes} on SIGTERM")
    report.done("all nodes stopped on SIGTERM with exit code 0")
    print(f"Every step held. {time.monotonic() - report.started:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the nodes' folder, and say where it is")
    options = parser.parse_args()
    try:
        with ProcessCluster(NODES, keep=options.keep) as cluster:
            run(cluster)
    except (StepFailed, ProcessFailed, errors.VectronError) as error:
        print(f"demo FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all nodes are stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
