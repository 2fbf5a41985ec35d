"""anyio sockets: carries out the `Call`s of an asynchronous client, on trio and on asyncio.

One connection per node carries all requests; a reader and a writer task per connection run in the client's task group.
Only the writer writes, so that a cancelled call never leaves half a frame behind. Invariant: no task of the group
raises; what goes wrong reaches the calls that wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from vectron_p2p.client.link import READ_BYTES, Link
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument
from vectron_p2p.protocol.events import Closed, ErrorResponse, Event, Goodbye, Response
from vectron_p2p.protocol.silence import Silence, Verdict

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.model.ids import Address

BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
CLOSING_S = 2.0  # for the tasks of all connections to end; they only have to notice that they were cancelled


class _Waiter:
    __slots__ = ("answered", "error", "reply")

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.reply: Any = None
        self.error: Exception | None = None


class AsyncLink:
    """One open connection, shared by all tasks."""

    def __init__(self, link: Link, stream: anyio.abc.ByteStream) -> None:
        self._link = link
        self._connection = link.connection
        self._stream = stream
        self._waiting: dict[int, _Waiter] = {}
        self._silence = Silence(0.0)  # of the span since calls wait
        self._wake = anyio.Event()
        self._scope = anyio.CancelScope()
        self.ended = anyio.Event()

    @classmethod
    async def open(cls, address: Address, session: Session) -> AsyncLink:
        """Dials and greets.

        Raises:
            VectronError: The node refused the handshake.
            LinkLost: No connection.
        """
        link = Link(address, session)
        try:
            stream = await anyio.connect_tcp(address.host, address.port)
        except OSError as error:
            raise link.lost(error.__cause__ or error, sent=False) from error
        try:
            await stream.send(link.connection.data_to_send())
            while not link.greeted(link.connection.receive(await _receive(stream))):
                pass
        except BROKEN as error:
            await anyio.aclose_forcefully(stream)
            raise error if isinstance(error, LinkLost) else link.lost(error, sent=False) from error
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return cls(link, stream)

    @property
    def usable(self) -> bool:
        return self._link.current and not self._scope.cancel_called

    async def call(self, message: Any, timeout: float, patience: float, trace: int = 0) -> Any:
        """The answer to `message`.

        Raises:
            VectronError: The node's, or DeadlineExceeded after `timeout` seconds.
            LinkLost: The connection broke, or a ping found no answer for `patience` seconds.
        """
        message, until = self._link.leased(message)
        queued = self._connection.pending_bytes
        request_id = self._connection.send_request(message, timeout=timeout, trace=trace)
        if not self._waiting:
            self._silence = Silence(anyio.current_time())
        self._silence.sent(self._connection.pending_bytes - queued)
        waiter = self._waiting[request_id] = _Waiter()
        self._wake.set()
        try:
            await self._answered(waiter, anyio.current_time() + timeout, patience)
        finally:
            del self._waiting[request_id]
            if not waiter.answered.is_set():
                self._connection.cancel(request_id)
                self._wake.set()
            self._end_if_retired()
        if isinstance(waiter.error, LinkLost):  # one for all that waited
            raise LinkLost(str(waiter.error), sent=waiter.error.sent, until=until) from waiter.error
        if waiter.error is not None:
            raise waiter.error
        if not waiter.answered.is_set():
            raise DeadlineExceeded(f"{self._link.address} did not answer in time")
        return waiter.reply

    async def _answered(self, waiter: _Waiter, deadline: float, patience: float) -> None:
        """Until the waiter has what it waits for, or `deadline`; ends the connection of a node that falls silent."""
        while not waiter.answered.is_set() and anyio.current_time() < deadline:
            with anyio.CancelScope(deadline=min(deadline, self._silence.deadline(patience))):
                await waiter.answered.wait()
                return
            verdict = self._silence.look(anyio.current_time(), patience)
            if verdict is Verdict.LOST:
                self._fail(self._link.lost("no sign of life", sent=True))
                self.stop()
            elif verdict is Verdict.PING and not self._connection.closed:
                self._connection.ping()
                self._wake.set()

    def retire(self) -> None:
        """No more calls come: end when those in flight have their answers."""
        self._connection.goodbye("done")
        self._wake.set()
        self._end_if_retired()

    def stop(self) -> None:
        """End now; calls in flight are lost."""
        self._scope.cancel()

    def _end_if_retired(self) -> None:
        if not self._connection.accepting and not self._waiting:
            self.stop()

    async def run(self) -> None:
        """Moves bytes until the connection ends."""
        reason: object = "the connection was closed"
        try:
            with self._scope:
                try:
                    async with anyio.create_task_group() as group:
                        group.start_soon(self._write)
                        await self._read()
                        group.cancel_scope.cancel()
                except* BROKEN as broken:
                    reason = broken.exceptions[0]
        finally:
            self._connection.receive(b"")
            self._fail(self._link.lost(reason, sent=True))
            self.ended.set()
            await anyio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        while not self._connection.closed:
            data = await _receive(self._stream)
            self._silence.heard(anyio.current_time())
            for event in self._connection.receive(data):
                self._take(event)
            if self._connection.pending_bytes:
                self._wake.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, Response | ErrorResponse):
            waiter = self._waiting.get(event.id)
            if waiter is not None:
                if isinstance(event, Response):
                    waiter.reply = event.message
                else:
                    waiter.error = event.error
                waiter.answered.set()
        elif isinstance(event, Closed):
            self._fail(self._link.closed(event, sent=True))
        elif isinstance(event, Goodbye):
            self._end_if_retired()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while data := self._connection.data_to_send():
                await self._stream.send(data)

    def _fail(self, error: Exception) -> None:
        for waiter in self._waiting.values():
            if not waiter.answered.is_set():
                waiter.error = error
                waiter.answered.set()


async def _receive(stream: anyio.abc.ByteStream) -> bytes:
    try:
        return await stream.receive(READ_BYTES)
    except anyio.EndOfStream:
        return b""


class AsyncSocketTransport:
    """One link per node, opened when first needed; tasks that need it at the same time share one dial."""

    def __init__(self, session: Session, group: anyio.abc.TaskGroup) -> None:
        self._session = session
        self._group = group
        self._links: dict[Address, AsyncLink] = {}
        self._dialling: dict[Address, anyio.Lock] = {}
        self._all: set[AsyncLink] = set()
        self._closed = False

    async def call(self, step: Call) -> Any:
        """Carries out `step`.

        Raises:
            VectronError: The node's, or DeadlineExceeded.
            LinkLost: No connection, or it broke.
        """
        started = anyio.current_time()
        link = await self._link(step)
        left = step.timeout - (anyio.current_time() - started)
        return await link.call(step.message, left, step.silence_timeout, step.trace)

    async def _link(self, step: Call) -> AsyncLink:
        link = self._links.get(step.address)
        if link is not None and link.usable:
            return link
        try:
            with anyio.fail_after(step.dial_timeout):
                async with self._dialling.setdefault(step.address, anyio.Lock()):
                    return await self._dial(step.address)
        except TimeoutError as error:
            raise LinkLost(f"{step.address}: no connection in time", sent=False) from error

    async def _dial(self, address: Address) -> AsyncLink:
        if self._closed:
            raise InvalidArgument("this client is closed")
        link = self._links.get(address)
        if link is not None:
            if link.usable:  # another task dialled meanwhile
                return link
            link.retire()
        link = await AsyncLink.open(address, self._session)
        self._links[address] = link
        self._all.add(link)
        self._group.start_soon(self._run, link)
        return link

    async def _run(self, link: AsyncLink) -> None:
        try:
            await link.run()
        finally:
            self._all.discard(link)

    async def aclose(self) -> None:
        """Ends all connections and waits for their tasks."""
        self._closed = True
        links = list(self._all)
        for link in links:
            link.stop()
        with anyio.move_on_after(CLOSING_S, shield=True):
            for link in links:
                await link.ended.wait()
