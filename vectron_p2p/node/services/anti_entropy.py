"""Anti-entropy: when a node compares its replicas with those of the other owners.

Owns the schedule. Every owner compares each of its replicas with every live co-owner, both ways, so any two live
replicas become equal whoever missed what, without hints and without a leader. With one peer there is one comparison
at a time, with several peers they go side by side; all share one budget of bytes. While nothing differs a round costs
16 bytes a shard, and comes less often; after a difference, and when a peer comes back, it comes sooner.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.node.services.exchange import Tally, to_message
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, ShardId
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.services.exchange import Exchange
    from vectron_p2p.runtime import Clock

__all__ = ["AntiEntropy", "Tally", "to_message"]

log = get_logger(__name__)

SOONER, LATER, LONGEST = 0.5, 1.5, 2.0  # of the usual interval: after a difference, per round without, at most
FAILURES = (VectronError, StorageError, ValueError)
"""The peer went away, a row cannot be read, or an answer makes no sense: the next round tries again."""


@dataclass(slots=True)
class _Pair:
    """This node and one peer."""

    due: float
    interval: float
    since: float
    """When there was first something to compare."""
    turn: trio.Lock = field(default_factory=trio.Lock)
    """One comparison at a time, whoever asked for it."""


class AntiEntropy:
    """The rounds of one node."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        replicas: Replicas,
        limits: Limits,
        exchange: Exchange,
        *,
        state: Callable[[], ClusterState],
    ) -> None:
        self._clock = clock
        self._random = rng
        self._replicas = replicas
        self._interval = limits.repair_interval
        self._exchange = exchange
        self._state = state
        self._pairs: dict[NodeId, _Pair] = {}
        self._wake = trio.Event()
        self.tally = Tally()
        self._compared: dict[NodeId, float] = {}
        """When all replicas shared with that peer were last found equal or made so, by the wall clock."""

    def compared_at(self, peers: Peers, shard: ShardId) -> float:
        """When this node's replica of `shard` was last found equal, or made so, to every other live owner, in Unix
        seconds; 0.0: not yet, or there is none.
        """
        owners = [each for each in self._state().route(shard).read if each != peers.me and peers.alive(each)]
        if not owners or any(each not in self._compared for each in owners):
            return 0.0
        return min(self._compared[each] for each in owners)

    @property
    def pulled(self) -> int:
        return self.tally.pulled

    @property
    def pushed(self) -> int:
        return self.tally.pushed

    def soon(self) -> None:
        """Some peer is back: do not wait for the next round."""
        now = self._clock.now()
        for pair in self._pairs.values():
            # Not at once: hints go first, they know what is missing.
            pair.due = min(pair.due, now + self._random.uniform(0.2, 1.0))
        self._wake.set()

    def turn(self, peer: NodeId) -> trio.Lock:
        """Held while something is compared with `peer`."""
        return self._pair(peer).turn

    def _pair(self, peer: NodeId) -> _Pair:
        pair = self._pairs.get(peer)
        if pair is None:
            # Anywhere within the first interval: nodes that start together do not all compare at once.
            now = self._clock.now()
            due = now + self._interval * self._random.uniform(0.5, 1.5)
            pair = self._pairs[peer] = _Pair(due, self._interval, now)
        return pair

    def behind(self, peers: Peers) -> float:
        """Seconds since some live co-owner was last compared with to the end."""
        now = self._clock.now()
        return max(
            (now - self._compared.get(peer, self._pair(peer).since) for peer in self.pairs(peers) if peers.alive(peer)),
            default=0.0,
        )

    def pairs(self, peers: Peers) -> dict[NodeId, list[Replica]]:
        """The replicas to compare with each other owner, dead ones too. Among those that are read only: one that is
        being filled by a move is no source, and the move's copy is what it gets.
        """
        state = self._state()
        by_peer: defaultdict[NodeId, list[Replica]] = defaultdict(list)
        for replica in self._replicas.all():
            if replica.shard.collection in state.collections:
                owners = state.route(replica.shard).read
                for owner in owners if peers.me in owners else ():
                    if owner != peers.me:
                        by_peer[owner].append(replica)
        return dict(sorted(by_peer.items()))

    async def run(self, peers: Peers) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                now = self._clock.now()
                wake = now + self._interval  # by then there may be other owners to compare with
                for peer, replicas in self.pairs(peers).items():
                    pair = self._pair(peer)
                    if pair.due <= now:
                        pair.due = math.inf  # until the round is over, or `soon` wants another one after it
                        nursery.start_soon(self._round, peers, peer, replicas, pair)
                    wake = min(wake, pair.due)
                with self._clock.move_on_after(wake - now):
                    await self._wake.wait()

    async def _round(self, peers: Peers, peer: NodeId, replicas: list[Replica], pair: _Pair) -> None:
        if peers.ready(peer):
            before = self.tally.pulled + self.tally.pushed
            if await self.compare(peers, peer, replicas) and self.tally.pulled + self.tally.pushed == before:
                pair.interval = min(pair.interval * LATER, self._interval * LONGEST)
            else:
                pair.interval = self._interval * SOONER
        # Between half and one and a half intervals, so that two owners seldom repair the same rows at once.
        pair.due = min(pair.due, self._clock.now() + pair.interval * self._random.uniform(0.5, 1.5))
        self._wake.set()

    async def run_once(self, peers: Peers) -> bool:
        """Compare every replica with every live co-owner; True when all were found equal or made so."""
        complete = True

        async def one(peer: NodeId, replicas: list[Replica]) -> None:
            nonlocal complete
            if not await self.compare(peers, peer, replicas):
                complete = False

        async with trio.open_nursery() as nursery:
            for peer, replicas in self.pairs(peers).items():
                if peers.alive(peer):
                    nursery.start_soon(one, peer, replicas)
                else:
                    complete = False
        return complete

    async def compare(self, peers: Peers, peer: NodeId, replicas: list[Replica]) -> bool:
        """One replica after the other; whether all were found equal or made so."""
        complete = True
        async with self.turn(peer):
            try:
                full = [replica for replica in replicas if replica.learner is None]
                complete = len(full) == len(replicas)
                reply = await self._exchange.roots(peers, peer, full)
                for replica, root in zip(full, reply.roots, strict=True):
                    if root is None:
                        complete = False
                    elif root != replica.store.merkle_root():
                        await self._exchange.repair(peers, peer, replica, self.tally)
            except FAILURES as error:
                log.warning("repair_interrupted", peer=peer, error=str(error))
                complete = False
        if complete:
            self._compared[peer] = self._clock.wall()
        return complete
