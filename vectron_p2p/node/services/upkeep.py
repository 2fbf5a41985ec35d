"""The work between the owners of a shard, put together: anti-entropy, learning, floors, repair passes, moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.model.ids import CollectionId, ShardId
from vectron_p2p.node.services.anti_entropy import AntiEntropy
from vectron_p2p.node.services.balancer import Balancer
from vectron_p2p.node.services.budget import ByteBudget
from vectron_p2p.node.services.exchange import Exchange
from vectron_p2p.node.services.floors import FloorKeeper
from vectron_p2p.node.services.learning import Learning
from vectron_p2p.node.services.moves import Moves
from vectron_p2p.node.services.repairs import Repairs
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    import trio

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.fences import Fences
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.stamps import Stamps


class Upkeep:
    """Of one node."""

    def __init__(
        self,
        peers: Peers,
        replicas: Replicas,
        fences: Fences,
        catalog: Catalog,
        stamps: Stamps,
        runtime: Runtime,
        limits: Limits,
        background: trio.Nursery,
    ) -> None:
        self._peers = peers
        self._fences = fences
        self.catalog = catalog
        clock, rng, wall_ms = runtime.clock, runtime.random, stamps.wall_ms

        def state() -> ClusterState:
            return catalog.state

        exchange = Exchange(
            ByteBudget(clock, limits.repair_bytes_per_s),
            epoch=lambda: state().epoch,
            refuse_below=replicas.refuse_below,
            timeout=limits.call_timeout,
        )
        self.repair = AntiEntropy(clock, rng, replicas, limits, exchange, state=state)
        self.learning = Learning(clock, replicas, limits, exchange, state=state, wall_ms=wall_ms)
        self.floors = FloorKeeper(clock, rng, replicas, limits, state=state, wall_ms=wall_ms)
        self.moves = Moves(peers, clock, rng, replicas, catalog, limits, refuse_below=replicas.refuse_below)
        self.balancer = Balancer(peers, catalog, runtime, limits)
        self.passes = Repairs(peers, self.repair, exchange, state=state, background=background)

    async def at_start(self) -> None:
        """What was missed or forgotten while the node was down, as far as that is quickly done."""
        await self.learning.run_once(self._peers)
        await self.repair.run_once(self._peers)

    def run(self, nursery: trio.Nursery) -> None:
        """From now on in `nursery`."""
        nursery.start_soon(self.repair.run, self._peers)
        nursery.start_soon(self.learning.run, self._peers)
        nursery.start_soon(self.floors.run, self._peers)
        nursery.start_soon(self.moves.run)
        nursery.start_soon(self.balancer.run)

    def handles(self, message: object) -> bool:
        """Whether a peer's `message` is for `handle`."""
        return isinstance(message, m.RepairPass) or self.floors.handles(message)

    async def handle(self, message: Any) -> Any:
        if isinstance(message, m.RepairPass):
            return self.passes.answer(message)
        await self.catalog.catch_up(message.epoch)
        with self._fences.admit([ShardId(CollectionId(message.collection), message.shard)], message.epoch):
            return await self.floors.handle(message)
