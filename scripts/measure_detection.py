"""How fast a killed node is noticed by the others, and avoided by searches; and that no living node is taken for dead.

Each round SIGKILLs a random node and asks every survivor, over a connection of its own, what it thinks of the victim:
the time until the last one says "not alive", and until the last one says "dead". Meanwhile searches run through all
survivors; "avoided" is when the last search began that failed, was partial or took longer than --slow. Then the node is
restarted. After the rounds the cluster idles, and any node reported other than alive is a false alarm.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from _data import add_common_arguments, finish, load_collection, percentile, sample_data, say
from _wire import Wire, wire_to

from vectron_p2p import connect, errors
from vectron_p2p.testing.processes import ProcessCluster, wait_for

DETECTED_S = 8.0
AVOIDED_S = 1.0
LOOK_EVERY = 0.05
NAME = "probe"
POINTS = 1000


@dataclass(frozen=True, slots=True)
class Search:
    """One search: when it began, how long it took, what went wrong."""

    began: float
    seconds: float
    trouble: str


class Searcher(threading.Thread):
    """Searches one node after the other until told to stop."""

    def __init__(self, addresses: list[str], queries: Any) -> None:
        super().__init__(daemon=True)
        self._addresses = addresses
        self._queries = queries
        self._stop_now = threading.Event()
        self.searches: list[Search] = []

    def run(self) -> None:
        clients = [connect(address, timeout=10.0) for address in self._addresses]
        turn = 0
        while not self._stop_now.wait(0.01):
            turn += 1
            collection = clients[turn % len(clients)].collection(NAME)
            began, trouble = time.monotonic(), ""
            try:
                result = collection.search(self._queries[turn % len(self._queries)], k=10, with_payload=False)
                if result.partial:
                    trouble = f"missing shards {result.missing_shards}"
            except errors.VectronError as error:
                trouble = f"{error.code}: {error.message}"
            self.searches.append(Search(began, time.monotonic() - began, trouble))
        for client in clients:
            client.close()

    def stop(self) -> None:
        self._stop_now.set()
        self.join()


def views(wires: list[Wire]) -> list[dict[str, str]]:
    return [wire.liveness() for wire in wires]


def wait_until_all_alive(cluster: ProcessCluster) -> None:
    """Wait until every node sees every node alive."""
    wires = [wire_to(node.address) for node in cluster.nodes]
    everyone = ["alive"] * len(wires)

    def agreed() -> bool | None:
        return True if all(list(view.values()) == everyone for view in views(wires)) else None

    wait_for(agreed, 60, "all to see all alive", lambda: views(wires))
    for wire in wires:
        wire.close()


def one_round(cluster: ProcessCluster, victim: int, queries: Any, options: argparse.Namespace) -> dict[str, float]:
    survivors = [node for node in cluster.nodes if node.index != victim]
    wires = [wire_to(node.address) for node in survivors]
    searcher = Searcher([node.address for node in survivors], queries)
    searcher.start()
    time.sleep(1.0)  # searches before the kill: the first ones open connections
    dead_id = cluster[victim].id
    killed = time.monotonic()
    cluster.kill(victim)
    suspected: dict[int, float] = {}
    dead: dict[int, float] = {}
    while len(dead) < len(wires) and time.monotonic() - killed < options.give_up:
        for number, wire in enumerate(wires):
            if number not in dead:
                view = wire.liveness()[dead_id]
                now = time.monotonic() - killed
                if view != "alive":
                    suspected.setdefault(number, now)
                if view == "dead":
                    dead[number] = now
        time.sleep(LOOK_EVERY)
    searcher.stop()
    for wire in wires:
        wire.close()
    after = [search for search in searcher.searches if search.began + search.seconds >= killed]
    troubled = [search for search in after if search.trouble or search.seconds > options.slow]
    missing = float("inf")
    return {
        "not_alive_s": max(suspected.values()) if len(suspected) == len(wires) else missing,
        "dead_s": max(dead.values()) if len(dead) == len(wires) else missing,
        "avoided_s": max((search.began - killed for search in troubled), default=0.0),
        "searches": len(after),
        "failed_searches": sum(1 for search in after if search.trouble),
        "slowest_search_s": max((search.seconds for search in after), default=0.0),
    }


def watch_idle(cluster: ProcessCluster, minutes: float) -> list[str]:
    """Reports of any node that is not alive, while nothing happens."""
    wires = [wire_to(node.address) for node in cluster.nodes]
    found: list[str] = []
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        for wire, node in zip(wires, cluster.nodes, strict=True):
            found += [f"{node.name} sees {other}: {view}" for other, view in wire.liveness().items() if view != "alive"]
        time.sleep(1.0)
    for wire in wires:
        wire.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--idle-minutes", type=float, default=10.0)
    parser.add_argument("--slow", type=float, default=0.25, help="seconds; a slower search met the dead node")
    parser.add_argument("--give-up", type=float, default=30.0, help="seconds to wait for detection in a round")
    parser.add_argument("--seed", type=int, default=1)
    add_common_arguments(parser)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    data = sample_data(POINTS)
    rounds: list[dict[str, float]] = []
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect) as db:
            load_collection(db.create_collection(NAME, dimension=data.dimension), data)
        for number in range(options.rounds):
            wait_until_all_alive(cluster)
            victim = rng.randrange(options.nodes)
            rounds.append(one_round(cluster, victim, data.queries, options))
            say(f"round {number + 1}: " + ", ".join(f"{key} {value:.2f}" for key, value in rounds[-1].items()))
            cluster.start_node(victim)
        wait_until_all_alive(cluster)
        say(f"watching {options.nodes} idle nodes for {options.idle_minutes:g} minutes")
        false_alarms = watch_idle(cluster, options.idle_minutes)

    result: dict[str, Any] = {"nodes": options.nodes, "rounds": len(rounds)}
    for key in ("not_alive_s", "dead_s", "avoided_s"):
        values = [each[key] for each in rounds]
        result[key] = {f"p{p}": round(percentile(values, p), 2) for p in (50, 99, 100)}
    result["searches_meanwhile"] = sum(each["searches"] for each in rounds)
    result["failed_searches"] = sum(each["failed_searches"] for each in rounds)
    result["idle_minutes"] = options.idle_minutes
    result["false_alarms"] = false_alarms[:20]
    failures = []
    dead, avoided = result["dead_s"]["p99"], result["avoided_s"]["p100"]
    if rounds and not dead <= DETECTED_S:
        failures.append(f"p99 until all report the node dead is {dead} s, more than {DETECTED_S:g} s")
    if rounds and not avoided <= AVOIDED_S:
        failures.append(f"searches met the dead node for up to {avoided} s, more than {AVOIDED_S:g} s")
    if false_alarms:
        failures.append(f"{len(false_alarms)} reports of a living node as not alive")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
