"""One connection, sans-IO: bytes in, events and bytes out; the same class on both ends and in all shells.

How it works. The client opens with HELLO; the server answers HELLO (its `Welcome`), or ERROR and GOODBYE. Then the
client sends REQUESTs and NOTEs, each under a new id, as many at once as it likes; the server answers each REQUEST with
one RESPONSE or ERROR under the same id, in any order. CANCEL takes a request back. Either side may PING, and the other
answers PONG at once. GOODBYE announces the end: from a server it means "finish what is in flight, send nothing new".

A shell feeds what it reads to `receive`, acts on the events, and writes `data_to_send()` until that is empty. It never
raises for what the other side did: a breach of the protocol queues a GOODBYE and ends in `Closed`. A message that is
well framed but cannot be decoded only fails the request it belongs to.

Which frame may come in which state is the table `EXPECTED`; all else is a breach. Time is the shell's: it decides
when to ping and when silence has lasted too long.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.errors import Internal, InvalidArgument, Overloaded, Unavailable, VectronError
from vectron_p2p.protocol.errors import FrameCorrupted, LocalProtocolError, RemoteProtocolError
from vectron_p2p.protocol.events import (
    Cancelled,
    Closed,
    ErrorResponse,
    Event,
    Goodbye,
    HandshakeDone,
    Note,
    Response,
)
from vectron_p2p.protocol.frames import MAX_BODY, MAX_MESSAGE, SPLITTABLE, Frame, FrameReader, Kind, Reassembly
from vectron_p2p.protocol.messages import Hello, Welcome
from vectron_p2p.protocol.outgoing import Outgoing
from vectron_p2p.protocol.registry import decode, encode
from vectron_p2p.protocol.requests import pack_request, read_request
from vectron_p2p.protocol.states import EXPECTED, Side, State
from vectron_p2p.protocol.wire_errors import decode_error, encode_error

if TYPE_CHECKING:
    from vectron_p2p.protocol.patterns import Patterns

PROTOCOL_VERSIONS = (3,)
"""Versions this software speaks; frames have checksums since 3. The handshake itself never changes form."""

MAGIC = b"vctrn"  # opens both greetings: a stranger is told apart before anything of his is decoded
MAX_IN_FLIGHT = 1024  # requests per connection: far above any sane client, far below what tasks would cost
MAX_REASON = 500


class Connection:
    """Args:
    side: Who opened the stream is the client.
    hello: What a client introduces itself with; its `versions` are filled in here.
    max_in_flight: Requests a server takes at once; more are answered `Overloaded`.
    """

    def __init__(self, side: Side, *, hello: Hello | None = None, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        if (side == "client") != (hello is not None):
            raise LocalProtocolError("a client, and only a client, has a hello")
        self.side: Side = side
        self.state = State.GREETING
        self._when_open = EXPECTED[side, State.OPEN]  # most frames: looked up once
        self.peer: Hello | Welcome | None = None
        self.accepting = True
        """Whether new requests make sense: False after a GOODBYE in either direction."""
        self._hello = hello
        self._max_in_flight = max_in_flight
        self.known: Patterns | None = None
        """Requests that the server has seen; shared by its connections."""
        self._reader = FrameReader()
        self._parts = Reassembly()
        self._out = Outgoing()
        self._last_id = 0
        self._in_flight: dict[int, bool] = {}  # id -> still wanted by the other side (always True on a client)
        if hello is not None:
            self._out.greet(Kind.HELLO, MAGIC + encode(replace(hello, versions=list(PROTOCOL_VERSIONS))))

    # --- what shells ask ----------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def in_flight(self) -> int:
        """Requests without an answer; on a server also cancelled ones that still run."""
        return len(self._in_flight)

    @property
    def pending_bytes(self) -> int:
        """Bytes queued for writing."""
        return self._out.pending

    def data_to_send(self) -> bytes:
        """The bytes to write next, b"" when there are none; call again after each write."""
        return self._out.take()

    def last_data(self, at_most: int) -> bytes:
        """As `data_to_send`, when all that is queued is so little and at most one request is in flight; else b""."""
        return self._out.take() if self._out.pending <= at_most and len(self._in_flight) <= 1 else b""

    # --- bytes in -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Takes what the stream gave; b"" is its end."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        if not data:
            cut = " in the middle of a frame" if self._reader.held else ""
            self._out.clear()
            self._close(f"the other side closed the stream{cut}", None, events)
            return events
        try:
            self._reader.feed(data)
            while not self.closed and (frame := self._reader.next_frame()) is not None:
                self._dispatch(frame, events)
        except FrameCorrupted as error:
            # As a connection that broke: what is in flight may have been done or not.
            reason = f"bytes changed on their way, the connection is given up: {error}"
            self._out.clear()
            self.goodbye(reason)
            self._close(reason, None, events, corrupted=True)
        except RemoteProtocolError as error:
            reason = str(error)
            self._out.clear()
            self.goodbye(reason)
            self._close(f"broken protocol: {reason}", InvalidArgument(f"broken protocol: {reason}"), events)
        return events

    def _dispatch(self, frame: Frame, events: list[Event]) -> None:
        kind = frame.kind
        if (self.state is not State.OPEN or kind not in self._when_open) and kind not in EXPECTED[
            self.side, self.state
        ]:
            raise RemoteProtocolError(f"a {self.side} in state {self.state.value} takes no {kind.name}")
        if kind in SPLITTABLE:
            if self.side == "client":
                if not self._is_wanted(frame.id):
                    return
            elif frame.id in self._in_flight:
                raise RemoteProtocolError(f"id {frame.id} is in use")
            body = frame.body
            if frame.more or frame.id in self._parts:
                whole = self._parts.add(frame)
                if whole is None:
                    return
                body = whole
            if kind is Kind.REQUEST:
                self._take_request(frame.id, body, events)
            elif kind is Kind.RESPONSE:
                self._take_response(frame.id, body, events)
            else:
                self._take_note(body, events)
        elif kind is Kind.CANCEL:
            self._take_cancel(frame.id, events)
        elif kind is Kind.ERROR:
            self._take_error(frame, events)
        elif kind is Kind.PING:
            self._out.add(Kind.PONG, frame.id)
        elif kind is Kind.GOODBYE:
            self._take_goodbye(frame.body, events)
        elif kind is Kind.HELLO:
            self._take_greeting(frame, events)

    def _take_greeting(self, frame: Frame, events: list[Event]) -> None:
        body = frame.body
        if not body.startswith(MAGIC):
            raise RemoteProtocolError("this is no Vectron greeting")
        peer = decode(body[len(MAGIC) :])
        if self.side == "server":
            if type(peer) is not Hello:
                raise RemoteProtocolError("a client opens with Hello")
            self.state = State.DECIDING
            if not set(peer.versions) & set(PROTOCOL_VERSIONS):
                self._refuse_version(peer.versions, events)
                return
            self._require_checksum(frame)
        else:
            if type(peer) is not Welcome or peer.version not in PROTOCOL_VERSIONS:
                raise RemoteProtocolError("a server answers Hello with a Welcome of a version it was offered")
            self._require_checksum(frame)
            self._open()
            if self._hello is not None and self._hello.cluster is not None and peer.cluster != self._hello.cluster:
                text = f"that node belongs to cluster {peer.cluster}, not to {self._hello.cluster}"
                self.goodbye(text)
                self._close(text, InvalidArgument(text, field="cluster", node=peer.node), events)
                return
        self.peer = peer
        events.append(HandshakeDone(peer))

    def _require_checksum(self, greeting: Frame) -> None:
        if not greeting.id:
            raise FrameCorrupted("a greeting of this version has a checksum")

    def _refuse_version(self, offered: list[int], events: list[Event]) -> None:
        spoken = ", ".join(map(str, PROTOCOL_VERSIONS))
        text = f"this node speaks protocol {spoken}, the caller {str(offered)[:100]}: upgrade the older of the two"
        error = InvalidArgument(text, field="versions")
        self.refuse(error)
        events.append(Closed(text, error))

    def _take_request(self, request_id: int, body: bytes, events: list[Event]) -> None:
        in_flight = len(self._in_flight)
        self._in_flight[request_id] = True
        if in_flight >= self._max_in_flight:
            text = f"{in_flight} requests are in flight on this connection; wait for answers"
            self.respond_error(request_id, Overloaded(text))
            return
        if not self.accepting:
            self.respond_error(request_id, Unavailable("this node is stopping; ask another"))
            return
        try:
            request = read_request(request_id, body, self.known)
        except RemoteProtocolError as error:
            self.respond_error(request_id, InvalidArgument(f"this request cannot be understood: {error}"))
            return
        events.append(request)

    def _take_response(self, request_id: int, body: bytes, events: list[Event]) -> None:
        del self._in_flight[request_id]
        try:
            events.append(Response(request_id, decode(body)))
        except RemoteProtocolError as error:
            events.append(ErrorResponse(request_id, Internal(f"the reply cannot be understood: {error}")))

    def _take_error(self, frame: Frame, events: list[Event]) -> None:
        error = decode_error(frame.body)
        if self.state is State.GREETING:
            self._close(error.message, error, events)
        elif self._is_wanted(frame.id):
            self._parts.drop(frame.id)
            del self._in_flight[frame.id]
            events.append(ErrorResponse(frame.id, error))

    def _take_note(self, body: bytes, events: list[Event]) -> None:
        # A note of a newer peer, say: one-way messages may be lost, and there is nobody to tell.
        with contextlib.suppress(RemoteProtocolError):
            events.append(Note(decode(body)))

    def _take_cancel(self, request_id: int, events: list[Event]) -> None:
        self._parts.drop(request_id)
        self._out.withdraw(request_id)
        if self._in_flight.get(request_id):
            self._in_flight[request_id] = False
            events.append(Cancelled(request_id))

    def _take_goodbye(self, body: bytes, events: list[Event]) -> None:
        reason = body.decode("utf-8", "replace")[:MAX_REASON]
        if self.side == "server" or self.state is not State.OPEN:
            self._close(reason, None, events)
        else:
            self.accepting = False
            events.append(Goodbye(reason))

    def _is_wanted(self, request_id: int) -> bool:
        """On a client: whether an answer is still waited for; answers to cancelled requests are passed over."""
        if request_id in self._in_flight:
            return True
        if not 0 < request_id <= self._last_id:
            raise RemoteProtocolError(f"an answer to request {request_id}, which was never sent")
        return False

    # --- a server's side ----------------------------------------------------------------------------------------------

    def accept(self, welcome: Welcome) -> None:
        """Admits the caller; `welcome.version` is filled in. Of no effect when a breach closed the connection
        meanwhile.
        """
        if self.closed:
            return
        self._require(State.DECIDING)
        assert isinstance(self.peer, Hello)
        version = max(set(self.peer.versions) & set(PROTOCOL_VERSIONS))
        self._out.greet(Kind.HELLO, MAGIC + encode(replace(welcome, version=version)))
        self._open()

    def refuse(self, error: VectronError) -> None:
        """Turns the caller away with a typed error. Of no effect when a breach closed the connection meanwhile."""
        if self.closed:
            return
        self._require(State.DECIDING)
        self._out.greet(Kind.ERROR, encode_error(error))
        self.goodbye(error.message)
        self.state = State.CLOSED

    def respond(self, request_id: int, message: Any) -> int:
        """Answers a request, with so many bytes; nothing is sent when it was cancelled meanwhile: -1.

        Raises:
            LocalProtocolError: `message` is none; the request still wants an answer.
        """
        # Encoded first: when that raises, the request is still to be answered.
        body = encode(message) if self._in_flight.get(request_id) else b""
        if not self._finish(request_id):
            return -1
        if len(body) > MAX_MESSAGE:
            text = f"the answer takes {len(body)} bytes, more than {MAX_MESSAGE}: ask for less at once"
            self._out.add(Kind.ERROR, request_id, encode_error(InvalidArgument(text)))
        else:
            self._out.add(Kind.RESPONSE, request_id, body)
        return len(body)

    def respond_error(self, request_id: int, error: VectronError) -> int:
        if not self._finish(request_id):
            return -1
        self._out.add(Kind.ERROR, request_id, body := encode_error(error))
        return len(body)

    def abandon(self, request_id: int) -> None:
        """Ends a cancelled request without an answer."""
        self._finish(request_id)

    def _finish(self, request_id: int) -> bool:
        if self.state is State.CLOSED:
            self._in_flight.pop(request_id, None)
            return False
        if request_id not in self._in_flight:
            raise LocalProtocolError(f"request {request_id} has been answered, or never came")
        return self._in_flight.pop(request_id)

    # --- a client's side ----------------------------------------------------------------------------------------------

    def send_request(self, message: Any, *, timeout: float | None = None, trace: int = 0) -> int:
        """Queues a request and returns its id. `timeout` (seconds) tells the server how long the answer is of use.

        Raises:
            InvalidArgument: The message is too long for the wire.
            LocalProtocolError: Not open, or the server said goodbye (see `accepting`).
        """
        if not self.accepting:
            raise LocalProtocolError("the server takes no new requests")
        request_id = self._send(Kind.REQUEST, pack_request(message, timeout, trace))
        self._in_flight[request_id] = True
        return request_id

    def cancel(self, request_id: int) -> None:
        """Takes a request back; whatever comes for it is ignored. Harmless after its answer."""
        if self._in_flight.pop(request_id, None) is None or self.state is not State.OPEN:
            return
        self._parts.drop(request_id)
        if not self._out.withdraw(request_id):
            self._out.add(Kind.CANCEL, request_id)

    def note(self, message: Any) -> None:
        """Queues a one-way message."""
        self._send(Kind.NOTE, encode(message))

    def _send(self, kind: Kind, body: bytes) -> int:
        self._require(State.OPEN)
        if self.side != "client":
            raise LocalProtocolError("only a client sends requests and notes")
        if len(body) > MAX_MESSAGE:
            raise InvalidArgument(f"a message has at most {MAX_MESSAGE} bytes, this one {len(body)}: send less at once")
        self._last_id += 1
        self._out.add(kind, self._last_id, body)
        return self._last_id

    # --- either side --------------------------------------------------------------------------------------------------

    def ping(self) -> None:
        """Queues a PING: any byte that comes back shows that the other side lives."""
        self._require(State.OPEN)
        self._out.add(Kind.PING, 0)

    def goodbye(self, reason: str) -> None:
        """Announces the end. A server goes on answering what is in flight and refuses what is new."""
        if self.accepting and not self.closed:
            self.accepting = False
            body = reason[:MAX_REASON].encode("utf-8", "replace")
            if self.state is State.OPEN:
                self._out.add(Kind.GOODBYE, 0, body)
            else:
                self._out.greet(Kind.GOODBYE, body)

    def stop(self) -> None:
        """The stream is gone: nothing more comes or goes."""
        self.state = State.CLOSED
        self.accepting = False
        self._parts = Reassembly()
        self._out.clear()

    def _open(self) -> None:
        self.state = State.OPEN
        self._reader.limit = MAX_BODY

    def _close(self, reason: str, error: VectronError | None, events: list[Event], *, corrupted: bool = False) -> None:
        self.state = State.CLOSED
        self.accepting = False
        self._parts = Reassembly()
        events.append(Closed(reason, error, corrupted))

    def _require(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"the connection is {self.state.value}, not {state.value}")
