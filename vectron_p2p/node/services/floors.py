"""Collects the tombstones of this node's shards by the floor protocol (`replication.floors`, PROTOCOLS §7).

Of each shard the owner with the lowest id proposes; every owner must take part anyway. Owns both sides: proposing, and
the answers of an owner. Nothing is remembered between attempts but what the replicas have on disk: whoever dies, the
next attempt begins anew, and what some owners have collected the others find at the next comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import ClockSkew, InvalidArgument, Learning, Unavailable
from vectron_p2p.model.ids import CollectionId, ShardId
from vectron_p2p.node.services.anti_entropy import FAILURES
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.floors import FloorRound, choose_floor, old_enough
from vectron_p2p.replication.merkle import LEAVES

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

SCAN_TIMEOUT = 60.0  # seconds for an owner's answer: it reads all versions of the shard, 2 s a million rows


def steady_owners(state: ClusterState, shard: ShardId) -> tuple[NodeId, ...]:
    """Who must agree to a floor of `shard`, sorted; nobody while its owners are changing."""
    if shard.collection not in state.collections or shard in state.moves:
        return ()
    return tuple(sorted(state.owners(shard)))


class FloorKeeper:
    """Floors of one node's replicas."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        replicas: Replicas,
        limits: Limits,
        *,
        state: Callable[[], ClusterState],
        wall_ms: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._random = rng
        self._replicas = replicas
        self._limits = limits
        self._state = state
        self._wall_ms = wall_ms
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            m.AgreeFloor: self._agree,
            m.CollectFloor: self._collect,
        }

    # --- proposing ----------------------------------------------------------------------------------------------------

    async def run(self, peers: Peers) -> None:
        while True:
            await self._clock.sleep(self._limits.floor_interval * self._random.uniform(0.5, 1.5))
            await self.run_once(peers)

    async def run_once(self, peers: Peers) -> None:
        """One attempt for every shard that this node proposes for."""
        for replica in self._replicas.all():
            owners = steady_owners(self._state(), replica.shard)
            if owners[:1] == (peers.me,) and replica.store.tombstones:
                try:
                    await self._attempt(peers, replica, owners)
                except FAILURES as error:
                    # An owner is away, learning or of another opinion: nothing is collected, and nothing is lost by it.
                    log.info("floor_waits", shard=str(replica.shard), error=str(error))

    async def _attempt(self, peers: Peers, replica: Replica, owners: tuple[NodeId, ...]) -> None:
        if replica.learner is not None or not all(map(peers.alive, owners)):
            return
        shard = replica.shard
        floor = choose_floor(self._wall_ms(), self._limits.floor_age)
        leaves = (await replica.scan_floor(floor)).leaves
        if not leaves:
            return
        agree = m.AgreeFloor(shard.collection, shard.index, self._state().epoch, list(owners), floor)
        round_ = FloorRound(owners, floor)

        async def ask(owner: NodeId) -> None:
            reply = await peers.call(owner, agree, timeout=SCAN_TIMEOUT, bulk=True)
            round_.record(owner, reply.sums)

        # This node last: should its clock be wrong, one that is right refuses before any floor is raised.
        await _all([owner for owner in owners if owner != peers.me], ask)
        await ask(peers.me)
        equal = round_.equal(leaves)
        if not equal:
            return
        order = m.CollectFloor(shard.collection, shard.index, self._state().epoch, list(owners), floor, equal)

        async def tell(owner: NodeId) -> None:
            await peers.call(owner, order, timeout=self._limits.call_timeout, bulk=True)

        await _all(owners, tell)
        log.info("tombstones_collected", shard=str(shard), leaves=len(equal), waiting=len(leaves) - len(equal))

    # --- an owner's answers -------------------------------------------------------------------------------------------

    def handles(self, message: object) -> bool:
        return type(message) in self._handlers

    async def handle(self, message: Any) -> Any:
        return await self._handlers[type(message)](message)

    def _replica(self, message: m.AgreeFloor | m.CollectFloor) -> Replica:
        shard = ShardId(CollectionId(message.collection), message.shard)
        owners = steady_owners(self._state(), shard)
        if list(owners) != message.owners:
            raise Unavailable(f"shard {shard} has other owners here, or is moving: no floor is agreed to now")
        replica = self._replicas.get(shard)
        _check_full(replica)
        return replica

    async def _agree(self, message: m.AgreeFloor) -> m.FloorSums:
        replica = self._replica(message)
        if not old_enough(message.floor, self._wall_ms(), self._limits.floor_age):
            raise ClockSkew("the floor is too young by this node's clock; it would stop writes that are under way")
        await replica.commit.exclusive(replica.store.raise_floor, message.floor)
        scan = await replica.scan_floor(message.floor)
        _check_full(replica)
        return m.FloorSums(scan.sums)

    async def _collect(self, message: m.CollectFloor) -> m.Done:
        replica = self._replica(message)
        if message.floor > replica.store.floors.floor:
            raise Unavailable(f"shard {replica.shard}: this node agreed to no such floor")
        if not all(0 <= leaf < LEAVES for leaf in message.leaves):
            raise InvalidArgument(f"leaves lie in 0..{LEAVES - 1}", field="leaves")
        await replica.commit.exclusive(replica.store.collect, message.floor, message.leaves)
        return m.Done()


def _check_full(replica: Replica) -> None:
    if replica.learner is not None:
        raise Learning(f"shard {replica.shard} is learning on this node and agrees to no floor")


async def _all(owners: tuple[NodeId, ...] | list[NodeId], ask: Callable[[NodeId], Awaitable[None]]) -> None:
    """`ask` of all at once; raises the first failure after the others have ended."""
    failures: list[Exception] = []

    async def one(owner: NodeId) -> None:
        try:
            await ask(owner)
        except FAILURES as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for owner in owners:
            nursery.start_soon(one, owner)
    if failures:
        raise failures[0]
