"""What is left of an index after rounds in which half of all points are replaced, against a fresh build of the same.

A third of the vectors are loaded into a node. In each round a quarter of the live points is deleted, as many come under
new ids, and another quarter gets new vectors under its old ids; no vector is used twice, so none of this can be told
from new data. Then the points that are live are loaded into a second node, and both are compared: recall@10 against
exact neighbours, live points not found by their own vector, anonymous memory. One client searches all the time, also
while the index is built anew: how long its searches take, and the event loop's lag, are told too.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _data import add_common_arguments, add_data_arguments, batches, finish, load_data, say

from vectron_p2p import connect, errors
from vectron_p2p.bench.data import nearest
from vectron_p2p.bench.figures import percentile, recall
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from _data import Data

    from vectron_p2p import Client
    from vectron_p2p.client.collection import Collection
    from vectron_p2p.model.nodes import NodeStatus

K = 10
NAME = "churn"
RECALL_LOSS = 0.01
MEMORY_RATIO = 1.3
LAG_P99_MS, LAG_MAX_MS = 20.0, 250.0
WIDE = 500  # the beam with which a point that is reachable at all is found
LINKED_POINTS_PER_S = 100  # far below what one core links; decides only when to give up waiting
POLL_S = 0.5  # between looks: each asks all nodes
STEADY_S = 15.0  # a rebuild waits for some seconds of calm; memory that changes by less for that long has settled
STEADY_SHARE = 0.02
STEADY_TRIES = 20


class Churn:
    """Which row of the data is under which id, as the rounds go on."""

    def __init__(self, points: int, seed: int) -> None:
        self.row_of: dict[int, int] = dict(zip(range(points), range(points), strict=True))
        self._next = points
        self._random = np.random.default_rng(seed)

    def round(self) -> tuple[list[int], list[int]]:
        """The ids deleted, and the ids written: those that are new and those that get another vector."""
        quarter = len(self.row_of) // 4
        chosen = self._random.choice(np.array(sorted(self.row_of)), size=2 * quarter, replace=False).tolist()
        deleted, updated = chosen[:quarter], chosen[quarter:]
        for point in deleted:
            del self.row_of[point]
        fresh = range(self._next, self._next + quarter)  # an id is the number of the row that it came with
        written = [*fresh, *updated]
        self._next += 2 * quarter
        rows = range(self._next - 2 * quarter, self._next)
        self.row_of.update(zip(written, rows, strict=True))
        order = self._random.permutation(len(written))
        return deleted, [written[at] for at in order]


def rounds_fit(rows: int, rounds: int) -> int:
    """How many points to begin with, so that each row is used at most once."""
    return rows // (1 + (rounds + 1) // 2)


def anonymous(pid: int) -> int:
    """Bytes of a process that are no pages of files."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not tell a process's anonymous memory")


def write(collection: Collection, data: Data, row_of: dict[int, int], ids: list[int]) -> None:
    for part in batches(len(ids)):
        rows = [row_of[point] for point in ids[part]]
        payloads = [data.payloads[row] for row in rows]
        collection.upsert(ids=ids[part], vectors=data.vectors[rows], payloads=payloads)


class Feeling:
    """What a client and the event loop feel meanwhile."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._lag_p99_ms = self._lag_max_ms = 0.0

    def saw(self, nodes: Sequence[NodeStatus]) -> None:
        self._lag_p99_ms = max(self._lag_p99_ms, *(node.loop_lag_ms for node in nodes))  # of the minute before
        self._lag_max_ms = max(self._lag_max_ms, *(node.loop_lag_max_ms for node in nodes))  # since the start

    def told(self) -> dict[str, float]:
        """Since it was asked last; the lag's maximum since the start."""
        took, self._took = self._took, []
        p99, self._lag_p99_ms = self._lag_p99_ms, 0.0
        figures = {"search_p99_ms": percentile(took, 99) * 1000, "search_max_ms": max(took) * 1000}
        figures |= {"lag_p99_ms": p99, "lag_max_ms": self._lag_max_ms}
        return {name: round(value, 1) for name, value in figures.items()}

    @contextmanager
    def searching(self, connect_to: str, queries: npt.NDArray[np.float32]) -> Iterator[None]:
        """One search after another, from another connection."""
        over, failed = threading.Event(), []

        def search() -> None:
            with connect(connect_to, timeout=60.0) as db:
                collection, turn = db.collection(NAME), 0
                try:
                    while not over.is_set():
                        query = queries[turn % len(queries)] * np.float32(1 + turn * 1e-6)  # not from the cache
                        before = time.perf_counter()
                        collection.search(query, k=K, with_payload=False)
                        self._took.append(time.perf_counter() - before)
                        turn += 1
                except errors.VectronError as error:
                    failed.append(error)

        thread = threading.Thread(target=search)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failed:
            raise SystemExit(f"a search failed: {failed[0]}")


