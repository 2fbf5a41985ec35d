"""One stream under one protocol connection: the tasks that read, write and keep it alive.

Owns the life of the stream; both ends use it. Must not know what requests are for. Invariants: no caller
waits in a send, so a cancelled one never leaves half a frame on the stream; all that is queued when the writer wakes
goes out in one write; a stream that makes no progress for `DEAD_AFTER` ends, and much sooner one whose other side owes
answers and gives no sign of life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.silence import Silence, Verdict
from vectron_p2p.protocol.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.net.interfaces import Stream
    from vectron_p2p.protocol.connection import Connection
    from vectron_p2p.protocol.events import Event
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

RECEIVE_BYTES = 64 * 1024  # larger reads cost an allocation beyond what malloc keeps at hand
PING_EVERY = 15.0  # silence after which a side asks; below the 30 s at which impatient middleboxes forget a connection
DEAD_AFTER = 45.0  # two lost answers; peers learn of deaths from membership long before
OWING_EVERY = 1.0  # between looks whether answers are owed at all: a timer for each request would cost more than it
OWING_PATIENCE = (
    2.0  # for the answer to a ping of who owes some: calls are to go elsewhere before a client of 5 s gives up
)
HIGH_WATER = 8 * 1024 * 1024  # queued bytes at which producers wait: a few bulk messages; the reader is slow, not we
EAGER_BYTES = 64 * 1024  # what a socket with an empty buffer surely takes; more is the writer's work
FLUSH_WITHIN = 1.0  # for the last words (why it ends) to somebody who may not listen


class Link:
    """Args:
    greet_within: Seconds for the handshake.
    """

    def __init__(self, stream: Stream, core: Connection, clock: Clock, *, greet_within: float) -> None:
        self.stream = stream
        self.core = core
        self.reason = ""
        """Why it ended."""
        self.silent = False
        """Whether it ended because the other side gave no sign of life."""
        self._clock = clock
        self._greet_within = greet_within
        self.heard = clock.now()
        """When the other side last sent anything."""
        self.bytes_in = 0
        self.bytes_out = 0
        self._writing_since: float | None = None
        self._idle = False  # the writer waits: nothing is queued, nothing under way
        self._rest = b""  # of a frame that went out in part
        self._wake = trio.Event()
        self._room = trio.Event()
        self._written = trio.Event()
        self._scope = trio.CancelScope()

    async def run(self, handle: Callable[[Event, trio.Nursery], None]) -> None:
        """Reads, writes and pings until either side ends it; then the stream is closed.

        Args:
            handle: Called with each event, and a nursery whose tasks are cancelled when nothing more can be read.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
                    if self.core.side == "client":
                        nursery.start_soon(self._watch_answers)
                    async with trio.open_nursery() as tasks:
                        await self._read(handle, tasks)
                        tasks.cancel_scope.cancel()
                    self._wake.set()
                    with self._clock.move_on_after(FLUSH_WITHIN):
                        await self._written.wait()
                    nursery.cancel_scope.cancel()
        except Exception:  # a defect of ours: it must cost this connection, not the node
            log.exception("connection_failed", remote=str(self.stream.remote))
            self.reason = "an internal error"
        finally:
            self.reason = self.reason or "closed here"
            self.core.stop()
            self._room.set()
            await self.stream.aclose()

    def end(self, reason: str) -> None:
        """Ends it at once, from any task."""
        self.reason = self.reason or reason
        self._scope.cancel()

    def wake(self) -> None:
        """The connection has bytes to send.

        On a quiet connection they go out at once: waking the writer costs a round of the scheduler, a fifth of what a
        small request takes in all. On a busy one the writer is woken, and takes what others queue until its turn along.
        """
        if self._idle and (data := self.core.last_data(EAGER_BYTES)):
            sent = self.stream.send_nowait(data)
            self.bytes_out += sent
            if sent == len(data):
                return
            self._rest = data[sent:]
        self._idle = False
        self._wake.set()

    async def room(self) -> None:
        """Waits while more than `HIGH_WATER` bytes are queued. No checkpoint when there is room."""
        while self.core.pending_bytes > HIGH_WATER and not self.core.closed:
            if self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()

    async def _read(self, handle: Callable[[Event, trio.Nursery], None], tasks: trio.Nursery) -> None:
        core, clock = self.core, self._clock

        def take(data: bytes) -> bool:
            self.heard = clock.now()
            self.bytes_in += len(data)
            for event in core.receive(data):
                handle(event, tasks)
            if core.pending_bytes:
                self.wake()
            return not core.closed and core.pending_bytes <= HIGH_WATER

        while not core.closed:
            try:
                await self.stream.receive_each(RECEIVE_BYTES, take)
            except ConnectionLost as error:
                self.reason = self.reason or str(error)
                core.stop()
                return
            await self.room()  # who does not read our answers is not read either

    async def _write(self) -> None:
        core, stream = self.core, self.stream
        try:
            while True:
                data, self._rest = self._rest or core.data_to_send(), b""
                if data:
                    self._writing_since = self._clock.now()
                    await stream.send_all(data)
                    self.bytes_out += len(data)
                    self._writing_since = None
                    if core.pending_bytes <= HIGH_WATER:
                        self._room.set()
                elif core.closed:
                    return
                else:
                    self._wake = trio.Event()
                    self._idle = True
                    await self._wake.wait()
        except ConnectionLost as error:
            self.end(str(error))
        finally:
            self._written.set()

    async def _watch_answers(self) -> None:
        """Ends the connection of a node that owes answers and has fallen silent: stopped, or cut off."""
        core, clock = self.core, self._clock
        while True:
            await clock.sleep(OWING_EVERY)
            heard, silence = self.heard, Silence(clock.now())
            while core.in_flight and core.state is State.OPEN:
                await clock.sleep(max(0.0, silence.deadline(OWING_PATIENCE) - clock.now()))
                if self.heard > heard:
                    heard = self.heard
                    silence.heard(heard)
                verdict = silence.look(clock.now(), OWING_PATIENCE)
                if verdict is Verdict.LOST:
                    self.silent = True
                    self.end("no sign of life")
                elif verdict is Verdict.PING:
                    silence.sent(core.pending_bytes)
                    core.ping()
                    self.wake()

    async def _keep_alive(self) -> None:
        await self._clock.sleep(self._greet_within)
        if self.core.state is not State.OPEN:
            self.end(f"no handshake within {self._greet_within:.3g} s")
        while True:
            await self._clock.sleep(PING_EVERY)
            now = self._clock.now()
            since = self._writing_since
            if since is not None and now - since >= DEAD_AFTER:
                self.end(f"the other side took no data for {now - since:.0f} s")
            silent = now - self.heard
            if silent >= DEAD_AFTER:
                self.silent = True
                self.end(f"nothing heard for {silent:.0f} s")
            elif silent >= PING_EVERY and self.core.state is State.OPEN:
                self.core.ping()
                self.wake()
