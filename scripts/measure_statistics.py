"""What it costs a node to measure itself: processor time at rest with and without, and per request.

Two clusters of real processes rest side by side, loaded alike: one as it is, one whose nodes leave out counting,
sampling and looking at the disk. Then a client subscribes to everything at the first, once a second. Figures are
processor time per node, in percent of a core.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from _data import add_common_arguments, finish, say

from vectron_p2p import connect
from vectron_p2p.testing.processes import ProcessCluster

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PERCENT = 1.0  # of a core, at rest
MAX_REQUEST_US = 2.0
WITHOUT = "--without-statistics"
SETTLE_S = 15.0  # after loading: linking, first comparisons
REQUESTS = 200_000


def run_without(command: Sequence[str]) -> None:
    """Become the node of `command`, with nothing measured."""
    from vectron_p2p.cli.main import main as vectron
    from vectron_p2p.node.measuring import Measuring, Requests
    from vectron_p2p.node.services.sampler import Sampler

    Requests.answered = lambda *_: None  # type: ignore[method-assign]
    Sampler.run_once = lambda *_: None  # type: ignore[method-assign]
    Measuring.look_at_disk = lambda *_: None  # type: ignore[method-assign]
    vectron(command[command.index("vectron_p2p") + 1 :])


def per_request_us() -> float:
    """Processor time of counting one request."""
    from vectron_p2p.model.ids import Address
    from vectron_p2p.net.rpc import Caller
    from vectron_p2p.node.measuring import Requests
    from vectron_p2p.protocol.messages import GetStatus, Hello
    from vectron_p2p.runtime.real import TrioClock

    clock = TrioClock()
    clock.now = time.monotonic  # Trio's is read within its loop only
    requests = Requests(clock)
    caller = Caller("client", None, Address("127.0.0.1", 1), Hello([1], "client"))
    message = GetStatus()
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for number in range(REQUESTS):
            requests.answered(message, caller, 0.00013 * (number % 97), None, 100, 200)
        best = min(best, time.process_time() - began)
    return best / REQUESTS * 1e6


def load(cluster: ProcessCluster, points: int) -> None:
    rng = np.random.default_rng(1)
    with connect(cluster.connect) as db:
        docs = db.create_collection("docs", dimension=64, shards=8)
        docs.upload({"ids": range(points), "vectors": rng.random((points, 64), dtype=np.float32)})


def cpu_seconds(cluster: ProcessCluster) -> float:
    times = [psutil.Process(node.pid).cpu_times() for node in cluster.nodes]
    return float(sum(each.user + each.system for each in times))


def percent(clusters: Sequence[ProcessCluster], seconds: float) -> list[float]:
    """Processor time of each cluster's nodes over `seconds`, per node in percent of a core."""
    before, began = [cpu_seconds(each) for each in clusters], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [
        round(100 * (cpu_seconds(each) - earlier) / took / len(each.nodes), 2)
        for each, earlier in zip(clusters, before, strict=True)
    ]


def watch(target: str, stop: threading.Event, seen: list[int]) -> None:
    with connect(target) as db:
        for _ in db.watch():
            seen.append(1)
            if stop.is_set():
                return


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == WITHOUT:
        run_without(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--points", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    add_common_arguments(parser)
    options = parser.parse_args()
    result: dict[str, Any] = {"nodes": options.nodes, "points": options.points, "seconds": options.seconds}
    result["request_us"] = round(per_request_us(), 2)
    say(f"counting a request takes {result['request_us']} us")
    with (
        ProcessCluster(options.nodes, keep=options.keep) as measured,
        ProcessCluster(options.nodes, keep=options.keep) as bare,
    ):
        for node in bare.nodes:
            node.wrap = (sys.executable, __file__, WITHOUT)
        for cluster in (measured, bare):
            cluster.start()
            load(cluster, options.points)
        counted = [bool(connect(each.connect).statistics().operations) for each in (measured, bare)]
        assert counted == [True, False], "the second cluster measures nothing"
        time.sleep(SETTLE_S)
        say("both clusters rest")
        result["with_percent"], result["without_percent"] = percent([measured, bare], options.seconds)
        stop, seen = threading.Event(), list[int]()
        watcher = threading.Thread(target=watch, args=(measured.nodes[0].address, stop, seen), daemon=True)
        watcher.start()
        say("a client watches everything")
        (result["watched_percent"],) = percent([measured], options.seconds / 2)
        result["events"] = len(seen)
        stop.set()
        watcher.join()
    failures: list[str] = []
    if result["with_percent"] - result["without_percent"] > MAX_PERCENT:
        failures.append(f"at rest, measuring costs more than {MAX_PERCENT:g} % of a core")
    if result["request_us"] > MAX_REQUEST_US:
        failures.append(f"counting a request costs more than {MAX_REQUEST_US:g} us")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
