"""How soon a change of the catalog is decided, and seen by every node.

--changes collections are created and deleted in turn, through one node after another. Each change is timed until its
answer, and from then until the last node that runs has its epoch. Then the same with one node down. Real processes on
this machine; nodes are asked every 5 ms, so figures below that mean "at once".
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from _data import add_common_arguments, finish, say, summary_ms

from vectron_p2p import connect
from vectron_p2p.client import operations
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p import Client
    from vectron_p2p.testing.processes import ProcessNode

MAX_VISIBLE_S = 1.0  # p99
POLL_S = 0.005
DOWN = 2  # node 0 founded the cluster and is everybody's seed
WITHIN = 30.0


class Watcher:
    """Asks one node for its epoch."""

    def __init__(self, node: ProcessNode) -> None:
        self.db: Client = connect(node.address, timeout=WITHIN)

    def epoch(self) -> int:
        return self.db.run(operations.cluster(self.db.session, shards=False)).epoch

    def reached(self, epoch: int, when: list[float]) -> None:
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            if self.epoch() >= epoch:
                when.append(time.monotonic())
                return
            time.sleep(POLL_S)


def seen_by_all(watchers: Sequence[Watcher], epoch: int) -> float | None:
    """When the last of `watchers` had `epoch`; None: one never had."""
    when: list[float] = []
    threads = [threading.Thread(target=watcher.reached, args=(epoch, when)) for watcher in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(when) if len(when) == len(watchers) else None


def measure(nodes: Sequence[ProcessNode], changes: int) -> dict[str, Any]:
    watchers = [Watcher(node) for node in nodes]
    writers = [connect(node.address, timeout=WITHIN) for node in nodes]
    decided: list[float] = []
    visible: list[float] = []
    lost = 0
    for number in range(changes):
        db, name = writers[number // 2 % len(writers)], f"c{number // 2}"
        began = time.monotonic()
        if number % 2 == 0:
            db.create_collection(name, dimension=4, shards=1)
        else:
            db.delete_collection(name)
        answered = time.monotonic()
        at = seen_by_all(watchers, db.session.epoch)
        decided.append(answered - began)
        if at is None:
            lost += 1
        else:
            visible.append(max(0.0, at - answered))
    for db in [*writers, *(watcher.db for watcher in watchers)]:
        db.close()
    return {"changes": changes, "decided": summary_ms(decided), "visible": summary_ms(visible), "never": lost}


def all_at_one_epoch(nodes: Sequence[ProcessNode]) -> bool | None:
    return True if len({Watcher(node).epoch() for node in nodes}) == 1 else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--changes", type=int, default=200, help="half of them create a collection, half delete it")
    add_common_arguments(parser)
    options = parser.parse_args()
    if options.nodes <= DOWN:
        parser.error(f"--nodes is at least {DOWN + 1}")
    failures: list[str] = []
    result: dict[str, Any] = {"nodes": options.nodes}
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        wait_for(lambda: all_at_one_epoch(cluster.nodes), WITHIN, "the nodes to agree")
        say("all nodes up")
        result["all_up"] = measure(cluster.nodes, options.changes)
        cluster.kill(DOWN)
        say(f"node {DOWN} killed")
        result["one_down"] = measure([node for node in cluster.nodes if node.index != DOWN], options.changes)
    for name in ("all_up", "one_down"):
        figures = result[name]
        if figures["never"] or figures["visible"]["p99_ms"] > 1000 * MAX_VISIBLE_S:
            failures.append(f"{name}: not all nodes saw each change within {MAX_VISIBLE_S:g} s")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
