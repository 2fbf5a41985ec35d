"""What searches feel of an owner that stops again and again, and what that costs.

Three nodes, two replicas of each shard. Clients search through one node at an even pace, first undisturbed, then while
an owner is stopped (SIGSTOP) for --pause seconds every --every seconds: too short for membership to notice. Reported:
the times of the searches, and how many requests to owners were hedged. No search may fail, be partial, or wait for the
stopped owner as a rule; hedges keep to their budget.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from _data import add_common_arguments, finish, percentile, say, summary_ms

from vectron_p2p import connect
from vectron_p2p.testing.processes import ProcessCluster
from vectron_p2p.traffic.hedge_budget import BURST, SHARE

if TYPE_CHECKING:
    from vectron_p2p import Client
    from vectron_p2p.model.traffic import TrafficFigures

DIMENSION = 64
POINTS = 6000
STOPPED = 2  # node that is stopped; clients talk to node 0 alone


def search_evenly(target: str, queries: Any, seconds: float, rate: float, threads: int) -> list[float]:
    """Searches from when they were due, so that a stall counts for all that it held up."""
    start, lock, turn = time.monotonic() + 0.2, threading.Lock(), [0]
    times: list[float] = []

    def work() -> None:
        with connect(target, timeout=10.0) as db:
            docs = db.collection("docs")
            while True:
                with lock:
                    number = turn[0]
                    turn[0] += 1
                due = start + number / rate
                if due > start + seconds:
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                result = docs.search(queries[number % len(queries)], k=10)
                assert len(result.hits) == 10
                assert not result.partial
                times.append(time.monotonic() - due)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return times


def stop_often(cluster: ProcessCluster, pause: float, every: float, over: threading.Event) -> None:
    while not over.wait(every - pause):
        cluster.freeze(STOPPED)
        time.sleep(pause)
        cluster.thaw(STOPPED)


def figures(db: Client, name: str) -> TrafficFigures:
    return next(node.traffic for node in db.statistics(replicas=False).nodes if node.node == name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two phases")
    parser.add_argument("--rate", type=float, default=100.0, help="searches a second")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--pause", type=float, default=0.6)
    parser.add_argument("--every", type=float, default=2.0)
    add_common_arguments(parser)
    options = parser.parse_args()
    vectors = np.random.default_rng(1).standard_normal((POINTS, DIMENSION)).astype(np.float32)
    failures: list[str] = []
    with ProcessCluster(3, keep=options.keep) as cluster:
        cluster.start()
        db = connect(cluster.nodes[0].address)
        docs = db.create_collection("docs", dimension=DIMENSION, shards=8, replicas=2)
        for at in range(0, POINTS, 1000):
            docs.upsert(ids=range(at, at + 1000), vectors=vectors[at : at + 1000])
        target, node = cluster.nodes[0].address, cluster.nodes[0].id
        search_evenly(target, vectors, 3.0, options.rate, options.threads)
        say("undisturbed ...")
        calm = search_evenly(target, vectors, options.seconds, options.rate, options.threads)
        before = figures(db, node).hedges
        say("an owner is stopped again and again ...")
        over = threading.Event()
        stopper = threading.Thread(target=stop_often, args=(cluster, options.pause, options.every, over))
        stopper.start()
        try:
            stormy = search_evenly(target, vectors, options.seconds, options.rate, options.threads)
        finally:
            over.set()
            stopper.join()
        after = figures(db, node)
        db.close()
    requests, sent = after.hedges.requests - before.requests, after.hedges.sent - before.sent
    if sent > BURST + SHARE * requests:
        failures.append(f"{sent} hedges of {requests} requests are more than the budget")
    if percentile(stormy, 99) > options.pause:
        failures.append(f"p99 {percentile(stormy, 99):.2f} s: searches waited for the stopped owner")
    result: dict[str, Any] = {
        "pause_s": options.pause,
        "every_s": options.every,
        "rate": options.rate,
        "calm_ms": summary_ms(calm),
        "stormy_ms": summary_ms(stormy),
        "requests": requests,
        "hedged": sent,
        "hedges_won": after.hedges.won - before.won,
        "hedges_denied": after.hedges.denied - before.denied,
        "hedged_percent": round(100 * sent / max(requests, 1), 2),
    }
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
