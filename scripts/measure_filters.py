"""Filters that keep too many points for a scan, before and after they have a graph of their own, beside no filter.

One index in this process, so that nothing else is measured: time and recall@10 of queries one at a time and in batches.
Filters are chosen from the payloads by the share of the points that they keep. Which way a search goes is what a node
would decide; the graph of a filter is linked while nobody searches.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
from _data import add_common_arguments, add_data_arguments, finish, load_data, percentile, say

from vectron_p2p.bench.data import exact_neighbours
from vectron_p2p.bench.figures import recall
from vectron_p2p.bench.filtered import filtered
from vectron_p2p.index import blas
from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.runtime.crew import ThreadCrew

if TYPE_CHECKING:
    from _data import Data

    from vectron_p2p.bench.data import Rows
    from vectron_p2p.model.ids import PointId

K = 10
RECALL = 0.98
ASKED = 5  # times all queries, before a filter's graph is linked
ROUNDS = 3  # of all queries, of which the median counts


class Row(NamedTuple):
    id: PointId
    version: bytes
    vector: bytes
    payload: bytes


def filled(data: Data, options: argparse.Namespace) -> ShardIndex:
    index = ShardIndex(
        IndexOptions(data.dimension, "cosine", options.m, options.ef_construction),
        None,
        link_threads=ThreadCrew(options.threads),
    )
    index.load(
        Row(point, at.to_bytes(40, "big"), vector.tobytes(), msgpack.packb(payload))
        for at, (point, vector, payload) in enumerate(zip(data.ids, data.vectors, data.payloads, strict=True))
    )
    while index.unlinked:
        index.link_turn()
    while index.payloads_wait:
        index.index_payloads()
    return index


def measured(index: ShardIndex, data: Data, truth: Rows, source: Any, batch: int, ef: int) -> dict[str, Any]:
    """µs of a query, recall, and how it was found."""
    tree = None if source is None else parse_filter(source)
    times: list[float] = []
    found: list[list[PointId]] = []
    plan: dict[str, Any] = {}
    for _ in range(ROUNDS):
        found = []
        for at in range(0, len(data.queries), batch):
            queries = data.queries[at : at + batch]
            started = time.perf_counter()
            hits, plan = index.search(queries, k=K, ef=ef, filter=tree)
            times.append((time.perf_counter() - started) / len(queries))
            found += [one.ids for one in hits]
    wanted = [[data.ids[row] for row in rows] for rows in truth.tolist()]
    result = {"us": round(percentile(times, 50) * 1e6), "recall": round(recall(found, wanted), 4), "way": plan["plan"]}
    return result | {name: plan[name] for name in ("fetch", "subgraph") if plan.get(name)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_data_arguments(parser)
    parser.add_argument("--shares", default="0.2,0.3,0.5,0.7", help="of the points that filters keep")
    parser.add_argument("--batch", type=int, default=25, help="queries in a batch (default: 25, as of 100 connections)")
    parser.add_argument("--ef", type=int, default=48)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2, help="for linking")
    options = parser.parse_args()
    blas.use_one_thread()
    data = load_data(options)
    say(f"{len(data.ids):,} points; linked anew for each filter, so that each has all the room")
    index = filled(data, options)
    result: dict[str, Any] = {"points": len(data.ids), "ef": options.ef}
    failures: list[str] = []
    sizes = {"one": 1, f"batch of {options.batch}": options.batch}
    truth = exact_neighbours(data, K)
    for name, size in sizes.items():
        result[f"no filter, {name}"] = measured(index, data, truth, None, size, options.ef)
    for each in filtered(data, K, say, [float(share) for share in options.shares.split(",")]):
        label, source, truth = each.label, each.filter, each.nearest
        index = filled(data, options)
        for name, size in sizes.items():
            result[f"{label}, {name}"] = measured(index, data, truth, source, size, options.ef)
        for _ in range(ASKED):
            measured(index, data, truth, source, len(data.queries), options.ef)
        started = time.perf_counter()
        while index.subgraphs_due:
            index.subgraph_turn()
        result[f"{label}, linked in s"] = round(time.perf_counter() - started, 1)
        for name, size in sizes.items():
            after = measured(index, data, truth, source, size, options.ef)
            result[f"{label}, {name}, then"] = after
            if after["recall"] < RECALL:
                failures.append(f"{label}, {name}: recall {after['recall']}")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
