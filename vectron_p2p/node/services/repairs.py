"""`vectron cluster repair`: full passes over this node's replicas, with figures, and the same asked of other nodes.

A pass runs on, whoever asked for it goes away or not; its figures are asked for by a token of the asker's. One pass
at a time per node: who asks meanwhile joins it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import NotFound, VectronError
from vectron_p2p.model.repair import NodeRepair
from vectron_p2p.node.services.anti_entropy import FAILURES
from vectron_p2p.node.services.exchange import Tally
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, PointId
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.services.anti_entropy import AntiEntropy
    from vectron_p2p.node.services.exchange import Exchange

log = get_logger(__name__)

TRIES = 3  # a row that differs after so many exchanges is refused for a reason (a wrong clock), which is worth knowing
ANSWER_S = 3.0  # for the figures of a pass: none are counted anew, so who takes longer is not there
SKIPPED = 50  # reasons listed


@dataclass(slots=True)
class _Pass:
    tokens: set[str]
    shards: int = 0
    compared: int = 0
    differing: int = 0
    left: int = 0
    running: bool = True
    tally: Tally = field(default_factory=Tally)
    skipped: list[str] = field(default_factory=list)

    def skip(self, what: str) -> None:
        if len(self.skipped) < SKIPPED:
            self.skipped.append(what)


class Repairs:
    """The passes of one node. `background` is a nursery of the node."""

    def __init__(
        self,
        peers: Peers,
        anti_entropy: AntiEntropy,
        exchange: Exchange,
        *,
        state: Callable[[], ClusterState],
        background: trio.Nursery,
    ) -> None:
        self._peers = peers
        self._anti_entropy = anti_entropy
        self._exchange = exchange
        self._state = state
        self._background = background
        self._pass: _Pass | None = None

    # --- asked by a client --------------------------------------------------------------------------------------------

    async def ask(self, message: m.Repair) -> m.RepairReply:
        """Passes on the node named, or on all."""
        state = self._state()
        targets = state.current()
        if message.node is not None:
            targets = [node for node in targets if message.node in (node, state.members[node].name)]
            if not targets:
                raise NotFound(f"there is no node {message.node!r}; `vectron nodes` lists them", field="node")
        ask = m.RepairPass(message.token, message.start, every=message.node is not None)
        found: dict[NodeId, dict[str, object]] = {}

        async def one(node: NodeId) -> None:
            name = state.members[node].name
            try:
                reply: m.RepairReply = await self._peers.call(node, ask, timeout=ANSWER_S)
                found[node] = {**reply.passes[0], "node": node, "name": name}
            except (VectronError, IndexError) as error:
                why = error.message if isinstance(error, VectronError) else "it gave no figures"
                found[node] = dataclasses.asdict(NodeRepair(node, name, answered=False, skipped=[why]))

        async with trio.open_nursery() as nursery:
            for node in targets:
                nursery.start_soon(one, node)
        return m.RepairReply([found[node] for node in targets])

    # --- on this node -------------------------------------------------------------------------------------------------

    def answer(self, message: m.RepairPass) -> m.RepairReply:
        """Begins or joins a pass when `start` says so; the figures."""
        current = self._pass
        if message.start and (current is None or message.token not in current.tokens):
            if current is not None and current.running:
                current.tokens.add(message.token)
            else:
                current = self._pass = _Pass({message.token})
                self._background.start_soon(self._run, current, message.every)
        if current is None or message.token not in current.tokens:
            lost = NodeRepair(self._peers.me, skipped=["the node knows of no such pass: it was restarted meanwhile"])
            return m.RepairReply([dataclasses.asdict(lost)])
        return m.RepairReply(
            [
                dataclasses.asdict(
                    NodeRepair(
                        node=self._peers.me,
                        running=current.running,
                        shards=current.shards,
                        compared=current.compared,
                        differing=current.differing,
                        pulled=current.tally.pulled,
                        pushed=current.tally.pushed,
                        bytes=current.tally.bytes,
                        left=current.left,
                        skipped=list(current.skipped),
                    )
                )
            ]
        )

    async def _run(self, current: _Pass, every: bool) -> None:
        me = self._peers.me
        pairs = self._anti_entropy.pairs(self._peers)
        todo = {peer: replicas for peer, replicas in pairs.items() if every or me < peer}
        current.shards = sum(map(len, todo.values()))
        async with trio.open_nursery() as nursery:
            for peer, replicas in todo.items():
                nursery.start_soon(self._with_peer, current, peer, replicas)
        current.running = False
        log.info("repair_pass", compared=current.compared, differing=current.differing, left=current.left)

    async def _with_peer(self, current: _Pass, peer: NodeId, replicas: list[Replica]) -> None:
        members = self._state().members
        name = members[peer].name if peer in members else peer
        if not self._peers.alive(peer):
            current.skip(f"{name} is not alive: {len(replicas)} comparisons not made")
            return
        for replica in replicas:
            async with self._anti_entropy.turn(peer):
                try:
                    await self._one(current, peer, name, replica)
                except FAILURES as error:
                    current.skip(f"shard {replica.shard} with {name}: {error}")

    async def _one(self, current: _Pass, peer: NodeId, name: str, replica: Replica) -> None:
        reply = await self._exchange.roots(self._peers, peer, [replica])
        if replica.learner is not None or reply.learners[0]:
            where = "this node" if replica.learner is not None else name
            current.skip(f"shard {replica.shard} with {name}: the replica of {where} is learning")
        elif reply.roots[0] is None:
            current.skip(f"shard {replica.shard} with {name}: it is not open there")
        else:
            if reply.roots[0] != replica.store.merkle_root():
                current.differing += 1
                left = await self._repair(current, peer, replica)
                current.left += left  # not with `await` in it: other peers count meanwhile
            current.compared += 1

    async def _repair(self, current: _Pass, peer: NodeId, replica: Replica) -> int:
        """How many rows differ still. Those of writes under way do not: the next try finds them copied."""
        stuck: set[tuple[PointId, bytes]] | None = None
        for _ in range(TRIES):
            await self._exchange.repair(self._peers, peer, replica, current.tally)
            differing = await self._exchange.differences(self._peers, peer, replica)
            stuck = differing if stuck is None else stuck & differing
            if not stuck:
                break
        return len(stuck or ())