def settle(db: Client, pid: int, points: int, feeling: Feeling) -> dict[str, float]:
    """Wait until all is linked and memory changes no more; how much it is, and what was felt meanwhile."""

    def linked() -> bool | None:
        time.sleep(POLL_S)
        nodes = db.status().nodes
        feeling.saw(nodes)
        return True if all(node.answered and not node.unindexed for node in nodes) else None

    before = 0
    for _ in range(STEADY_TRIES):
        wait_for(linked, 60 + points / LINKED_POINTS_PER_S, "all points to be linked", db.status)
        now = anonymous(pid)
        if abs(now - before) <= STEADY_SHARE * before:
            return {"memory_mb": round(now / 1e6, 1)} | feeling.told()
        before = now
        time.sleep(STEADY_S)
    raise SystemExit(f"memory did not settle within {STEADY_TRIES * STEADY_S:.0f} s")


def answers(collection: Collection, queries: npt.NDArray[np.float32], ef: int | None) -> Iterator[list[Any]]:
    for part in batches(len(queries)):
        for result in collection.search_batch(queries[part], k=K, ef=ef, with_payload=False):
            yield [hit.id for hit in result]


def unreached(
    collection: Collection, vectors: npt.NDArray[np.float32], ids: list[int], asked: list[int], ef: int | None
) -> list[int]:
    """Which of the live points at the places `asked` are not found by their own vector. Of more equal vectors than `K`
    any will do.
    """
    missing = []
    for place, found in zip(asked, answers(collection, vectors[asked], ef), strict=True):
        if ids[place] not in found:
            twins = {ids[twin] for twin in np.flatnonzero((vectors == vectors[place]).all(axis=1)).tolist()}
            if len(twins) <= K or not twins.issuperset(found):
                missing.append(place)
    return missing


def look(collection: Collection, data: Data, row_of: dict[int, int]) -> dict[str, Any]:
    """The figures of one node, settled."""
    ids, rows = list(row_of), list(row_of.values())
    vectors = data.vectors[rows]
    wanted = [[ids[place] for place in row] for row in nearest(vectors, data.queries, K).tolist()]
    missed = unreached(collection, vectors, ids, list(range(len(ids))), None)
    lost = unreached(collection, vectors, ids, missed, WIDE)
    return {
        "points": collection.count(),
        "recall": round(recall(list(answers(collection, data.queries, None)), wanted), 4),
        "missed_at_default_ef": len(missed),
        "unreachable": len(lost),
    }


def create(db: Client, data: Data) -> Collection:
    return db.create_collection(NAME, dimension=data.dimension, shards=1, replicas=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    add_data_arguments(parser)
    add_common_arguments(parser)
    options = parser.parse_args()

    data = load_data(options)
    churn = Churn(rounds_fit(len(data.vectors), options.rounds), options.seed)
    say(f"{len(churn.row_of):,} points, {options.rounds} rounds that replace half of them")
    looks: list[dict[str, Any]] = []
    with ProcessCluster(1, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect, timeout=60.0) as db:
            collection, feeling = create(db, data), Feeling()
            for number in range(options.rounds + 1):
                with feeling.searching(cluster.connect, data.queries):
                    deleted, written = churn.round() if number else ([], list(churn.row_of))
                    for part in batches(len(deleted)):
                        collection.delete(ids=deleted[part])
                    write(collection, data, churn.row_of, written)
                    settled = settle(db, cluster.nodes[0].pid, len(churn.row_of), feeling)
                seen = look(collection, data, churn.row_of)
                looks.append({"after": f"round {number}"} | seen | settled)
                say(f"{looks[-1]}")
    with ProcessCluster(1, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect, timeout=60.0) as db:
            collection, feeling = create(db, data), Feeling()
            with feeling.searching(cluster.connect, data.queries):
                write(collection, data, churn.row_of, list(churn.row_of))
                settled = settle(db, cluster.nodes[0].pid, len(churn.row_of), feeling)
            fresh = {"after": "fresh build"} | look(collection, data, churn.row_of) | settled
            say(f"{fresh}")

    last, failures = looks[-1], []
    ratio = last["memory_mb"] / fresh["memory_mb"]
    if last["recall"] < fresh["recall"] - RECALL_LOSS:
        failures.append(f"recall@{K} is {last['recall']}, of a fresh build {fresh['recall']}")
    if ratio > MEMORY_RATIO:
        failures.append(f"memory is {ratio:.2f} times that of a fresh build, more than {MEMORY_RATIO}")
    for each in [*looks, fresh]:
        if each["lag_p99_ms"] > LAG_P99_MS or each["lag_max_ms"] > LAG_MAX_MS:
            failures.append(f"the loop lags by {each['lag_p99_ms']} ms, at most {each['lag_max_ms']} ({each['after']})")
        if each["unreachable"]:
            failures.append(f"{each['unreachable']} live points are not found by their own vector ({each['after']})")
        if each["points"] != len(churn.row_of):
            failures.append(f"{each['points']} points are counted, {len(churn.row_of)} are live ({each['after']})")
    if not options.json:
        table([*looks, fresh])
    result = {
        "data": data.name, "queries": len(data.queries), "rounds": options.rounds, "seed": options.seed,
        "memory_ratio": round(ratio, 3),
    }  # fmt: skip
    if options.json:
        result["looks"] = [*looks, fresh]
    return finish(options, result, failures)


def table(lines: list[dict[str, Any]]) -> None:
    titles = list(lines[0])
    widths = [max(len(title), *(len(str(line[title])) for line in lines)) for title in titles]
    for line in [dict(zip(titles, titles, strict=True)), *lines]:
        print("  ".join(str(line[title]).rjust(width) for title, width in zip(titles, widths, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
