"""`python -m simulations.large`: the catalog and placement of 1,000 nodes with 100,000 shards, and of a usual cluster.

Exit code 1 when shards lie unevenly or a state does not fit a message. Entries that hold an event loop for longer than
5 ms are named.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulations.large.measure import entries, plans, sizes
from simulations.large.model import build, unevenness
from vectron_p2p.catalog.state import KEPT_OPERATIONS
from vectron_p2p.protocol.frames import MAX_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

EVENNESS = 1.05
FEWEST = 1.05  # times what would do
LOOP_MS = 5.0
ROOM = 2.0  # times the state: it travels in one message, inside of others, and clusters grow
USUAL = {"nodes": 10, "collections": 20, "shards": 16, "zones": 1, "operations": 100}
"""Sixteen shards are what the catalog chooses for ten nodes. One zone: the nodes of a smaller zone own more."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulations.large", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--collections", type=int, default=391, help="default: 391 of 256 shards are 100,096")
    parser.add_argument("--shards", type=int, default=256, help="of each collection")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--zones", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in ("nodes", "collections", "shards", "zones")}
    documents = [
        measure(**shape, replicas=options.replicas, seed=options.seed, say=_say)
        for shape in (USUAL, {**given, "operations": KEPT_OPERATIONS})
    ]
    for document in documents:
        sys.stdout.write(table(document))
    failures = [failure for document in documents for failure in document["failures"]]
    if options.json is not None:
        options.json.write_text(json.dumps({"clusters": documents, "failures": failures}, indent=1) + "\n")
    for failure in failures:
        _say(f"FAILED: {failure}")
    return 1 if failures else 0


def measure(
    *,
    nodes: int,
    collections: int,
    shards: int,
    replicas: int,
    zones: int,
    operations: int,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All figures of one cluster, and what is wrong with them."""
    shape = f"{nodes} nodes, {collections * shards} shards"
    say(f"{shape}: placing {collections} collections")
    began = time.thread_time()
    state = build(nodes, collections, shards=shards, replicas=replicas, zones=zones, operations=operations, seed=seed)
    placed_ms = 1000 * (time.thread_time() - began) / collections
    say(f"{shape}: entries")
    document: dict[str, Any] = {
        "nodes": nodes,
        "shards": collections * shards,
        "replicas": replicas,
        "zones": zones,
        "place_ms": placed_ms,
        "unevenness": unevenness(state.load().get(node, 0) for node in state.members),
        "state": sizes(state),
        "entries": [asdict(entry) for entry in entries(state, seed)],
        "plans": [asdict(plan) for plan in plans(state, seed)],
    }
    document["long"] = sorted({entry["name"] for entry in document["entries"] if entry["ms"] > LOOP_MS})
    document["failures"] = _failures(shape, document)
    return document


def _failures(shape: str, document: dict[str, Any]) -> list[str]:
    out = []
    if document["unevenness"] > EVENNESS:
        out.append(f"{shape}: a node owns {document['unevenness']:.3f} times the mean")
    if document["state"]["bytes"] * ROOM > MAX_MESSAGE:
        out.append(f"{shape}: a state of {document['state']['bytes']:.0f} bytes, a message has at most {MAX_MESSAGE}")
    for plan in document["plans"]:
        if plan["moved"] > math.ceil(FEWEST * plan["ideal"]):
            out.append(f"{shape}: after {plan['after']}, {plan['moved']} replicas go, {plan['ideal']:.1f} would do")
        if plan["unevenness"] > EVENNESS:
            out.append(f"{shape}: after {plan['after']}, a node owns {plan['unevenness']:.3f} times the mean")
    return out


def table(document: dict[str, Any]) -> str:
    """For people."""
    state = document["state"]
    shape = f"{document['nodes']} nodes in {document['zones']} zones, {document['shards']} shards"
    lines = [
        f"{shape} of {document['replicas']} replicas",
        f"  most replicas of a node / mean    {document['unevenness']:9.3f}",
        f"  place, per collection             {document['place_ms']:9.1f} ms",
        f"  state                             {state['bytes'] / 1024:9.1f} KiB",
    ]
    lines += [
        f"  {name:<34}{state[key]:9.2f} ms"
        for name, key in (
            ("its bytes", "bytes_ms"),
            ("its hash", "hash_ms"),
            ("reading a snapshot", "read_snapshot_ms"),
            ("replicas of each node", "load_ms"),
            ("shards that lack replicas", "under_replicated_ms"),
            ("current members", "current_ms"),
            ("shards of one node", "owned_ms"),
        )
    ]
    lines += [
        f"  entry {entry['name']:<19}{entry['bytes']:6d} B {entry['ms']:9.2f} ms" for entry in document["entries"]
    ]
    for plan in document["plans"]:
        moved = f"{plan['moved']} replicas go ({plan['ideal']:.1f} at least)"
        even = f"then most / mean {plan['unevenness']:.3f}"
        lines.append(f"  plan after {plan['after']:<18}{plan['ms']:13.1f} ms on a thread, {moved}, {even}")
    long = ", ".join(document["long"]) or "none"
    return "\n".join([*lines, f"  longer than {LOOP_MS:g} ms: {long}", "", ""])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
