"""Tries every limit of the interface, through the client, around it and by command line, and noise at both ports.

Each bad call must be refused with the right error, naming the field, and must leave the node serving. Noise is random
bytes, cut and mutated frames, lengths that ask for gigabytes, and datagrams of all sizes, in rounds: memory and open
files after the last round are compared with those after the first. No node may crash, log a traceback, or grow.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from typing import Any

import numpy as np
import psutil
from _bad_calls import COLLECTION, DIMENSION, GOOD, POINTS, client_calls, raw_requests
from _data import add_common_arguments, finish, say
from _fuzz import packets, send_packets, send_stream, streams
from _wire import wire_to

from vectron_p2p import Client, connect, errors
from vectron_p2p.testing.processes import ProcessCluster, ProcessNode, wait_for

GROWTH_MB = 32.0  # what an allocator keeps may vary by this much; a leak of one buffer per connection is far more
SETTLE_S = 3.0

# Arguments, what comes on stdin, the exit code, and the code of the error (None: any, for usage errors have none).
COMMANDS: list[tuple[list[str], str, int, str | None]] = [
    (["count", "nobody"], "", 1, "not_found"),
    (["count", COLLECTION, "--filter", '{"a": {"$foo": 1}}'], "", 1, "invalid_argument"),
    (["count", COLLECTION, "--filter", "{not json"], "", 2, None),
    (["search", COLLECTION, "--vector", "[1, 2, 3]"], "", 1, "invalid_argument"),
    (["search", COLLECTION, "--vector", json.dumps([0.0] * DIMENSION)], "", 1, "invalid_argument"),
    (["search", COLLECTION, "--vector", json.dumps(GOOD), "-k", "0"], "", 1, "invalid_argument"),
    (["search", COLLECTION, "--vector", json.dumps(GOOD), "-k", "x"], "", 2, None),
    (["search", COLLECTION, "--like", "nobody"], "", 1, "not_found"),
    (["search", COLLECTION], "", 2, None),
    (["collection", "create", "a b", "--dimension", "4"], "", 1, "invalid_argument"),
    (["collection", "create", "x", "--dimension", "5000"], "", 1, "invalid_argument"),
    (["collection", "create", "x", "--dimension", "4", "--shards", "3"], "", 1, "invalid_argument"),
    (["collection", "create", "x", "--dimension", "4", "--metric", "hamming"], "", 2, None),
    (["collection", "create", COLLECTION, "--dimension", "4"], "", 1, "already_exists"),
    (["collection", "create", "x"], "", 2, None),
    (["collection", "show", "nobody"], "", 1, "not_found"),
    (["collection", "delete", "nobody"], "", 1, "not_found"),
    (["get", COLLECTION, "x" * 513], "", 1, "invalid_argument"),
    (["delete", COLLECTION, "x" * 513], "", 1, "invalid_argument"),
    (["upsert", COLLECTION], '{"id": 1, "vector": [1]}\n', 1, "invalid_argument"),
    (["upsert", COLLECTION], '{"id": -1, "vector": [1,0,0,0,0,0,0,0]}\n', 1, "invalid_argument"),
    (["upsert", COLLECTION], '{"id": 1, "vector": [NaN,0,0,0,0,0,0,0]}\n', 1, "invalid_argument"),
    (["upsert", COLLECTION], "no json\n", 2, "invalid_argument"),
    (["import", COLLECTION, "--vectors", "no-such-file.npy"], "", 2, None),
    (["nonsense"], "", 2, None),
]


def try_client(db: Client) -> list[str]:
    """Calls that were not refused as they must be."""
    wrong = []
    for bad in client_calls():
        try:
            bad.call(db)
            wrong.append(f"client, {bad.name}: accepted")
        except errors.VectronError as error:
            if error.code != bad.code or (bad.field and not error.field):
                wrong.append(f"client, {bad.name}: {error.code} (field {error.field}): {error.message}")
        except Exception as error:  # whatever else it is, it is a finding
            wrong.append(f"client, {bad.name}: {error!r}")
    return wrong


def try_raw(node: ProcessNode) -> list[str]:
    wrong = []
    with wire_to(node.address) as wire:
        for name, request in raw_requests():
            try:
                wire.ask(request)
                wrong.append(f"raw, {name}: accepted")
            except errors.InvalidArgument as error:
                if not error.field:
                    wrong.append(f"raw, {name}: names no field: {error.message}")
            except (errors.VectronError, OSError) as error:
                wrong.append(f"raw, {name}: {error!r}")
                if isinstance(error, OSError):
                    return wrong  # the connection is gone: later answers would say nothing
    return wrong


def try_commands(connect_to: str) -> list[str]:
    wrong = []
    for arguments, stdin, code, error_code in COMMANDS:
        command = [sys.executable, "-m", "vectron_p2p", *arguments]
        if arguments != ["nonsense"]:
            command += ["--connect", connect_to, "--json"]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        shown = " ".join(arguments)[:60]
        if done.returncode != code or "Traceback" in done.stderr:
            wrong.append(f"vectron {shown}: exit {done.returncode}, not {code}: {done.stderr[-300:]}")
        elif error_code is not None:
            try:
                found = json.loads(done.stderr)["code"]
            except (ValueError, KeyError, TypeError):
                found = f"no JSON error: {done.stderr[-200:]}"
            if found != error_code:
                wrong.append(f"vectron {shown}: {found}, not {error_code}")
    return wrong


def allowed_edges(db: Client) -> list[str]:
    """What lies just inside the limits must work."""
    collection = db.collection(COLLECTION)
    wrong = []
    vectors = np.random.default_rng(2).standard_normal((4, DIMENSION)).astype(np.float32)
    ids: list[int | str] = [0, 2**64 - 1, "x" * 512, "0"]
    collection.upsert(ids=ids, vectors=vectors, payloads=[{"a": -(2**63)}, {"a": 2**64 - 1}, {"a": "x" * 65_000}, {}])
    points = collection.get(ids, with_vector=True)
    for point, vector in zip(points, vectors, strict=True):
        if point is None or point.vector is None or not np.array_equal(point.vector, vector):
            wrong.append("a point at the limits of its id came back changed")
    if len(collection.search(GOOD, k=10_000)) != collection.count():
        wrong.append("k beyond the number of points did not return all")
    collection.upsert([(1, GOOD, {"v": 1}), (1, GOOD, {"v": 2})])
    point = collection.get([1])[0]
    if point is None or point.payload != {"v": 2}:
        wrong.append(f"of two rows with one id the last did not win: {point}")
    collection.delete(ids=ids)
    if collection.get(ids) != [None] * len(ids):
        wrong.append("deleted points are still there")
    return wrong


def noise(cluster: ProcessCluster, rng: random.Random, count: int) -> list[str]:
    """One round at every node; what brought a node down."""
    wrong = []
    for node in cluster.nodes:
        address = ("127.0.0.1", node.port)
        sent = b""
        try:
            for number, data in enumerate(streams(rng, count)):
                send_stream(address, data, wait=number % 3 != 0)
                sent = b"".join(data)
            send_packets(address, packets(rng, count))
        except OSError as error:
            wrong.append(f"{node.name} takes no connections ({error}) after {sent[:200]!r}")
        if not node.running:
            wrong.append(f"{node.name} ended: {node.log()[-1500:]}")
    return wrong


def figures(cluster: ProcessCluster) -> list[tuple[float, int]]:
    """Memory in MB and open files of each node, after things have calmed down."""
    time.sleep(SETTLE_S)
    return [(node.memory() / 1e6, psutil.Process(node.pid).num_fds()) for node in cluster.nodes]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--per-round", type=int, default=300, help="connections and datagrams per node and round")
    parser.add_argument("--seed", type=int, default=1)
    add_common_arguments(parser)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    with ProcessCluster(options.nodes, keep=options.keep) as cluster:
        cluster.start()
        with connect(cluster.connect) as db:
            wait_for(lambda: True if len(db.cluster().nodes) == options.nodes else None, 30, "all nodes to be members")
            collection = db.create_collection(COLLECTION, dimension=DIMENSION)
            vectors = np.random.default_rng(1).standard_normal((POINTS, DIMENSION)).astype(np.float32)
            collection.upsert(ids=range(1, POINTS + 1), vectors=vectors)
            wrong = try_client(db)
            say(f"client: {len(client_calls())} bad calls, {len(wrong)} not refused as they must be")
            wrong += allowed_edges(db)
            for node in cluster.nodes:
                wrong += try_raw(node)
            say(f"raw requests: {len(raw_requests())} at each node")
            wrong += try_commands(cluster.connect)
            say(f"command line: {len(COMMANDS)} bad commands")
            seen = []
            for number in range(options.rounds):
                wrong += noise(cluster, rng, options.per_round)
                if not all(node.running for node in cluster.nodes):
                    break
                seen.append(figures(cluster))
                say(f"noise {number + 1}: " + ", ".join(f"{mb:.0f} MB {fds} files" for mb, fds in seen[-1]))
            alive = [node.running for node in cluster.nodes]
            if all(alive) and collection.count() != POINTS:
                wrong.append(f"{collection.count()} points are counted, not {POINTS}")
            if all(alive) and collection.search(vectors[6], k=1)[0].id != 7:
                wrong.append("a search after the noise finds the wrong point")
        logs = [node.log() for node in cluster.nodes]
        starts = [node.starts for node in cluster.nodes]

    growth = [round(last[0] - first[0], 1) for first, last in zip(seen[0], seen[-1], strict=True)] if seen else []
    files = [last[1] - first[1] for first, last in zip(seen[0], seen[-1], strict=True)] if seen else []
    failures = list(wrong)
    if not all(alive) or max(starts) > 1:
        failures.append(f"a node ended: running {alive}")
    failures += [
        f"a traceback in a node's log: {log[log.index('Traceback') :][:500]}" for log in logs if "Traceback" in log
    ]
    if growth and max(growth) > GROWTH_MB:
        failures.append(f"memory grew by {growth} MB over the rounds, more than {GROWTH_MB:g}")
    if files and max(files) > 10:
        failures.append(f"open files grew by {files}")
    result: dict[str, Any] = {
        "nodes": options.nodes, "client_calls": len(client_calls()), "raw_requests": len(raw_requests()),
        "commands": len(COMMANDS), "connections": options.rounds * options.per_round * options.nodes,
        "memory_growth_mb": growth, "open_files_growth": files, "wrong": len(wrong),
    }  # fmt: skip
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
