"""Starts the moves that the cluster wants (`catalog.planner`).

Every node could; the live active member with the lowest id does, each by its own opinion of who lives. Two that both
believe it is their turn do no harm: what one has started, the catalog refuses to the other. A dead node keeps what it
owns until it is removed: death changes routing only. But a move that waits for a dead node is given up after a while:
it would keep its streams from other shards for as long as the node is away.

Invariants: planning happens on a thread, and anew only when members or wishes have changed or all targets are reached;
limits on moves under way are the catalog's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog.commands import CancelMove
from vectron_p2p.catalog.moves import Step
from vectron_p2p.catalog.planner import basis, rest, startable, targets
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    from vectron_p2p.catalog.moves import Move
    from vectron_p2p.catalog.planner import Targets
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import ShardId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.runtime import Runtime

log = get_logger(__name__)

LOOK = 1.0  # seconds between looks, besides every new epoch: time passes and nodes die and return without one
PROPOSE_TIMEOUT = 5.0


class Balancer:
    """Of one node."""

    def __init__(self, peers: Peers, catalog: Catalog, runtime: Runtime, limits: Limits) -> None:
        self._peers = peers
        self._catalog = catalog
        self._runtime = runtime
        self._limits = limits
        self._basis: Any = None
        self._since = 0.0
        """When the basis came to be what it is."""
        self._targets: Targets = {}
        self._planned: Any = None
        """What the targets were planned from: basis, and the collections with their owners."""
        self._waiting: dict[ShardId, tuple[int, float]] = {}
        """Moves that wait for a dead node: their ids, and since when."""

    async def run(self) -> None:
        while True:
            await self.run_once()
            with self._runtime.clock.move_on_after(LOOK):
                await self._catalog.changed()

    async def run_once(self) -> None:
        """Start what can be started now, and give up what waits in vain, if it is this node's turn and time."""
        await self._give_up(self._catalog.state, self._runtime.clock.now())
        state, now = self._catalog.state, self._runtime.clock.now()
        present = basis(state)
        if present != self._basis:
            self._basis, self._since = present, now
        if now - self._since < self._limits.balance_after or not self._my_turn(state):
            return
        wanted = await self.wanted()
        state = self._catalog.state
        if basis(state) != present:
            return  # it changed while this was planned
        for move in startable(state, wanted, self._peers.alive):
            try:
                await self._catalog.propose(move.command(), timeout=PROPOSE_TIMEOUT)
                log.info("move_started", shard=str(move.shard), leaving=move.leaving, coming=move.coming)
            except VectronError as error:  # another node was faster, or no voter majority: seen at the next look
                log.info("move_not_started", shard=str(move.shard), error=error.message)
                return

    async def _give_up(self, state: ClusterState, now: float) -> None:
        """Cancel the moves that have waited for a dead node too long."""
        lacking = [move for move in state.moves.values() if move.step is Step.BOTH and self._lacks(state, move)]
        before = self._waiting
        self._waiting = {move.shard: (move.id, now) for move in lacking}
        self._waiting |= {
            shard: was for shard, was in before.items() if self._waiting.get(shard, (0, 0.0))[0] == was[0]
        }
        if not self._my_turn(state):
            return
        for shard, (number, since) in self._waiting.items():
            if now - since >= self._limits.move_patience:
                log.warning("move_given_up", shard=str(shard), reason="a node that it needs is dead")
                try:
                    await self._catalog.propose(
                        CancelMove(shard.collection, shard.index, number), timeout=PROPOSE_TIMEOUT
                    )
                except VectronError as error:  # no voter majority, or it has gone on after all
                    log.info("move_not_given_up", shard=str(shard), error=error.message)
                    return

    def _lacks(self, state: ClusterState, move: Move) -> bool:
        """Whether a node that has to take part in `move` is dead. A removed one need not."""
        needed = [node for node in (move.coming, move.leaving) if node is not None]
        return any(
            state.members[node].state is not NodeState.REMOVED and not self._peers.alive(node) for node in needed
        )

    def _my_turn(self, state: ClusterState) -> bool:
        first = next((member.node for member in state.active() if self._peers.alive(member.node)), None)
        return first == self._peers.me

    async def wanted(self) -> Targets:
        """Shards whose owners are to change, besides those that are being moved when this is planned."""
        state = self._catalog.state
        present = basis(state)
        if self._planned is not None and self._planned[0] == present:
            self._targets = rest(state, self._targets)
            if self._targets or self._planned[1] is state.collections:
                return self._targets
        found = await self._runtime.executor.run("admit", targets, state)
        self._targets, self._planned = found, (present, state.collections)
        return found
