"""A loaded cluster under a trickle of writes and a steady search load: errors, latency, event-loop lag, memory.

Three nodes hold the data set. One client upserts --write-rate points a second in batches of ten (new ids and updates
of old ones), eight clients search, each through another node, for --seconds. The lag is what the nodes report of
themselves.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from _data import add_common_arguments, add_data_arguments, finish, load_collection, load_data, say, summary_ms

from vectron_p2p import connect, errors
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from _data import Data

NAME = "trickle"
BATCH = 10
MAX_LAG_MS = 250.0
UPDATE_SHARE = 0.3
STATUS_EVERY_S = 5.0
LINKED_POINTS_PER_S = 200  # far below what two cores link into three replicas; decides only when to give up waiting


class Client(threading.Thread):
    """Repeats one call at a rate (0: as fast as it is answered) and keeps what became of it."""

    def __init__(self, address: str, call: Callable[[Any], str | None], rate: float) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._call = call
        self._rate = rate
        self._stop_now = threading.Event()
        self.seconds: list[float] = []
        self.troubles: Counter[str] = Counter()
        self.crash: BaseException | None = None

    def stop(self) -> None:
        self._stop_now.set()

    def run(self) -> None:
        try:
            with connect(self._address) as db:
                collection = db.collection(NAME)
                due = time.monotonic()
                while not self._stop_now.is_set():
                    started = time.monotonic()
                    try:
                        trouble = self._call(collection)
                    except errors.VectronError as error:
                        trouble = f"{error.code}: {error.message}"
                    self.seconds.append(time.monotonic() - started)
                    if trouble:
                        self.troubles[trouble] += 1
                    if self._rate:
                        due = max(due + 1 / self._rate, time.monotonic() - 1)  # after a stall: no burst to catch up
                        self._stop_now.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:  # reported by main: a client that died silently would make the run look clean
            self.crash = error


def searcher(data: Data, seed: int) -> Callable[[Any], str | None]:
    rng = random.Random(seed)

    def search(collection: Any) -> str | None:
        result = collection.search(data.queries[rng.randrange(len(data.queries))], k=10)
        if result.partial:
            return f"partial: missing shards {result.missing_shards}"
        return None if len(result) == 10 else f"{len(result)} hits"

    return search


def writer(data: Data, seed: int) -> Callable[[Any], str | None]:
    rng = random.Random(seed)
    written = 0

    def write(collection: Any) -> str | None:
        nonlocal written
        rows = [rng.randrange(len(data.vectors)) for _ in range(BATCH)]
        ids = [data.ids[row] if rng.random() < UPDATE_SHARE else f"new-{written + i}" for i, row in enumerate(rows)]
        collection.upsert(ids=ids, vectors=data.vectors[rows], payloads=[data.payloads[row] for row in rows])
        written += BATCH
        return None

    return write


def watch(db: Any, seconds: float) -> list[dict[str, Any]]:
    """The worst figures over all nodes, every few seconds."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(STATUS_EVERY_S, max(0.1, end - time.monotonic())))
        nodes = db.status().nodes
        seen.append(
            {
                "loop_lag_p99_ms": round(max(node.loop_lag_ms for node in nodes), 1),
                "loop_lag_max_ms": round(max(node.loop_lag_max_ms for node in nodes), 1),
                "unindexed": max(node.unindexed for node in nodes),
                "rss_mb": round(max(node.rss_bytes for node in nodes) / 1e6),
                "alive": sum(node.liveness == "alive" for node in nodes),
            }
        )
        if len(seen) % 12 == 0:
            say(f"{seconds - (end - time.monotonic()):.0f} s: {seen[-1]}")
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--searchers", type=int, default=8)
    parser.add_argument(
        "--search-rate", type=float, default=0.0, help="searches/s of each client; 0: as fast as answered"
    )
    parser.add_argument("--write-rate", type=float, default=100.0, help="points a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unlinked", action="store_true", help="begin while the points are still being linked")
    add_data_arguments(parser)
    add_common_arguments(parser)
    options = parser.parse_args()

    data = load_data(options)
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == options.nodes else None, 30, "all nodes to be members")
            started = time.monotonic()
            load_collection(db.create_collection(NAME, dimension=data.dimension), data)
            loaded = time.monotonic() - started
            after_load = max(node.loop_lag_max_ms for node in db.status().nodes)
            say(f"{len(data.vectors):,} points loaded in {loaded:.0f} s; largest loop lag so far {after_load:.0f} ms")
            if not options.unlinked:
                wait_for(
                    lambda: True if all(node.unindexed == 0 for node in db.status().nodes) else None,
                    60 + len(data.vectors) / LINKED_POINTS_PER_S,
                    "all points to be linked",
                )
                linked = time.monotonic() - started
                say(f"all linked after {linked:.0f} s")
            addresses = [cluster[number % options.nodes].address for number in range(options.searchers)]
            searchers = [
                Client(a, searcher(data, options.seed + n), options.search_rate) for n, a in enumerate(addresses)
            ]
            writers = [Client(cluster[0].address, writer(data, options.seed), options.write_rate / BATCH)]
            for client in [*searchers, *writers]:
                client.start()
            seen = watch(db, options.seconds)
            for client in [*searchers, *writers]:
                client.stop()
            for client in [*searchers, *writers]:
                client.join()

    clients = [*searchers, *writers]
    troubles = sum((client.troubles for client in clients), Counter[str]())
    searches = [s for client in searchers for s in client.seconds]
    writes = [s for client in writers for s in client.seconds]
    worst = max(each["loop_lag_max_ms"] for each in seen)
    failures = [f"a client died: {client.crash!r}" for client in clients if client.crash is not None]
    if troubles:
        failures.append(f"{troubles.total()} calls failed: {dict(troubles.most_common(5))}")
    if worst > MAX_LAG_MS:
        failures.append(f"the event loop stood still for {worst} ms, more than {MAX_LAG_MS:g} ms")
    if any(each["alive"] < options.nodes for each in seen):
        failures.append("a node was reported other than alive")
    written = len(writes) * BATCH / options.seconds
    if options.write_rate and written < 0.95 * options.write_rate:
        failures.append(f"{written:.0f} points/s were written, {options.write_rate:g} were asked for")
    result = {
        "data": data.name, "points": len(data.vectors), "nodes": options.nodes, "seconds": options.seconds,
        "load_s": round(loaded, 1), "loop_lag_max_ms_after_load": after_load,
        "searches_per_s": round(len(searches) / options.seconds, 1), "search": summary_ms(searches),
        "points_per_s": round(written, 1), "write": summary_ms(writes), "errors": troubles.total(),
        "loop_lag_p99_ms": max(each["loop_lag_p99_ms"] for each in seen), "loop_lag_max_ms": worst,
        "unindexed_max": max(each["unindexed"] for each in seen), "rss_mb_max": max(each["rss_mb"] for each in seen),
    }  # fmt: skip
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
