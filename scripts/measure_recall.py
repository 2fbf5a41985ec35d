"""recall@10 of a cluster against exact neighbours, and against hnswlib itself with the same M, efConstruction and ef.

Loads the data set into one shard on three nodes and into as many shards as the cluster chooses, waits until every
point is served from a graph, and searches all queries through all nodes in turn. Raw hnswlib is built in the same
run.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

import hnswlib
import numpy as np
from _data import add_common_arguments, add_data_arguments, exact_neighbours, finish, load_collection, load_data, say

from vectron_p2p import connect
from vectron_p2p.bench.figures import recall
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    import numpy.typing as npt
    from _data import Data

    from vectron_p2p import Client

K = 10
RECALL = 0.95
SLACK = 0.005  # below raw hnswlib at one shard: two builds of one data set differ by about that much
LINKED_POINTS_PER_S = 200  # far below what two cores link into three replicas; decides only when to give up waiting


def raw_recall(data: Data, truth: npt.NDArray[np.int32], options: argparse.Namespace) -> dict[str, Any]:
    graph = hnswlib.Index("cosine", data.dimension)
    graph.init_index(len(data.vectors), M=options.m, ef_construction=options.ef_construction)
    started = time.monotonic()
    graph.add_items(data.vectors, np.arange(len(data.vectors)))
    result: dict[str, Any] = {"build_s": round(time.monotonic() - started, 1)}
    wanted = [[data.ids[row] for row in rows] for rows in truth.tolist()]
    for ef in options.ef:
        graph.set_ef(ef)
        labels, _ = graph.knn_query(data.queries, k=K)
        found = [[data.ids[row] for row in rows] for rows in labels.tolist()]
        result[f"ef={ef}"] = round(recall(found, wanted), 4)
    return result


def cluster_recall(
    cluster: ProcessCluster,
    db: Client,
    data: Data,
    truth: npt.NDArray[np.int32],
    shards: int | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    name = f"recall-{shards or 'default'}"
    collection = db.create_collection(
        name, dimension=data.dimension, shards=shards, m=options.m, ef_construction=options.ef_construction
    )
    started = time.monotonic()
    load_collection(collection, data)
    result: dict[str, Any] = {"shards": collection.info().shards, "load_s": round(time.monotonic() - started, 1)}

    def linked() -> bool | None:
        time.sleep(0.5)
        # Shards too small for a graph are scanned exactly and never "indexed": idle means linking has come to its end.
        return True if all(node.unindexed == 0 for node in db.status().nodes) else None

    wait_for(linked, 60 + len(data.vectors) / LINKED_POINTS_PER_S, "all points to be linked", lambda: db.status())
    info = collection.info()
    result |= {"linked_s": round(time.monotonic() - started, 1), "count": info.count, "indexed": info.indexed}
    wanted = [[data.ids[row] for row in rows] for rows in truth.tolist()]
    for ef in [None, *options.ef]:
        found: list[list[Any]] = [[] for _ in data.queries]
        partial = 0
        for node in cluster.nodes:
            mine = range(node.index, len(data.queries), len(cluster.nodes))
            with connect(node.address) as through:
                results = through.collection(name).search_batch(data.queries[mine], k=K, ef=ef, with_payload=False)
            for query, answer in zip(mine, results, strict=True):
                found[query] = [hit.id for hit in answer]
                partial += answer.partial
        key = "default ef" if ef is None else f"ef={ef}"
        result[key] = round(recall(found, wanted), 4)
        if partial:
            result[f"{key}: partial"] = partial
    db.delete_collection(name)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=100)
    parser.add_argument("--ef", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--one-shard-only", action="store_true")
    add_data_arguments(parser)
    add_common_arguments(parser)
    options = parser.parse_args()

    data = load_data(options)
    truth = exact_neighbours(data, K)
    say(f"{len(data.vectors):,} points, {len(data.queries):,} queries; building raw hnswlib")
    raw = raw_recall(data, truth, options)
    say(f"raw: {raw}")
    runs: list[dict[str, Any]] = []
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect, timeout=60.0) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == options.nodes else None, 30, "all nodes to be members")
            for shards in [1] if options.one_shard_only else [1, None]:
                runs.append(cluster_recall(cluster, db, data, truth, shards, options))
                say(f"cluster: {runs[-1]}")

    failures = []
    for run in runs:
        if run["default ef"] < RECALL:
            failures.append(f"recall@{K} is {run['default ef']} with {run['shards']} shards, less than {RECALL}")
        if run["count"] != len(data.vectors):
            failures.append(f"{run['count']} points are counted, {len(data.vectors)} were loaded")
        failures += [f"{run[key]} results of {key}" for key in run if key.endswith("partial")]
    for ef in options.ef:
        ours, theirs = runs[0][f"ef={ef}"], raw[f"ef={ef}"]
        if ours < theirs - SLACK:
            failures.append(f"recall@{K} at one shard and ef {ef} is {ours}, raw hnswlib has {theirs}")
    result = {
        "data": data.name, "points": len(data.vectors), "queries": len(data.queries), "m": options.m,
        "ef_construction": options.ef_construction, "raw_hnswlib": raw, "cluster": runs,
    }  # fmt: skip
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
