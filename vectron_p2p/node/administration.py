"""What an operator has done to the cluster: draining and removing nodes, and how far the moves are that follow.

Owns the checks that take an opinion of who lives, which the catalog has not. Invariant: a removal is reported only when
a majority of the voters that are left has it on disk (PROTOCOLS §1.3).
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog import commands
from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.errors import InvalidArgument, NotFound, Unavailable, VectronError
from vectron_p2p.model.moves import MovesReport
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.statistics import move_infos
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import NodeId, OperationId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.reports import Reports
    from vectron_p2p.node.services.balancer import Balancer
    from vectron_p2p.runtime import Clock

ASK_TIMEOUT = 1.0  # for a voter's epoch: it answers in milliseconds, or is asked again
AGAIN = 0.1  # seconds before voters are asked again: news of an entry takes one round trip and an fsync


class Administration:
    """Of one node."""

    def __init__(
        self,
        peers: Peers,
        catalog: Catalog,
        reports: Reports,
        balancer: Balancer,
        liveness: Callable[[NodeId], Liveness],
        clock: Clock,
    ) -> None:
        self._peers = peers
        self._catalog = catalog
        self._reports = reports
        self._balancer = balancer
        self._liveness = liveness
        self._clock = clock

    async def drain(self, name: str, operation: OperationId, *, cancel: bool, timeout: float) -> MovesReport:
        node = await self._find(name)
        command = commands.CancelDrain(operation, node) if cancel else commands.DrainNode(operation, node)
        await self._catalog.propose(command, timeout=timeout)
        return await self.moves(node)

    async def remove(self, name: str, operation: OperationId, *, timeout: float) -> MovesReport:
        """Raises InvalidArgument for a node that answers."""
        until = self._clock.now() + timeout
        node = await self._find(name)
        if node in self._catalog.state.current() and (
            node == self._peers.me or self._liveness(node) is not Liveness.DEAD
        ):
            name = self._catalog.state.members[node].name
            raise InvalidArgument(
                f"{name} is alive: let it give its shards away and leave (`vectron cluster drain {name}`); or stop it, "
                "and remove it when it shows as dead",
                field="node",
            )
        await self._catalog.propose(commands.RemoveNode(operation, node), timeout=timeout)
        await self._on_disks(self._catalog.state.epoch, until)
        return await self.moves(node)

    async def _on_disks(self, epoch: int, until: float) -> None:
        """Until a majority of the voters has `epoch` on disk."""
        while True:
            state = self._catalog.state
            have = {self._peers.me} & set(state.voters)

            async def ask(voter: NodeId, have: set[NodeId]) -> None:
                with contextlib.suppress(VectronError):
                    reply = await self._peers.call(voter, m.GetNodeStatus(replicas=False), timeout=ASK_TIMEOUT)
                    if int(reply.status.get("epoch", 0)) >= epoch:
                        have.add(voter)

            async with trio.open_nursery() as nursery:
                for voter in state.voters:
                    if voter != self._peers.me:
                        nursery.start_soon(ask, voter, have)
            if len(have) >= majority(state):
                return
            if self._clock.now() >= until:
                raise Unavailable(f"decided, but only {len(have)} of {len(state.voters)} voters have it on disk yet")
            await self._clock.sleep(AGAIN)

    async def moves(self, name: str | None) -> MovesReport:
        """Moves under way and wanted; `name`: a node to tell about."""
        node = None if name is None else await self._find(name)
        said = await self._reports.moves()
        wanted = await self._balancer.wanted()
        state = self._catalog.state
        report = MovesReport(
            move_infos(state, said), sum(shard not in state.moves for shard in wanted), state.under_replicated()
        )
        if node is None:
            return report
        member = state.members[node]
        return dataclasses.replace(
            report, node=node, name=member.name, state=member.state.value, shards=state.parts(node)
        )

    async def _find(self, name: str) -> NodeId:
        """A member by name or id; of one name the one that is there, else the one that was there last.

        Raises:
            NotFound: There is none.
            Unavailable: This node knows of none, and could ask nobody whether it is behind.
        """
        asked = True
        for attempt in range(2):
            state = self._catalog.state
            current = state.current()
            gone = [node for node in state.members if node not in current]
            for node in (*current, *gone):
                if name in (node, state.members[node].name):
                    return node
            if attempt == 0:
                asked = await self._catalog.catch_up_with_peers()  # it may have joined a moment ago
        if not asked:
            raise Unavailable(f"this node knows no node {name!r}, but reaches no other node that might; retry")
        raise NotFound(f"there is no node {name!r}; `vectron nodes` lists them", field="node")
