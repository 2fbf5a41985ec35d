"""Fills replicas that have forgotten (PROTOCOLS §5): merges what N-W+1 other owners hold, none of them a learner.

Any row that was acknowledged by W owners is held by at least one of those. Invariant: a replica counts as rebuilt only
once all of them were merged whole; what a source that failed on the way had given is kept, and it is merged again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import VectronError
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.services.anti_entropy import AntiEntropy
    from vectron_p2p.runtime import Clock, Executor

log = get_logger(__name__)

LOOK = 1.0  # seconds between looks for replicas to be rebuilt, and between attempts at one


class Rebuilding:
    """Of one node."""

    def __init__(
        self,
        clock: Clock,
        executor: Executor,
        replicas: Replicas,
        repair: AntiEntropy,
        *,
        state: Callable[[], ClusterState],
    ) -> None:
        self._clock = clock
        self._executor = executor
        self._replicas = replicas
        self._repair = repair
        self._state = state
        self.rebuilt = 0

    async def run(self, peers: Peers) -> None:
        while True:
            await self.run_once(peers)
            await self._clock.sleep(LOOK)

    async def run_once(self, peers: Peers) -> None:
        """One attempt at each learner, one after the other."""
        for shard in sorted(self._replicas.learners):
            replica = next((each for each in self._replicas.all() if each.shard == shard), None)
            if replica is not None and shard.collection in self._state().collections:
                await self._rebuild(peers, replica)

    async def _rebuild(self, peers: Peers, replica: Replica) -> None:
        owners = self._state().owners(replica.shard)
        others = [owner for owner in peers.prefer(owners) if owner != peers.me]
        needed = len(owners) - Consistency.QUORUM.required(len(owners)) + 1
        merged = 0
        for peer in others:
            if merged == needed or not peers.alive(peer):
                continue
            try:
                await self._repair.merge_from(peers, peer, replica)
            except (VectronError, StorageError, ValueError) as error:
                log.info("rebuild_waits", shard=str(replica.shard), peer=peer, error=str(error))
            else:
                merged += 1
        if merged < needed or replica.store.learner is None:
            return
        try:
            await self._executor.run("disk", replica.store.learned)
        except StorageError as error:
            log.warning("rebuild_waits", shard=str(replica.shard), error=str(error))
            return
        self.rebuilt += 1
        self._replicas.linker.wake()
        log.info("shard_rebuilt", shard=str(replica.shard), points=replica.store.live, sources=merged)
