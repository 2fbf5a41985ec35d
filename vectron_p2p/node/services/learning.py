"""Makes learners of this node whole again (PROTOCOLS §5).

Owns the search for owners to learn from, and the end of learning. A learner may begin at any time (a start after an
unclean restart, a failed disk, floors that others passed without it); what it has merged is kept in memory only, for
beginning anew costs no more than comparing sums. Invariant: learning ends only by `replication.learners`, and only
after every source's floors were taken over in the same batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vectron_p2p.node.services.anti_entropy import FAILURES
from vectron_p2p.node.services.exchange import Tally
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.replication.floors import Floors
from vectron_p2p.replication.hlc import MAX_SKEW_MS, stamp_of
from vectron_p2p.replication.learners import FILLING, Ending, Lesson

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, ShardId
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.services.exchange import Exchange
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

REPORTS = 20  # salvages shown in the warnings: one line each, the log has them all


class _Lesson(Lesson):
    """With the floors of what was merged."""

    floors = Floors()


class Learning:
    """The learners of one node."""

    def __init__(
        self,
        clock: Clock,
        replicas: Replicas,
        limits: Limits,
        exchange: Exchange,
        *,
        state: Callable[[], ClusterState],
        wall_ms: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._replicas = replicas
        self._limits = limits
        self._exchange = exchange
        self._state = state
        self._wall_ms = wall_ms
        self._lessons: dict[ShardId, tuple[Replica, _Lesson]] = {}
        self.tally = Tally()
        self.reports: list[str] = []
        """Shards that were put together from copies of which too few were full."""

    async def run(self, peers: Peers) -> None:
        while True:
            await self.run_once(peers)
            await self._clock.sleep(self._limits.learn_interval)

    async def run_once(self, peers: Peers) -> None:
        """One attempt for every learner of this node."""
        state = self._state()
        for replica in self._replicas.all():
            if replica.learner is not None and replica.shard.collection in state.collections:
                owners = _teachers(state, peers.me, replica.shard)
                if not owners:
                    continue
                try:
                    await self._learn(peers, replica, owners)
                except FAILURES as error:
                    log.warning("learning_interrupted", shard=str(replica.shard), error=str(error))
            elif replica.learner is None:
                self._lessons.pop(replica.shard, None)

    def _lesson(self, me: NodeId, replica: Replica, owners: tuple[NodeId, ...]) -> _Lesson:
        known = self._lessons.get(replica.shard)
        if known is None or known[0] is not replica or known[1].owners != owners:
            # Of its only owner nobody else has a round under way.
            settled_at = self._clock.now() + 2 * self._limits.phase_timeout if len(owners) > 1 else -math.inf
            known = self._lessons[replica.shard] = (replica, _Lesson(me, owners, settled_at=settled_at))
        return known[1]

    async def _learn(self, peers: Peers, replica: Replica, owners: tuple[NodeId, ...]) -> None:
        lesson = self._lesson(peers.me, replica, owners)
        full, learners = await self._present(peers, replica, owners)
        for source in lesson.to_merge(full, learners, self._clock.now()):
            began = self._clock.now()
            floors = await self._exchange.learn(peers, source.node, replica, self.tally, full=source.full)
            lesson.floors = lesson.floors.merged(floors)
            lesson.merged(source, began)
        ending = lesson.ending(full, learners)
        if ending is not Ending.NOT_YET:
            await self._end(replica, lesson, ending)

    async def _present(
        self, peers: Peers, replica: Replica, owners: tuple[NodeId, ...]
    ) -> tuple[list[NodeId], list[NodeId]]:
        """The other owners that answer now: full ones, learners."""
        full: list[NodeId] = []
        learners: list[NodeId] = []
        for owner in owners:
            if owner == peers.me or not peers.alive(owner):
                continue
            try:
                reply = await self._exchange.roots(peers, owner, [replica])
            except FAILURES:
                continue  # it is not there now, and is asked again at the next attempt
            if reply.roots[0] is not None:
                full.append(owner)
            elif reply.learners[0]:
                learners.append(owner)
        return full, learners

    async def _end(self, replica: Replica, lesson: _Lesson, ending: Ending) -> None:
        reason = replica.learner.reason if replica.learner else ""
        # By now the peers have put this node's clock right, if it was wrong when learning began.
        refuse_below = stamp_of(self._wall_ms() + MAX_SKEW_MS)

        def end() -> None:
            replica.store.clear_learner(lesson.floors, refuse_below=refuse_below)
            replica.store.forget_collected()

        await replica.commit.exclusive(end)
        replica.replacement = False
        del self._lessons[replica.shard]
        log.info("replica_learned", shard=str(replica.shard), reason=reason, how=ending.value)
        if ending is Ending.SALVAGED:
            text = (
                f"shard {replica.shard}: {reason}, and too few owners had forgotten nothing; the rows of all "
                f"{len(lesson.owners)} copies were merged, others that were acknowledged may be lost"
            )
            log.error("replica_salvaged", shard=str(replica.shard), reason=reason)
            self.reports = [*self.reports, text][-REPORTS:]

    def warnings(self) -> list[str]:
        """For the status: who is learning, and what could only be salvaged."""
        learning = [
            f"shard {replica.shard} on this node learns from its other owners before it answers again: "
            f"{replica.learner.reason}"
            for replica in self._replicas.all()
            if replica.learner is not None and replica.learner.reason != FILLING
        ]
        return learning + self.reports


def _teachers(state: ClusterState, me: NodeId, shard: ShardId) -> tuple[NodeId, ...]:
    """The owners of whom a learner has to merge N-W+1; nobody where a move fills the replica, or takes it away.

    The owner that a move has just filled holds what the owners before it held, and no more: while the one that leaves
    is there it learns from those, for it may be the only other one.
    """
    owners, move = state.route(shard).read, state.moves.get(shard)
    if me not in owners:
        return ()
    return state.owners(shard) if move is not None and move.coming == me else owners
