"""What a node answers, to whom, and when: the half of `Node` that requests meet.

Owns the order in which services are asked, and who may ask. Must not know how the node is put together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import NotFound, PermissionDenied, Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.node.joining import let_in
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from vectron_p2p.net.rpc import Caller
    from vectron_p2p.node.alerting import Alerting
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.client_service import ClientService
    from vectron_p2p.node.gossip import Gossip
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.insight import Insight
    from vectron_p2p.node.recovery import Recovery
    from vectron_p2p.node.replica_service import ReplicaService
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.upkeep import Upkeep
    from vectron_p2p.node.status import Status
    from vectron_p2p.node.traffic import Traffic

INSPECTION = (m.GetNodeStatus, m.MerkleRoots, m.MerkleLeaves, m.LeafVersions, m.FetchRows)
"""Requests between nodes that clients may make too: reads of one replica, for tools that compare replicas."""

LOOKING = (m.GetStatus, m.GetCluster, m.GetStatistics, m.GetHistory, m.GetAlerts)
"""Requests of clients that a node answers while it is still starting: what it waits for shows there."""


class Answering:
    """Base of `Node`, which makes the parts."""

    serving: bool
    identity: Identity
    catalog: Catalog
    gossip: Gossip
    upkeep: Upkeep
    traffic: Traffic
    insight: Insight
    _runtime: Runtime
    _alerting: Alerting
    _client_service: ClientService
    _recovery: Recovery
    _replica_service: ReplicaService
    _status: Status

    async def answer_client(self, message: Any) -> Any:
        """The reply to a client's request, within the deadline of the scope it is called in."""
        remaining = trio.current_effective_deadline() - self._runtime.clock.now()
        return await self._client_service.handle(message, None if math.isinf(remaining) else remaining)

    async def _handle(self, message: Any, caller: Caller) -> Any:
        if self._client_service.handles(message):
            if not self.serving and not isinstance(message, LOOKING):
                # Its catalog may be as old as its last stop: a name in it may be another collection's by now.
                raise Unavailable("this node is starting; ask another one", node=self.identity.node)
            with self.traffic.limiter.admitted(message, caller.address):
                if caller.hello.generation == self.catalog.state.generation:
                    await self.catalog.catch_up(caller.hello.epoch)  # what this client has seen, it sees here
                return await self.answer_client(message)
        if isinstance(message, m.Recover):
            return await self._recovery.answer(message)
        if caller.role != "peer" and not isinstance(message, INSPECTION):
            raise PermissionDenied(f"{type(message).__name__} is a request between nodes")
        return await self._serve_peer(message)

    async def _serve_peer(self, message: Any) -> Any:
        for service in (self._replica_service, self.insight, self._alerting, self.upkeep):
            if service.handles(message):
                return await service.handle(message)
        if isinstance(message, m.GetCatalogView):
            return self._recovery.view()
        if isinstance(message, m.GetNodeStatus):
            return await self._status.reply(message)
        if isinstance(message, m.JoinCluster):
            return await let_in(self.catalog, message)
        raise NotFound(f"this node answers no {type(message).__name__}", field="message")

    def _take_note(self, message: Any, caller: Caller) -> None:
        if caller.role != "peer" or caller.node is None:
            return
        if isinstance(message, m.SwimNote):
            self.gossip.receive_note(message, NodeId(caller.node))
        elif isinstance(message, m.CatalogNote):
            self.catalog.receive(message.body, NodeId(caller.node))
