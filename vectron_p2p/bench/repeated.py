"""Filters that are asked before they are measured, as those in daily use were: nodes keep things for such ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.load import BenchFailed
from vectron_p2p.testing.processes import wait_for

if TYPE_CHECKING:
    from vectron_p2p.bench.jobs import Ask
    from vectron_p2p.bench.measure import Truth
    from vectron_p2p.bench.rows import Run
    from vectron_p2p.bench.stage import Stage

BATCHES = 3  # of queries before: a second or two. What keeps 0.7 of 100,000 points earns a graph of its own with 2,800
BEGINS = 3.0  # seconds within which a node that has nothing else to do looks whether there is one to be linked
LOOK = 0.2  # seconds between looks
LEAST_RATE = 500  # points/s: a tenth of what two cores link; decides only when to give up waiting


def repeated(run: Run, stage: Stage, ask: Ask, truth: Truth) -> int:
    """Asks a filter so often, and waits for what that brings about; how many points its own graph has (0: none)."""
    for _ in range(BATCHES):
        run.measure.batch(stage.place, ask, truth)
    asked = time.perf_counter()

    def linked() -> tuple[int] | None:
        time.sleep(LOOK)
        plan = _plan(run, stage, ask)
        points: int | None = plan.get("subgraph")
        if points is None and (plan["plan"] != "graph" or time.perf_counter() - asked > BEGINS):
            return (0,)  # scanned, or it has not earned one
        return (points,) if points else None

    (points,) = wait_for(linked, 60 + len(run.data.ids) / LEAST_RATE, "the graph of a filter", stage.db.status)
    return points


def _plan(run: Run, stage: Stage, ask: Ask) -> dict[str, Any]:
    result = stage.collection.search(
        run.data.queries[0], k=ask.k, ef=ask.ef, filter=ask.filter, with_payload=False, explain=True
    )
    if not result.plan:
        raise BenchFailed("an explained search came without a plan")
    return result.plan[0]  # of the one shard
