"""Nodes come and go under load: 3 -> 4 -> 5 -> 3. Errors, latency with and without moves, and how much was moved.

Real processes. First the load that the three nodes carry at most is measured (closed loop), then a mixed load of
--share of it runs as an open loop: calls begin when they are due, however slow the others are, and their latency counts
from there. Reads, and searches of one owner per shard, writes at QUORUM. Two nodes join, one after the other, and are
drained again at the same time. "Moving" is the time from a first move that shows until none is wanted any more;
"starting" the time before that, from the start of a node's process on, or of the drains: shown, but not judged.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from _data import add_common_arguments, add_data_arguments, finish, load_collection, load_data, percentile, say

from vectron_p2p import AsyncClient, connect, errors
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from _data import Data

    from vectron_p2p.client import AsyncCollection, Client

NAME = "moves"
REPLICAS = 3
CLOSED = 16  # calls at a time in the closed loop: enough to keep every core of a small machine busy
KINDS = {"get": 0.4, "search": 0.4, "upsert": 0.2}
FACTOR = 2.0  # p99 while moving, at most, in terms of that without
POLL_S = 0.25  # each look asks all nodes
PATIENCE_S = 600.0
LINKED_POINTS_PER_S = 200  # far below what two cores link into three replicas; decides only when to give up waiting


@dataclass(slots=True)
class Call:
    kind: str
    due: float
    seconds: float
    trouble: str = ""


@dataclass
class Load:
    """A load on the cluster from a thread of its own."""

    targets: list[str]
    data: Data
    rate: float
    """Calls a second; 0: CLOSED at a time, as fast as they are answered."""
    seed: int
    calls: list[Call] = field(default_factory=list)
    crash: BaseException | None = None
    late: float = 0.0
    """How far the generator itself was behind, at worst."""

    def __enter__(self) -> Load:
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        if self.crash is not None:
            raise self.crash

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # raised by the block that this load is for
            self.crash = error

    async def _main(self) -> None:
        self._random = random.Random(self.seed)
        async with (
            AsyncClient(self.targets[0]) as one,
            AsyncClient(self.targets[1]) as two,
            AsyncClient(self.targets[2]) as three,
            trio.open_nursery() as nursery,
        ):
            collections = [db.collection(NAME) for db in (one, two, three)]
            if self.rate:
                await self._open(collections, nursery)
            else:
                for number in range(CLOSED):
                    nursery.start_soon(self._closed, collections[number % len(collections)])

    async def _open(self, collections: list[AsyncCollection], nursery: trio.Nursery) -> None:
        due, number = time.monotonic(), 0
        while not self._stop:
            due += self._random.expovariate(self.rate)
            await trio.sleep(max(0.0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            nursery.start_soon(self._call, collections[number % len(collections)], due)
            number += 1

    async def _closed(self, collection: AsyncCollection) -> None:
        while not self._stop:
            await self._call(collection, time.monotonic())

    async def _call(self, collection: AsyncCollection, due: float) -> None:
        (kind,) = self._random.choices(list(KINDS), list(KINDS.values()))
        data, row, trouble = self.data, self._random.randrange(len(self.data.vectors)), ""
        try:
            if kind == "get":
                (point,) = await collection.get([data.ids[row]])
                trouble = "" if point is not None else "a point is missing"
            elif kind == "search":
                result = await collection.search(data.queries[row % len(data.queries)], k=10)
                trouble = f"partial: {result.missing_shards}" if result.partial else ""
                trouble = trouble or ("" if len(result) == 10 else f"{len(result)} hits")
            else:
                await collection.upsert(ids=[data.ids[row]], vectors=[data.vectors[row]], payloads=[data.payloads[row]])
        except errors.VectronError as error:
            trouble = f"{error.code}: {error.message}"
        self.calls.append(Call(kind, due, time.monotonic() - due, trouble))


def placement(db: Client) -> list[set[str]]:
    """Owners of each shard, by id."""
    return [{replica.node for replica in shard.replicas} for shard in db.cluster().shards]


def fewest(before: list[set[str]], nodes: set[str]) -> int:
    """Replicas that have to be copied so that `nodes` own the shards evenly, at least."""
    has = sorted((sum(node in owners for owners in before) for node in nodes), reverse=True)
    share, odd = divmod(REPLICAS * len(before), len(nodes))
    by_node = sum(max(0, share + (rank < odd) - have) for rank, have in enumerate(has))
    return max(by_node, sum(REPLICAS - len(owners & nodes) for owners in before))


def copied(cluster: ProcessCluster) -> int:
    """Shards copied so far, as the nodes have logged."""
    return sum(node.log().count('"shard_copied"') for node in cluster.nodes)


class Phase:
    """One change of the nodes: what it moved, and when."""

    def __init__(self, cluster: ProcessCluster, db: Client, title: str) -> None:
        self.title = title
        self._cluster = cluster
        self._db = db
        self._before = placement(db)
        self._copied = copied(cluster)
        self.opened = time.monotonic()
        self.began = self.ended = 0.0
        self.figures: dict[str, Any] = {}

    def wait(self, nodes: set[str]) -> None:
        """Until `nodes` own everything evenly and nothing moves."""

        def settled() -> bool | None:
            report = self._db.moves()
            if report.moves and not self.began:
                self.began = time.monotonic()
            return True if report.settled and set().union(*placement(self._db)) == nodes else None

        end = time.monotonic() + PATIENCE_S
        while settled() is None:
            if time.monotonic() > end:
                raise SystemExit(f"{self.title}: not settled after {PATIENCE_S:g} s: {self._db.moves()}")
            time.sleep(POLL_S)
        self.ended = time.monotonic()
        after = placement(self._db)
        counts = Counter({node: sum(node in owners for owners in after) for node in nodes})
        self.figures = {
            "copied": copied(self._cluster) - self._copied,
            "fewest": fewest(self._before, nodes),
            "spread": max(counts.values()) - min(counts.values()),
            "moving_s": round(self.ended - self.began, 1),
        }
        say(f"{self.title}: {self.figures}")


def latency(calls: list[Call]) -> dict[str, Any]:
    """p50 and p99 in milliseconds, by kind and of all."""
    found: dict[str, Any] = {"calls": len(calls)}
    for kind in (*KINDS, "all"):
        seconds = [call.seconds for call in calls if kind in (call.kind, "all")]
        found[kind] = [round(percentile(seconds, percent) * 1000, 1) for percent in (50, 99)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.3, help="of the capacity, as load")
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second instead of a share of the capacity")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase without moves")
    parser.add_argument("--seed", type=int, default=1)
    add_data_arguments(parser)
    add_common_arguments(parser)
    options = parser.parse_args()

    data = load_data(options)
    with ProcessCluster(3, keep=options.keep) as cluster:
        cluster.start()
        addresses = [node.address for node in cluster.nodes]
        targets = [",".join([*addresses[number:], *addresses[:number]]) for number in range(3)]
        with connect(cluster.connect) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == 3 else None, 30, "all nodes to be members")
            docs = db.create_collection(NAME, dimension=data.dimension, shards=options.shards, replicas=REPLICAS)
            load_collection(docs, data)
            wait_for(
                lambda: True if all(node.unindexed == 0 for node in db.status().nodes) else None,
                60 + len(data.vectors) / LINKED_POINTS_PER_S,
                "all points to be linked",
            )
            with Load(targets, data, 0.0, options.seed) as closed:
                time.sleep(options.seconds)
            capacity = len(closed.calls) / options.seconds
            rate = options.rate or options.share * capacity
            say(f"capacity {capacity:.0f} calls/s, {latency(closed.calls)}; load {rate:.0f} calls/s")
            time.sleep(2)
            staying = {node.id for node in cluster.nodes}
            phases: list[Phase] = []
            with Load(targets, data, rate, options.seed + 1) as load:
                time.sleep(options.seconds)
                for title in ("3 -> 4", "4 -> 5"):
                    phase = Phase(cluster, db, title)
                    node = cluster.add_node()
                    cluster.start_node(node.index)
                    phase.wait(staying | {each.id for each in cluster.nodes[3:]})
                    phases.append(phase)
                time.sleep(options.seconds / 2)
                phase = Phase(cluster, db, "5 -> 3")
                for node in cluster.nodes[3:]:
                    db.drain(node.id, wait=False)
                phase.wait(staying)
                phases.append(phase)
                codes = [node.process.wait(30) for node in cluster.nodes[3:] if node.process is not None]
                time.sleep(options.seconds / 2)
            lag = max(node.loop_lag_max_ms for node in db.status().nodes)

    def moving(call: Call) -> bool:
        return any(phase.began <= call.due <= phase.ended for phase in phases)

    def starting(call: Call) -> bool:
        return any(phase.opened <= call.due < phase.began for phase in phases)

    quiet = [call for call in load.calls if not moving(call) and not starting(call)]
    during = [call for call in load.calls if moving(call)]
    troubles = Counter(call.trouble for call in load.calls if call.trouble)
    without, within = latency(quiet), latency(during)
    failures = []
    if troubles:
        failures.append(f"{troubles.total()} calls failed: {dict(troubles.most_common(5))}")
    failures += [
        f"{kind}: p99 {within[kind][1]} ms while moving, {without[kind][1]} ms without"
        for kind in (*KINDS, "all")
        if within[kind][1] > FACTOR * without[kind][1]
    ]
    for phase in phases:
        if phase.figures["copied"] != phase.figures["fewest"]:
            failures.append(f"{phase.title}: {phase.figures['copied']} copied, {phase.figures['fewest']} would do")
        if phase.figures["spread"] > 1:
            failures.append(f"{phase.title}: owners differ by {phase.figures['spread']} replicas")
    if any(codes):
        failures.append(f"drained nodes ended with {codes}")
    result = {
        "data": data.name, "points": len(data.vectors), "shards": options.shards,
        "capacity_per_s": round(capacity, 1), "load_per_s": round(rate, 1), "calls": len(load.calls),
        "errors": troubles.total(), "p50_p99_ms_without": without, "p50_p99_ms_moving": within,
        "p50_p99_ms_starting": latency([call for call in load.calls if starting(call)]),
        **{phase.title: phase.figures for phase in phases},
        "generator_late_ms": round(load.late * 1000, 1), "loop_lag_max_ms": lag,
    }  # fmt: skip
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
