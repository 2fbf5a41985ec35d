"""The asking end of a connection: calls with deadlines, many at once, and notes.

Invariants: each call ends: with the reply, a `VectronError`, `ConnectionLost`, or at its timeout; a call that is given
up (timeout or cancellation) takes its request back. After `ConnectionLost` the outcome of the call is unknown.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import DeadlineExceeded, VectronError
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.link import Link
from vectron_p2p.observability import tracing
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.events import Closed, ErrorResponse, Event, Goodbye, HandshakeDone, Response
from vectron_p2p.protocol.messages import Hello, Welcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vectron_p2p.model.ids import Address
    from vectron_p2p.net.interfaces import Network
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

DIAL_TIMEOUT = 5.0  # connect and handshake; a live peer takes milliseconds, an overloaded one seconds


class _Call:
    __slots__ = ("done", "error", "reply")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: Any = None
        self.error: VectronError | None = None


class RpcConnection:
    """A connection to one address. `nursery.start(connection.run)` opens it; so does `open`."""

    def __init__(self, network: Network, address: Address, hello: Hello, clock: Clock) -> None:
        self.address = address
        self._network = network
        self._hello = hello
        self._clock = clock
        self._link: Link | None = None
        self._calls: dict[int, _Call] = {}
        self._welcome: Welcome | None = None
        self._goodbye = False
        self._ended = ""
        self._refusal: VectronError | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, network: Network, address: Address, hello: Hello, clock: Clock, *, timeout: float = DIAL_TIMEOUT
    ) -> AsyncIterator[RpcConnection]:
        """A connection for the length of a block. Raises as `run`."""
        connection = cls(network, address, hello, clock)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(connection.run, timeout)
            except (VectronError, ConnectionLost) as error:
                failure = error  # raised outside, or the nursery would wrap it in a group
            else:
                try:
                    yield connection
                except Exception as error:
                    failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def welcome(self) -> Welcome:
        """Who answers at the other end."""
        assert self._welcome is not None, "the connection is not open"
        return self._welcome

    @property
    def usable(self) -> bool:
        """Whether a new call has a chance."""
        return self._link is not None and self._link.core.accepting and not self._ended

    @property
    def left_orderly(self) -> bool:
        """Whether it ended because the other side said goodbye."""
        return self._goodbye

    @property
    def fell_silent(self) -> bool:
        """Whether it ended because the other side gave no sign of life."""
        return self._link is not None and self._link.silent

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    @property
    def transferred(self) -> tuple[int, int]:
        """Bytes in and out so far."""
        return (0, 0) if self._link is None else (self._link.bytes_in, self._link.bytes_out)

    @property
    def pending_bytes(self) -> int:
        return 0 if self._link is None else self._link.core.pending_bytes

    async def run(
        self, timeout: float = DIAL_TIMEOUT, *, task_status: trio.TaskStatus[RpcConnection] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Dials, shakes hands, reports `started(self)`, and serves the connection until it ends.

        Raises:
            ConnectionLost: Before `started`: nobody there, or no answer within `timeout`.
            VectronError: Before `started`: the other side refused, or is of another cluster.
        """
        tracing.begin(0)  # it outlives the request that it was dialled for
        began = self._clock.now()
        stream = await self._network.connect(self.address, timeout=timeout)
        core = Connection("client", hello=self._hello)
        remaining = max(timeout - (self._clock.now() - began), 0.0)
        link = self._link = Link(stream, core, self._clock, greet_within=remaining)

        def handle(event: Event, _: trio.Nursery) -> None:
            self._handle(event)
            if isinstance(event, HandshakeDone):
                task_status.started(self)

        try:
            await link.run(handle)
        finally:
            self._fail_all(link.reason)
        if self._welcome is None:
            raise self._refusal or ConnectionLost(f"{self.address}: {link.reason}")

    def close(self, reason: str = "closed here") -> None:
        """Ends it at once; calls under way get `ConnectionLost`."""
        if self._link is not None:
            self._link.end(reason)

    async def call(self, message: Any, *, timeout: float, trace: int | None = None) -> Any:
        """The reply to `message`, asked for under `trace` (None: that of the task).

        Raises:
            VectronError: What the other side answered; DeadlineExceeded after `timeout` seconds.
            ConnectionLost: The connection ended first, or was not open: see `usable`.
        """
        call = _Call()
        request_id: int | None = None
        try:
            with self._clock.move_on_after(timeout):
                link = await self._ready()
                request_id = link.core.send_request(
                    message, timeout=timeout, trace=tracing.current() if trace is None else trace
                )
                self._calls[request_id] = call
                link.wake()
                await call.done.wait()
        finally:
            # Left by timeout or cancellation: nobody waits for the answer any more.
            if request_id is not None and not call.done.is_set():
                del self._calls[request_id]
                link.core.cancel(request_id)
                link.wake()
        if call.error is not None:
            raise call.error
        if not call.done.is_set():
            raise DeadlineExceeded(f"{self.address} did not answer within {timeout:.3g} s")
        if call.reply is None:
            raise ConnectionLost(f"{self.address}: {self._ended}")
        return call.reply

    async def note(self, message: Any) -> None:
        """Sends a one-way message; waits only while too much is queued.

        Raises:
            ConnectionLost: The connection is not open.
        """
        link = await self._ready()
        link.core.note(message)
        link.wake()

    @property
    def heard(self) -> float:
        """When the other end last sent anything."""
        return -math.inf if self._link is None else self._link.heard

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._link is not None and self.usable:
            self._link.core.ping()
            self._link.wake()

    async def _ready(self) -> Link:
        link = self._link
        if link is not None:
            await link.room()
        if link is None or not self.usable:
            raise ConnectionLost(f"{self.address}: {self._ended or 'the node is stopping'}")
        return link

    def _handle(self, event: Event) -> None:
        match event:
            case Response(request_id, message):
                self._finish(request_id, message, None)
            case ErrorResponse(request_id, error):
                self._finish(request_id, None, error)
            case HandshakeDone(peer):
                assert isinstance(peer, Welcome)
                self._welcome = peer
            case Goodbye(reason):
                self._goodbye = True
                self._ended = reason
                self._end_when_idle()
            case Closed(reason, error, corrupted):
                if corrupted:
                    log.warning("frame_corrupted", remote=str(self.address), reason=reason)
                self._refusal = error
                assert self._link is not None
                self._link.reason = self._link.reason or reason
            case _:
                pass  # the core gives a client nothing else

    def _finish(self, request_id: int, reply: Any, error: VectronError | None) -> None:
        call = self._calls.pop(request_id)
        call.reply, call.error = reply, error
        call.done.set()
        if self._ended:
            self._end_when_idle()

    def _end_when_idle(self) -> None:
        if not self._calls:
            self.close(self._ended)

    def _fail_all(self, reason: str) -> None:
        self._ended = self._ended or reason
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.done.set()
