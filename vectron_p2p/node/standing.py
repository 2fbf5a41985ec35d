"""This node's own place in the catalog: from joining to active, its address, its vote, and its end when it drains.

Invariant: each change is proposed by the node itself, once it has on disk what the change builds on (PROTOCOLS §1.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog import commands
from vectron_p2p.catalog.voters import voter_change
from vectron_p2p.model.errors import PermissionDenied, VectronError
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address, NodeId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.runtime import Runtime

log = get_logger(__name__)

RETRY = 1.0  # seconds between attempts: each needs a voter majority
TIMEOUT = 5.0


class Standing:
    """Of one node."""

    def __init__(self, node: NodeId, address: Address, catalog: Catalog, runtime: Runtime) -> None:
        self._me = node
        self._address = address
        self._catalog = catalog
        self._runtime = runtime

    async def become_active(self) -> None:
        """From `joining` to `active`.

        Raises:
            PermissionDenied: It has left, or was removed.
        """
        me = self._me
        while True:
            member = self._catalog.state.members.get(me)
            if member is not None and member.state in (NodeState.REMOVED, NodeState.LEFT):
                verb = "has left" if member.state is NodeState.LEFT else "was removed from"
                raise PermissionDenied(
                    f"this node ({me}) {verb} its cluster; start it with an empty folder to join anew", node=me
                )
            if member is not None and member.state is not NodeState.JOINING:
                return
            await self._try(commands.ActivateMember(me))

    async def keep(self) -> None:
        """Follow the catalog, until this node has left."""
        me = self._me
        while True:
            state = self._catalog.state
            member = state.members[me]
            if member.state is NodeState.LEFT:
                return
            if member.address != self._address:
                await self._try(commands.UpdateAddress(me, self._address))
            elif voter_change(state, me) is not None:
                await self._try(commands.SeatVoter(me))
            elif self.dispensable:
                await self._try(commands.LeaveCluster(me))
            else:
                await self._catalog.changed()

    @property
    def dispensable(self) -> bool:
        """Whether it is drained and may leave at any moment."""
        state = self._catalog.state
        draining = state.members[self._me].state is NodeState.DRAINING
        return draining and self._me not in state.voters and not state.parts(self._me)

    async def _try(self, command: commands.Command) -> None:
        try:
            await self._catalog.propose(command, timeout=TIMEOUT)
        except VectronError as error:
            log.warning("membership_change_waits", command=type(command).__name__, error=error.message)
            await self._runtime.clock.sleep(RETRY * self._runtime.random.uniform(0.5, 1.0))
