"""Which part of a node answers a request, and whether it answers yet.

Invariant: a client is answered only once the node serves, by a catalog at least as new as the client has seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

from vectron_p2p.model.errors import NotFound, PermissionDenied, Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.node.joining import let_in
from vectron_p2p.observability import tracing
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.net.rpc import Caller
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.client_service import ClientService
    from vectron_p2p.node.gossip import Gossip
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.limiter import Limiter
    from vectron_p2p.node.recovery import Recovery
    from vectron_p2p.node.slow_requests import SlowRequests
    from vectron_p2p.node.status import Status
    from vectron_p2p.runtime import Clock

INSPECTION = (m.GetNodeStatus, m.MerkleRoots, m.MerkleLeaves, m.LeafVersions, m.FetchRows)
"""Requests between nodes that clients may make too: reads of one replica, for tools that compare replicas."""

LOOKING = (m.GetStatus, m.GetCluster, m.GetStatistics, m.GetHistory, m.GetLogs, m.GetAlerts, m.GetSettings)
"""Requests of clients that a node answers while it is still starting: what it waits for shows there."""


class Service(Protocol):
    """Answers some requests between nodes."""

    def handles(self, message: object) -> bool: ...

    async def handle(self, message: Any) -> Any: ...


class Dispatch:
    """Of one node."""

    def __init__(
        self,
        identity: Identity,
        catalog: Catalog,
        gossip: Gossip,
        clients: ClientService,
        services: Sequence[Service],
        recovery: Recovery,
        status: Status,
        slow: SlowRequests,
        limiter: Limiter,
        clock: Clock,
        *,
        serving: Callable[[], bool],
    ) -> None:
        self._identity = identity
        self._catalog = catalog
        self._gossip = gossip
        self._clients = clients
        self._services = services
        self._recovery = recovery
        self._status = status
        self._slow = slow
        self._limiter = limiter
        self._clock = clock
        self._serving = serving
        self._traces = tracing.source(f"{identity.node}/{identity.boot}")

    async def handle(self, message: Any, caller: Caller) -> Any:
        """The reply to a request that came over the network."""
        if self._clients.handles(message):
            if not self._serving() and not isinstance(message, LOOKING):
                # Its catalog may be as old as its last stop: a name in it may be another collection's by now.
                raise Unavailable("this node is starting; ask another one", node=self._identity.node)
            with self._limiter.admitted(message, caller.address):
                if caller.hello.generation == self._catalog.state.generation:
                    await self._catalog.catch_up(caller.hello.epoch)  # what this client has seen, it sees here
                return await self.answer_client(message, str(caller.address))
        if isinstance(message, m.Recover):
            return await self._recovery.answer(message)
        if caller.role != "peer" and not isinstance(message, INSPECTION):
            raise PermissionDenied(f"{type(message).__name__} is a request between nodes")
        with self._slow.watch(message, str(caller.address), owner=True):
            return await self.serve_peer(message)

    async def answer_client(self, message: Any, client: str = "embedded") -> Any:
        """The reply to a client's request, within the deadline of the scope it is called in."""
        if not tracing.current():
            tracing.begin(self._traces())
        remaining = trio.current_effective_deadline() - self._clock.now()
        timeout = None if math.isinf(remaining) else remaining
        with self._slow.watch(message, client):
            return await self._clients.handle(message, timeout)

    async def serve_peer(self, message: Any) -> Any:
        """The reply to another node, or to this one."""
        for service in self._services:
            if service.handles(message):
                return await service.handle(message)
        if isinstance(message, m.GetCatalogView):
            return self._recovery.view()
        if isinstance(message, m.GetNodeStatus):
            return await self._status.reply(message)
        if isinstance(message, m.JoinCluster):
            return await let_in(self._catalog, message)
        raise NotFound(f"this node answers no {type(message).__name__}", field="message")

    def take_note(self, message: Any, caller: Caller) -> None:
        """A one-way message of a peer."""
        if caller.role != "peer" or caller.node is None:
            return
        if isinstance(message, m.SwimNote):
            self._gossip.receive_note(message, NodeId(caller.node))
        elif isinstance(message, m.CatalogNote):
            self._catalog.receive(message.body, NodeId(caller.node))
