"""Which part of a node answers a request, and whether it answers yet.

Invariant: a client is answered only once the node serves, by a catalog at least as new as the client has seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

from vectron_p2p.model.errors import NotFound, Overloaded, PermissionDenied, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId
from vectron_p2p.node.client_service import DEFAULT_TIMEOUT
from vectron_p2p.node.joining import let_in
from vectron_p2p.observability import tracing
from vectron_p2p.protocol import messages as m
from vectron_p2p.runtime.callbacks import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.net.rpc import Caller
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.client_service import ClientService
    from vectron_p2p.node.coordinator.local_searches import LocalSearches
    from vectron_p2p.node.gossip import Gossip
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.limiter import Limiter
    from vectron_p2p.node.recovery import Recovery
    from vectron_p2p.node.slow_requests import SlowRequests
    from vectron_p2p.node.status import Status
    from vectron_p2p.protocol.events import Request
    from vectron_p2p.runtime import Clock
    from vectron_p2p.runtime.callbacks import Done, TakeBack

INSPECTION = (m.GetNodeStatus, m.MerkleRoots, m.MerkleLeaves, m.LeafVersions, m.FetchRows)
"""Requests between nodes that clients may make too: reads of one replica, for tools that compare replicas."""

LOOKING = (m.GetStatus, m.GetCluster, m.GetStatistics, m.GetHistory, m.GetLogs, m.GetAlerts, m.GetSettings)
"""Requests of clients that a node answers while it is still starting: what it waits for shows there."""


class Service(Protocol):
    """Answers some requests between nodes."""

    def handles(self, message: object) -> bool: ...

    async def handle(self, message: Any) -> Any: ...


class _Quick:
    """One request that is being answered without a task.

    What takes it back leads to it again, so that is let go as soon as it has been answered: ten objects for each query
    that nothing but a search for cycles would find, which stops all threads for 10 ms.
    """

    __slots__ = ("_began", "_caller", "_done", "_limiter", "_request", "_slow", "_take_back", "_trace")

    def __init__(
        self,
        slow: SlowRequests,
        limiter: Limiter,
        request: Request,
        caller: Caller,
        began: float,
        trace: int,
        done: Done,
    ) -> None:
        self._slow = slow
        self._limiter = limiter
        self._request = request
        self._caller = caller
        self._began = began
        self._trace = trace
        self._done = done
        self._take_back: TakeBack | None = None

    def begun(self, take_back: TakeBack) -> TakeBack:
        """Returns what takes it back."""
        if self._take_back is not None:
            return nothing  # it was answered at once
        self._take_back = take_back
        return self._cancel

    def done(self, answer: Any) -> None:
        self._take_back = nothing
        if answer is None:
            self._limiter.put_off(self._request.like, self._caller.address)
        else:
            self._limiter.leave()
            if isinstance(answer, VectronError):
                answer.trace = tracing.text(self._trace)
            if self._slow.is_slow(self._began):
                self._log(answer)
        self._done(answer)

    def _cancel(self) -> None:
        self._limiter.leave()
        take_back, self._take_back = self._take_back, nothing
        assert take_back is not None
        take_back()

    def _log(self, answer: Any) -> None:
        watch = self._slow.watch(self._request.message, self._caller.address)
        watch.began = self._began
        tracing.begin(self._trace)  # of whichever task this is called by
        self._slow.ended(watch, answer if isinstance(answer, VectronError) else None)
        tracing.begin(0)


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
        searches: LocalSearches,
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
        self._searches = searches
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
                return await self.answer_client(message, caller.address)
        if isinstance(message, m.Recover):
            return await self._recovery.answer(message)
        if caller.role != "peer" and not isinstance(message, INSPECTION):
            raise PermissionDenied(f"{type(message).__name__} is a request between nodes")
        with self._slow.watch(message, caller.address, owner=True):
            return await self.serve_peer(message)

    def begin(self, request: Request, caller: Caller, began: float, done: Done, alone: bool) -> TakeBack | None:
        """Has a request answered that needs no task, if it is one: see `net.serving.Quick`."""
        asked = request.like
        if type(asked) is not m.Search or asked.count != 1 or not self._serving():
            return None
        state = self._catalog.state
        if caller.hello.generation == state.generation and caller.hello.epoch > state.epoch:
            return None
        trace = request.trace or self._traces()
        try:
            self._limiter.enter(asked, caller.address)
        except Overloaded as error:
            error.trace = tracing.text(trace)
            done(error)
            return nothing
        quick = _Quick(self._slow, self._limiter, request, caller, began, trace, done)
        timeout = DEFAULT_TIMEOUT if request.timeout is None else min(request.timeout, DEFAULT_TIMEOUT)
        lone = caller.address if alone else None
        take_back = self._searches.begin(request, began, began + timeout, quick.done, lone=lone)
        if take_back is None:
            self._limiter.put_off(asked, caller.address)
            return None
        return quick.begun(take_back)

    async def answer_client(self, message: Any, client: object = "embedded") -> Any:
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
