"""Ends the rounds that nobody finishes: promises older than a second get an identity round (PROTOCOLS §4.3).

A coordinator may die between its prepares and its accepts. What it leaves keeps hints, repair and write-back of lower
rows out, on every owner that promised. Owns the look at this node's own replicas; each owner does the same, at its own
random moment, and the first one to be done ends it for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    import random

    from vectron_p2p.model.ids import PointId, ShardId
    from vectron_p2p.node.coordinator.rounds import Rounds
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

PERIOD_S = 0.5
AGE_S = 1.0  # much longer than a round takes, and than its pauses between attempts
TIMEOUT_S = 5.0  # of one look's rounds: without a quorum the next look tries again
AT_ONCE = 1024  # promises of one replica per look: what a dead coordinator's batches leave is done with in seconds


class Promises:
    """The open promises of one node's replicas, and since when each has been seen."""

    def __init__(self, clock: Clock, rng: random.Random, replicas: Replicas, rounds: Rounds) -> None:
        self._clock = clock
        self._random = rng
        self._replicas = replicas
        self._rounds = rounds
        self._due: dict[tuple[ShardId, PointId], tuple[bytes, float]] = {}
        self.finished = 0
        """Identity rounds run to their end since the start."""

    async def run(self) -> None:
        while True:
            await self._clock.sleep(PERIOD_S)
            await self.run_once()

    async def run_once(self) -> None:
        """Finish what has been open for long enough."""
        due: dict[tuple[ShardId, PointId], tuple[bytes, float]] = {}
        now = self._clock.now()
        late: list[tuple[ShardId, list[PointId]]] = []
        for replica in self._replicas.all():
            points: list[PointId] = []
            for point, ballot in replica.store.open_promises():
                key = (replica.shard, point)
                known = self._due.get(key)
                if known is None or known[0] != ballot:
                    # At a moment of its own, or all owners would take turns in outbidding each other.
                    known = (ballot, now + AGE_S + self._random.uniform(0.0, AGE_S))
                due[key] = known
                if known[1] <= now and len(points) < AT_ONCE:
                    points.append(point)
            if points:
                late.append((replica.shard, points))
        self._due = due
        for shard, points in late:
            outcomes = await self._rounds.identity(shard, points, timeout=TIMEOUT_S)
            done = sum(outcome.error is None for outcome in outcomes)
            self.finished += done
            log.info("rounds_finished", shard=str(shard), points=len(points), done=done)
