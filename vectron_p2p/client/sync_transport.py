"""Blocking sockets: carries out the `Call`s of a blocking client.

A call has a connection to itself while it lasts (threads never wait for each other), taken from a pool of idle ones. It
is a generator that pauses between request and answer, so one thread may have several under way.
The sockets are non-blocking and waited for with poll, which costs two system calls less per request than socket
timeouts.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
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

IDLE_LINKS = 8  # kept per node: as many threads as a bulk load uses; more are closed when they come back


class BlockingLink:
    """One open connection, used by one thread at a time."""

    def __init__(self, address: Address, session: Session, *, timeout: float) -> None:
        self._link = Link(address, session)
        self._connection = self._link.connection
        deadline = time.monotonic() + timeout
        try:
            self._socket = socket.create_connection(address, timeout=timeout)
        except OSError as error:
            raise self._link.lost(error, sent=False) from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
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
        while True:
            for event in self._connection.receive(self._read(deadline, silence, patience)):
                if isinstance(event, Response) and event.id == request_id:
                    return event.message
                if isinstance(event, ErrorResponse) and event.id == request_id:
                    raise event.error
                if isinstance(event, Closed):
                    raise self._link.closed(event, sent=True)
            if self._connection.pending_bytes:  # answers to the node's pings
                self._flush(deadline, patience, sent=True)

    @property
    def usable(self) -> bool:
        """Whether the connection can take another request; takes in, without waiting, what came while it was idle."""
        if not self._link.current:
            return False
        events: list[Event] = []
        try:
            while not any(isinstance(event, Closed) for event in events):
                events = self._connection.receive(self._socket.recv(READ_BYTES))
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
            return self._socket.recv(READ_BYTES)
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
        stall = PING_AFTER_S + patience
        while data := self._connection.data_to_send():
            view = memoryview(data)
            while view:
                try:
                    view = view[self._socket.send(view) :]
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
            self._drop(step.address)  # the others to that node are most likely dead too
            raise
        finally:
            self._give_back(step.address, link)  # which closes it if its answer was not waited for

    def _take(self, address: Address) -> BlockingLink | None:
        idle = self._idle.get(address)
        while idle:
            with contextlib.suppress(IndexError):  # another thread was faster
                link = idle.pop()
                if link.usable:
                    return link
                link.close()
        return None

    def _give_back(self, address: Address, link: BlockingLink) -> None:
        idle = self._idle.setdefault(address, [])
        if link.idle and len(idle) < IDLE_LINKS and not self._closed:
            idle.append(link)
            self._drop_if_closed(address)
        else:
            link.close()

    def _drop_if_closed(self, address: Address) -> None:
        if self._closed:  # another thread closed the client meanwhile: nobody would come for these
            self._drop(address)

    def _drop(self, address: Address) -> None:
        idle = self._idle.get(address)
        while idle:
            with contextlib.suppress(IndexError):
                idle.pop().close()

    def close(self) -> None:
        """Closes idle connections; those in use are closed when their calls end."""
        self._closed = True
        for address in list(self._idle):
            self._drop(address)
