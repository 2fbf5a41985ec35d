"""How soon a node that was away is whole again: writes it missed, and a long silence.

1. A node is killed, --missed points are written, and the nodes that could hint at them are restarted, so that nobody
   knows what it missed. It starts: how long until all replicas have equal Merkle roots?
2. A node hangs for --silence seconds (SIGSTOP: its sockets stay open and nothing answers) while writes go on. It wakes
   up: how long until every node sees every node alive, and all replicas are equal?

Real processes on this machine. Points are those of the data set named, repeated under new ids as often as needed.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from _data import add_common_arguments, add_data_arguments, batches, finish, load_collection, load_data, say

from vectron_p2p import connect, errors
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from _data import Data

NAME = "repair"
AWAY = 2  # the node that is away; node 0 founded the cluster and is everybody's seed
MAX_REPAIR_S = 30.0
MAX_HEAL_S = 35.0
WAIT_S = 600.0


def write(address: str, data: Data, count: int, prefix: str) -> None:
    """`count` points of new ids, at quorum."""
    with connect(address, timeout=60) as db:
        collection = db.collection(NAME)
        for rows in batches(count):
            wanted = [row % len(data.vectors) for row in range(rows.start, rows.stop)]
            collection.upsert(
                ids=[f"{prefix}-{row}" for row in range(rows.start, rows.stop)],
                vectors=data.vectors[wanted],
                payloads=[data.payloads[row] for row in wanted],
            )


def trickle(address: str, data: Data, seconds: float, per_second: float) -> int:
    """Points written one by one during `seconds`; how many."""
    written, end = 0, time.monotonic() + seconds
    with connect(address) as db:
        collection = db.collection(NAME)
        while time.monotonic() < end:
            row = written % len(data.vectors)
            try:
                collection.upsert(ids=[f"trickle-{written}"], vectors=data.vectors[row : row + 1])
                written += 1
            except errors.VectronError as error:
                say(f"not written: {error.message}")
            time.sleep(1 / per_second)
    return written


def roots(address: str) -> dict[tuple[str, int], set[str]]:
    """The Merkle roots of each shard's replicas; an owner that does not answer has the root "?"."""
    with connect(address) as db:
        return {
            (shard.collection, shard.shard): {replica.merkle_root or "?" for replica in shard.replicas}
            for shard in db.cluster().shards
        }


def equal(address: str) -> bool | None:
    """True once all replicas that the node at `address` hears of are equal; for `wait_for`."""
    try:
        found = roots(address)
    except errors.VectronError:
        return None
    return True if found and all(len(each) == 1 and "?" not in each for each in found.values()) else None


def all_alive(cluster: ProcessCluster) -> bool | None:
    """True once every node sees every node alive; for `wait_for`."""
    for node in cluster.nodes:
        try:
            with connect(node.address) as db:
                seen = db.cluster().nodes
        except errors.VectronError:
            return None
        if len(seen) != len(cluster.nodes) or any(each.liveness != "alive" for each in seen):
            return None
    return True


def missed_writes(cluster: ProcessCluster, data: Data, count: int) -> dict[str, float]:
    cluster.kill(AWAY)
    began = time.monotonic()
    write(cluster.others(AWAY), data, count, "missed")
    say(f"{count:,} points written in {time.monotonic() - began:.0f} s while node {AWAY} was down")
    for node in cluster.nodes:
        if node.index != AWAY:  # in order, so that the others go on; hints are in memory only
            cluster.stop(node.index)
            cluster.start_node(node.index)
    wait_for(lambda: equal_but_away(cluster), WAIT_S, "the nodes that stayed to be equal")
    began = time.monotonic()
    ready = cluster.start_node(AWAY)
    wait_for(lambda: equal(cluster[AWAY].address), WAIT_S, "all replicas to be equal")
    return {"ready_s": round(ready, 1), "repaired_s": round(time.monotonic() - began, 1)}


def equal_but_away(cluster: ProcessCluster) -> bool | None:
    try:
        found = roots(cluster[0].address)
    except errors.VectronError:
        return None
    return True if found and all(len(each - {"?"}) == 1 for each in found.values()) else None


def silence(cluster: ProcessCluster, data: Data, seconds: float, rate: float) -> dict[str, float]:
    cluster.freeze(AWAY)
    try:
        written = trickle(cluster.others(AWAY), data, seconds, rate)
    finally:
        cluster.thaw(AWAY)
    began = time.monotonic()
    wait_for(lambda: all_alive(cluster), WAIT_S, "every node to see every node alive")
    alive = time.monotonic() - began
    wait_for(lambda: equal(cluster[AWAY].address), WAIT_S, "all replicas to be equal")
    return {"written": written, "all_alive_s": round(alive, 1), "equal_s": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--missed", type=int, default=10_000, help="points written while a node is down")
    parser.add_argument("--silence", type=float, default=600.0, help="seconds for which a node hangs; 0: leave it out")
    parser.add_argument("--write-rate", type=float, default=10.0, help="points a second meanwhile")
    add_data_arguments(parser)
    add_common_arguments(parser)
    options = parser.parse_args()
    if options.nodes <= AWAY:
        parser.error(f"--nodes is at least {AWAY + 1}")

    data = load_data(options)
    failures: list[str] = []
    result: dict[str, Any] = {"data": data.name, "points": len(data.vectors), "nodes": options.nodes}
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        wait_for(lambda: all_alive(cluster), 60, "every node to see every node alive")
        with connect(cluster.connect) as db:
            load_collection(db.create_collection(NAME, dimension=data.dimension), data)
        wait_for(lambda: equal(cluster[0].address), 60, "all replicas to be equal")
        result["missed_writes"] = options.missed
        result["missed"] = missed_writes(cluster, data, options.missed)
        if result["missed"]["repaired_s"] > MAX_REPAIR_S:
            failures.append(f"{options.missed:,} missed writes took longer than {MAX_REPAIR_S:g} s to repair")
        if options.silence:
            result["silence_s"] = options.silence
            result["silence"] = silence(cluster, data, options.silence, options.write_rate)
            if result["silence"]["all_alive_s"] > MAX_HEAL_S:
                failures.append(f"after the silence the members took longer than {MAX_HEAL_S:g} s")
            if result["silence"]["equal_s"] > MAX_HEAL_S:
                failures.append(f"after the silence the replicas took longer than {MAX_HEAL_S:g} s")
        with connect(cluster.connect) as db:
            report = db.repair()
            result["repair_report"] = {"compared": report.compared, "copied": report.copied, "left": report.left}
            if not report.complete:
                failures.append(f"a repair afterwards is not complete: {[node.skipped for node in report.nodes]}")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
