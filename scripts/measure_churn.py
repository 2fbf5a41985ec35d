"""What is left of an index after rounds in which half of all points are replaced, against a fresh build of the same.

A third of the vectors are loaded into a node. In each round a quarter of the live points is deleted, as many come under
new ids, and another quarter gets new vectors under its old ids; no vector is used twice, so none of this can be told
from new data. Then the points that are live are loaded into a second node, and both are compared: recall@10 against
exact neighbours, live points not found by their own vector, anonymous memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _data import add_common_arguments, add_data_arguments, batches, finish, load_data, say

from vectron_p2p import connect
from vectron_p2p.bench.data import nearest
from vectron_p2p.bench.figures import recall
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from _data import Data

    from vectron_p2p import Client
    from vectron_p2p.client.collection import Collection

K = 10
NAME = "churn"
RECALL_LOSS = 0.01
MEMORY_RATIO = 1.3
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


def settle(db: Client, pid: int, points: int) -> int:
    """Wait until all is linked and memory changes no more; returns the bytes of it."""

    def linked() -> bool | None:
        time.sleep(POLL_S)
        return True if all(node.answered and not node.unindexed for node in db.status().nodes) else None

    before = 0
    for _ in range(STEADY_TRIES):
        wait_for(linked, 60 + points / LINKED_POINTS_PER_S, "all points to be linked", db.status)
        now = anonymous(pid)
        if abs(now - before) <= STEADY_SHARE * before:
            return now
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


def look(db: Client, pid: int, data: Data, row_of: dict[int, int]) -> dict[str, Any]:
    """The figures of one node, settled."""
    collection = db.collection(NAME)
    memory = settle(db, pid, len(row_of))
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
        "memory_mb": round(memory / 1e6, 1),
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
            collection = create(db, data)
            write(collection, data, churn.row_of, list(churn.row_of))
            for number in range(options.rounds + 1):
                if number:
                    deleted, written = churn.round()
                    for part in batches(len(deleted)):
                        collection.delete(ids=deleted[part])
                    write(collection, data, churn.row_of, written)
                looks.append({"after": f"round {number}"} | look(db, cluster.nodes[0].pid, data, churn.row_of))
                say(f"{looks[-1]}")
    with ProcessCluster(1, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect, timeout=60.0) as db:
            write(create(db, data), data, churn.row_of, list(churn.row_of))
            fresh = {"after": "fresh build"} | look(db, cluster.nodes[0].pid, data, churn.row_of)
            say(f"{fresh}")

    last, failures = looks[-1], []
    ratio = last["memory_mb"] / fresh["memory_mb"]
    if last["recall"] < fresh["recall"] - RECALL_LOSS:
        failures.append(f"recall@{K} is {last['recall']}, of a fresh build {fresh['recall']}")
    if ratio > MEMORY_RATIO:
        failures.append(f"memory is {ratio:.2f} times that of a fresh build, more than {MEMORY_RATIO}")
    for each in [*looks, fresh]:
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
