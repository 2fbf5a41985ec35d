"""`vectron cluster recover`: opens the next generation of the catalog when a voter majority is lost for ever.

Owns the checks before it and what the survivors know: the newest of their states is gone on from, and a change that one
of them voted for is made first, since the lost majority may have decided it and told a client so. Invariants: nobody is
given up who answers; every survivor has told its state; without `force` nothing happens.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.entry import advance
from vectron_p2p.catalog.recovery import ID_BITS, HurtShard, number, open_generation
from vectron_p2p.catalog.state import ClusterState
from vectron_p2p.catalog.vote import NO_BALLOT
from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.errors import InvalidArgument, Unavailable, VectronError
from vectron_p2p.model.nodes import Liveness, NodeState
from vectron_p2p.model.recovery import HurtShardInfo, RecoveryInfo
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.runtime import Runtime

log = get_logger(__name__)


class Recovery:
    """Of one node."""

    def __init__(
        self,
        peers: Peers,
        catalog: Catalog,
        liveness: Callable[[NodeId], Liveness],
        runtime: Runtime,
        limits: Limits,
    ) -> None:
        self._peers = peers
        self._catalog = catalog
        self._liveness = liveness
        self._runtime = runtime
        self._limits = limits

    def view(self) -> m.CatalogView:
        """What this node knows of the catalog."""
        accepted = self._catalog.accepted
        ballot, value = (NO_BALLOT, None) if accepted is None else (accepted.ballot, accepted.value)
        return m.CatalogView(self._catalog.state.to_bytes(), ballot.round, ballot.node, value)

    async def answer(self, message: m.Recover) -> m.RecoverReply:
        """Look, or do it.

        Raises:
            InvalidArgument: There is nothing to recover, or `lost` names nodes that are there.
            Unavailable: A survivor does not tell its state.
        """
        lost = self._lost(message.lost)
        state = self._catalog.state
        left = sum(voter not in lost for voter in state.voters)
        _, hurt = open_generation(state, lost, self._peers.me, 0)
        if left >= majority(state) and not self._catalog.alarm and not any(each.beyond_moves for each in hurt):
            raise InvalidArgument(
                f"{left} of {len(state.voters)} voters are there, which is a majority, and every shard can be mended: "
                "nothing has to be forced (a node that is lost for ever can be removed)",
                field="lost",
            )
        base = await self._newest([node for node in state.current() if node not in lost])
        after, hurt = open_generation(base, lost, self._peers.me, self._runtime.random.getrandbits(ID_BITS))
        if message.force:
            log.critical("cluster_recovered_by_force", lost=sorted(lost), epoch=after.epoch, hurt=len(hurt))
            await self._catalog.recover(after)
        return m.RecoverReply(dataclasses.asdict(_info(after, lost, hurt, recovered=message.force)))

    def _lost(self, named: list[str]) -> set[NodeId]:
        """The members to give up.

        Raises:
            InvalidArgument: One of them is there, or is no member; or one that is dead is not named.
        """
        state = self._catalog.state
        dead = {node for node in state.current() if self._liveness(node) is Liveness.DEAD and node != self._peers.me}
        known = {word: node for node in state.current() for word in (state.members[node].name, str(node))}
        for each in named:
            if each not in known:
                raise InvalidArgument(f"{each!r} is no member of this cluster", field="lost")
        lost = {known[each] for each in named} or dead
        for node in sorted(lost - dead):
            raise InvalidArgument(f"{state.members[node].name} is alive: only dead nodes can be given up", field="lost")
        for node in sorted(dead - lost):
            name = state.members[node].name
            raise InvalidArgument(f"{name} does not answer either: bring it back, or give it up too", field="lost")
        return lost

    async def _newest(self, survivors: list[NodeId]) -> ClusterState:
        """The newest state that any survivor has, with the change that may have been decided after it."""
        views: dict[NodeId, m.CatalogView] = {}
        failures: list[str] = []

        async def ask(node: NodeId) -> None:
            try:
                views[node] = await self._peers.call(node, m.GetCatalogView(), timeout=self._limits.call_timeout)
            except VectronError as error:
                failures.append(error.message)

        async with trio.open_nursery() as nursery:
            for node in survivors:
                nursery.start_soon(ask, node)
        if failures:
            raise Unavailable(f"every node that is left has to tell what it knows: {min(failures)}")
        own = self._catalog.state
        states = {node: ClusterState.from_bytes(view.state) for node, view in views.items()}
        newest = max((states[node] for node in survivors), key=lambda state: state.epoch)
        for node, state in states.items():
            if state.generation != own.generation:
                text = (
                    "recovered already" if number(state.generation) > number(own.generation) else "of an older recovery"
                )
                raise InvalidArgument(
                    f"{own.members[node].name} is {text}: wait until it has told this node", field="lost"
                )
            if state.epoch == newest.epoch and state.hash != newest.hash and not self._catalog.alarm:
                raise InvalidArgument(
                    "the nodes that are left have two histories: stop those of one of them", field="lost"
                )
        voted = [view for node, view in views.items() if view.value is not None and states[node].epoch == newest.epoch]
        if voted:
            best = max(voted, key=lambda view: (view.round, view.node))
            assert best.value is not None
            newest, _, _ = advance(newest, best.value)
        return newest


def _info(after: ClusterState, lost: set[NodeId], hurt: list[HurtShard], *, recovered: bool) -> RecoveryInfo:
    def names(nodes: tuple[NodeId, ...]) -> list[str]:
        return sorted(after.members[node].name for node in nodes)

    return RecoveryInfo(
        recovered=recovered,
        generation=number(after.generation),
        epoch=after.epoch,
        lost=names(tuple(lost)),
        survivors=names(tuple(node for node in after.current() if after.members[node].state is NodeState.ACTIVE)),
        hurt=[HurtShardInfo(each.collection, each.shard, names(each.owners), names(each.left)) for each in hurt],
    )
