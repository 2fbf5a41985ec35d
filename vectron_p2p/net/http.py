"""A small HTTP server for probes and scrapers: GET and HEAD of a few paths, on h11.

Owns the connections and their limits. Must not know what is served: a handler is called with each path. Invariants:
whatever a caller sends, omits or does not read costs one connection, for a bounded time; connections are bounded.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import h11
import trio

from vectron_p2p.model.ids import Address
from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

MAX_CONNECTIONS = 64  # a few scrapers and probes; past that the newest are turned away at once
MAX_HEADER = 8 * 1024  # bytes of a request line and its headers: scrapers send some 300
MAX_BODY = 64 * 1024  # of a request; nothing here takes one, and a short one is read so that the answer arrives
RECEIVE_BYTES = 4096
REQUEST_WITHIN = 5.0  # seconds for a whole request, from its first byte, or from the start of the connection
IDLE = 75.0  # seconds between requests on one connection: scrapers come every 15 to 60
SEND_WITHIN = 10.0  # seconds for a caller to take the answer, of some 100 kB
LINGER = 1.0  # for the last words to arrive
ACCEPT_PAUSE = 0.1  # out of descriptors: accepting again at once would spin
METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Handler: TypeAlias = Callable[[str], Awaitable[Response]]
"""Called with the path."""


class _Refused(Exception):
    """The caller's request cannot be answered; the connection ends with this."""

    def __init__(self, response: Response) -> None:
        self.response = response


class HttpServer:
    """Made by `open`; `run` serves until it is cancelled."""

    def __init__(self, listeners: list[trio.SocketListener], clock: Clock, handle: Handler) -> None:
        self._listeners = listeners
        self._clock = clock
        self._handle = handle
        self._connections = 0

    @classmethod
    async def open(cls, address: Address, clock: Clock, handle: Handler) -> HttpServer:
        """Raises OSError when `address` cannot be listened on."""
        try:
            listeners = await trio.open_tcp_listeners(address.port, host=address.host)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {address} for HTTP: {error.strerror or error}") from error
        return cls(listeners, clock, handle)

    @property
    def address(self) -> Address:
        return Address(*self._listeners[0].socket.getsockname()[:2])

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    log.warning("http_cannot_accept", error=errno.errorcode.get(error.errno or 0, str(error)))
                    await self._clock.sleep(ACCEPT_PAUSE)
                else:
                    nursery.start_soon(self._serve, stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER)
        self._connections += 1
        try:
            if self._connections > MAX_CONNECTIONS:
                await self._send(stream, connection, Response(503, "too many connections\n"), close=True)
                return
            patience = REQUEST_WITHIN
            while (request := await self._request(stream, connection, patience)) is not None:
                response = await self._answer(request)
                await self._send(stream, connection, response, head=request.method == b"HEAD")
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
                patience = IDLE
        except _Refused as refused:
            await self._last_words(stream, connection, refused.response)
        except h11.RemoteProtocolError as error:
            await self._last_words(stream, connection, Response(error.error_status_hint, f"{error}\n"))
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # gone, or it does not read: nobody to tell
        except Exception:  # a defect of ours: it must cost this connection, not the node
            log.exception("http_connection_failed")
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)

    async def _request(
        self, stream: trio.SocketStream, connection: h11.Connection, patience: float
    ) -> h11.Request | None:
        """The next request, its body read and dropped; None when none comes."""
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            with self._clock.move_on_after(patience) as scope:
                connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
            if scope.cancelled_caught:
                return None
            event = connection.next_event()
        request: h11.Request | None = None
        left = MAX_BODY
        with self._clock.move_on_after(REQUEST_WITHIN):
            while True:
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    left -= len(event.data)
                    if left < 0:
                        raise _Refused(Response(413, "no request here has a body\n"))
                elif isinstance(event, h11.EndOfMessage):
                    return request
                else:  # the caller closed, or wants what this does not speak
                    return None
                event = connection.next_event()
        raise _Refused(Response(408, f"no whole request within {REQUEST_WITHIN:g} s\n"))

    async def _answer(self, request: h11.Request) -> Response:
        if request.method.decode("ascii", "replace") not in METHODS:
            return Response(405, "GET and HEAD only\n", headers=(("Allow", ", ".join(METHODS)),))
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        try:
            return await self._handle(path)
        except Exception:
            log.exception("http_request_failed", path=path[:100])
            return Response(500, "internal error: see the log\n")

    async def _last_words(self, stream: trio.SocketStream, connection: h11.Connection, response: Response) -> None:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError), self._clock.move_on_after(LINGER):
                await self._send(stream, connection, response, close=True)
                await stream.send_eof()
                while await stream.receive_some(RECEIVE_BYTES):  # closed with something unread, it would be lost
                    pass

    async def _send(
        self,
        stream: trio.SocketStream,
        connection: h11.Connection,
        response: Response,
        *,
        head: bool = False,
        close: bool = False,
    ) -> None:
        body = response.body.encode()
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *response.headers,
            *([("Connection", "close")] if close else []),
        ]
        reason = HTTPStatus(response.status).phrase
        data = (
            connection.send(h11.Response(status_code=response.status, headers=headers, reason=reason.encode())) or b""
        )
        if not head:
            data += connection.send(h11.Data(data=body)) or b""
        data += connection.send(h11.EndOfMessage()) or b""
        with self._clock.fail_after(SEND_WITHIN):
            await stream.send_all(data)
