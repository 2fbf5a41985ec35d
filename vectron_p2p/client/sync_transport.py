"""Blocking sockets: carries out the `Call`s of a blocking client.

A call has a connection to itself while it lasts (threads never wait for each other), taken from a pool of idle ones. It
is a generator that pauses between request and answer, so one thread may have several under way.
Sockets are waited for with poll, for as long as is asked, and read and written without waiting. But most requests are
small and answered soon: `BlockingLink.ask` writes such a one and waits in the read itself, up to when there would be
something else to do. Between threads that share an interpreter the system calls are most of what a request costs.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from vectron_p2p.client.link import READ_BYTES, Link
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument
from vectron_p2p.protocol.events import Closed, ErrorResponse, Event, Response
from vectron_p2p.protocol.silence import PING_AFTER_S, Silence, Verdict

if TYPE_CHECKING:
    from vectron_p2p.client.blocking import Exchange
    from vectron_p2p.client.session import Session
    from vectron_p2p.model.ids import Address

ANSWER_BYTES = 16 * 1024  # room for what is most often one small answer; of a larger one the rest is read after it
LOOK_AFTER_S = 0.1  # a connection that was idle for less is not looked at: what ended it since then ends the call
_WAIT = struct.pack("@ll", 0, int(PING_AFTER_S * 1_000_000))  # a struct timeval
NOW = socket.MSG_DONTWAIT

IDLE_LINKS = 8  # kept per node: as many threads as a bulk load uses; more are closed when they come back


class BlockingLink:
    """One open connection, used by one thread at a time."""

    def __init__(self, address: Address, session: Session, *, timeout: float) -> None:
        self.used = 0.0
        """When it was last given back."""
        self._link = Link(address, session)
        self._connection = self._link.connection
        deadline = time.monotonic() + timeout
        try:
            self._socket = socket.create_connection(address, timeout=timeout)
        except OSError as error:
            raise self._link.lost(error, sent=False) from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(None)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _WAIT)
            self._readable, self._writable = select.poll(), select.poll()
            self._readable.register(self._socket, select.POLLIN)
            self._writable.register(self._socket, select.POLLOUT)
            self._flush(deadline, timeout, sent=False)
            while not self._link.greeted(self._connection.receive(self._read_greeting(deadline))):
                pass
        except BaseException:
            self.close()
            raise

    def exchange(self, message: Any, timeout: float, patience: float, trace: int = 0) -> Exchange:
        """The answer to `message`.

        Raises:
            VectronError: The node's, or DeadlineExceeded after `timeout` seconds; the link is then of no more use.
            LinkLost: The connection broke, or a ping found no answer for `patience` seconds.
        """
        message, until = self._link.leased(message)
        try:
            return (yield from self._exchange(message, timeout, patience, trace))
        except LinkLost as error:
            error.until = until
            raise

    def _exchange(self, message: Any, timeout: float, patience: float, trace: int) -> Exchange:
        deadline = time.monotonic() + timeout
        request_id = self._connection.send_request(message, timeout=timeout, trace=trace)
        size = self._connection.pending_bytes
        self._flush(deadline, patience, sent=True)
        silence = Silence(time.monotonic())
        silence.sent(size)
        yield
        return self._answer(request_id, None, deadline, silence, patience)

    def ask(self, body: bytes, now: float, timeout: float, patience: float) -> Any:
        """As `exchange`, of a request in bytes (see `ClientConnection.begin`) that changes nothing; `ready` must hold.

        Args:
            body: The request.
            now: The time.
            timeout: More than `PING_AFTER_S`.
            patience: As there.
        """
        request_id, frame = self._connection.begin(body)
        sent, data = 0, None
        try:
            sent = self._socket.send(frame, NOW)
            if sent == len(frame):
                data = self._socket.recv(ANSWER_BYTES)  # waits PING_AFTER_S at most
                if (message := self._connection.answer(request_id, data)) is not None:
                    return message
        except BlockingIOError:  # no room for it, or no answer yet
            pass
        except OSError as error:
            raise self._link.lost(error, sent=True) from error
        deadline = now + timeout
        silence = Silence(now)
        self._write(frame[sent:], deadline, patience, sent=True)
        silence.sent(len(frame))
        if data is not None:
            silence.heard(time.monotonic())
        return self._answer(request_id, data, deadline, silence, patience)

    def _answer(self, request_id: int, data: bytes | None, deadline: float, silence: Silence, patience: float) -> Any:
        """The answer to that request; `data`: what was read already."""
        while True:
            if data is None:
                data = self._read(deadline, silence, patience)
            for event in self._connection.receive(data):
                if isinstance(event, Response) and event.id == request_id:
                    return event.message
                if isinstance(event, ErrorResponse) and event.id == request_id:
                    raise event.error
                if isinstance(event, Closed):
                    raise self._link.closed(event, sent=True)
            data = None
            if self._connection.pending_bytes:  # answers to the node's pings
                self._flush(deadline, patience, sent=True)

    def ready(self, now: float) -> bool:
        """Whether `ask` may be called at `now`; costs no system call."""
        return now - self.used < LOOK_AFTER_S and self._link.current_at(now) and self._connection.clear

    @property
    def usable(self) -> bool:
        """Whether the connection can take another request; takes in, without waiting, what came while it was idle."""
        if not self._link.current:
            return False
        events: list[Event] = []
        try:
            while not any(isinstance(event, Closed) for event in events):
                events = self._connection.receive(self._socket.recv(READ_BYTES, NOW))
        except BlockingIOError:
            return self._link.current
        except OSError:
            return False
        return False

    @property
    def idle(self) -> bool:
        """Whether no answer is outstanding."""
        return self._connection.in_flight == 0 and not self._connection.closed

    def close(self) -> None:
        self._socket.close()

    def _read_greeting(self, deadline: float) -> bytes:
        while True:
            data = self._wait(deadline, deadline, sent=False)
            if data is not None:
                return data

    def _read(self, deadline: float, silence: Silence, patience: float) -> bytes:
        """What arrives next; b"" at the end of the stream. Gives a node up that falls silent."""
        while True:
            data = self._wait(deadline, silence.deadline(patience), sent=True)
            now = time.monotonic()
            if data is not None:
                silence.heard(now)
                return data
            verdict = silence.look(now, patience)
            if verdict is Verdict.LOST:
                raise self._link.lost("no sign of life", sent=True)
            if verdict is Verdict.PING:
                self._connection.ping()
                self._flush(deadline, patience, sent=True)

    def _wait(self, deadline: float, until: float, *, sent: bool) -> bytes | None:
        """What arrives by `until`, b"" at the end of the stream; None when nothing does."""
        now = time.monotonic()
        if now >= deadline:
            raise self._late(sent=sent)
        if not self._readable.poll(max(0, math.ceil((min(deadline, until) - now) * 1000))):
            return None
        try:
            return self._socket.recv(READ_BYTES, NOW)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._link.lost(error, sent=sent) from error

    def _late(self, *, sent: bool) -> Exception:
        """What a missed deadline means; before the greeting another node may still do."""
        if sent:
            return DeadlineExceeded(f"{self._link.address} did not answer in time")
        return self._link.lost("no greeting in time", sent=False)

    def _flush(self, deadline: float, patience: float, *, sent: bool) -> None:
        while data := self._connection.data_to_send():
            self._write(data, deadline, patience, sent=sent)

    def _write(self, data: bytes, deadline: float, patience: float, *, sent: bool) -> None:
        view, stall = memoryview(data), PING_AFTER_S + patience
        while view:
            try:
                view = view[self._socket.send(view, NOW) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._late(sent=sent) from None
                if not self._writable.poll(math.ceil(min(left, stall) * 1000)) and left > stall:
                    raise self._link.lost("it takes no data", sent=sent) from None
            except OSError as error:
                raise self._link.lost(error, sent=sent) from error


class SocketTransport:
    """The pool. Thread-safe: a list's append and pop are atomic, and a link is in a list or with one thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._idle: dict[Address, list[BlockingLink]] = {}
        self._closed = False

    def exchange(self, step: Call) -> Exchange:
        """Carries out `step`.

        Raises:
            VectronError: The node's, or DeadlineExceeded.
            LinkLost: No connection, or it broke.
        """
        if self._closed:
            raise InvalidArgument("this client is closed")
        deadline = time.monotonic() + step.timeout
        link = self._take(step.address) or BlockingLink(step.address, self._session, timeout=step.dial_timeout)
        try:
            left = deadline - time.monotonic()
            return (yield from link.exchange(step.message, left, step.silence_timeout, step.trace))
        except LinkLost:
            self.drop(step.address)  # the others to that node are most likely dead too
            raise
        finally:
            self.give_back(step.address, link)  # which closes it if its answer was not waited for

    def ready(self, address: Address, now: float) -> BlockingLink | None:
        """A connection to `ask` over, to be given back; None: that call must go by `exchange`."""
        try:
            link = self._idle[address].pop()
        except (KeyError, IndexError):
            return None
        if link.ready(now):
            return link
        self._idle[address].append(link)  # `exchange` looks at it
        return None

    def _take(self, address: Address) -> BlockingLink | None:
        idle = self._idle.get(address)
        while idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                link = idle.pop()
                if link.usable:
                    return link
                link.close()
        return None

    def give_back(self, address: Address, link: BlockingLink) -> None:
        """Keeps an idle connection for the next call; closes one that owes an answer."""
        idle = self._idle.get(address)
        if idle is None:
            idle = self._idle.setdefault(address, [])
        if link.idle and len(idle) < IDLE_LINKS and not self._closed:
            link.used = time.monotonic()
            idle.append(link)
            self._drop_if_closed(address)
        else:
            link.close()

    def _drop_if_closed(self, address: Address) -> None:
        if self._closed:  # another thread closed the client meanwhile: nobody would come for these
            self.drop(address)

    def drop(self, address: Address) -> None:
        """Closes the idle connections to `address`."""
        idle = self._idle.get(address)
        while idle:
            with contextlib.suppress(IndexError):
                idle.pop().close()

    def close(self) -> None:
        """Closes idle connections; those in use are closed when their calls end."""
        self._closed = True
        for address in list(self._idle):
            self.drop(address)
