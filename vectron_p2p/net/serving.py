"""The answering end of one connection: what becomes of its requests.

A request gets a task and a cancel scope of its own, or, if whoever serves it can do that without waiting in between,
neither (`Quick`): a task costs more than a small request itself.

Owns deadlines, cancellation and the way from exceptions to error frames. Must not know what messages mean: a handler is
called with each request. Invariants: every request is answered exactly once or cancelled; nothing a caller sends or
omits takes down more than its own connection; tasks, queued bytes and connections are bounded.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Internal, VectronError
from vectron_p2p.net.link import HIGH_WATER, Link
from vectron_p2p.observability import tracing
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.connection import MAX_IN_FLIGHT, Connection
from vectron_p2p.protocol.errors import LocalProtocolError
from vectron_p2p.protocol.events import Cancelled, Closed, Event, HandshakeDone, Note, Request
from vectron_p2p.protocol.messages import Hello, Welcome
from vectron_p2p.protocol.registry import Encoded, is_large, steps

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address
    from vectron_p2p.net.interfaces import Stream
    from vectron_p2p.protocol.patterns import Patterns
    from vectron_p2p.runtime import Clock
    from vectron_p2p.runtime.callbacks import Done, TakeBack

log = get_logger(__name__)

HANDSHAKE_TIMEOUT = 5.0  # strangers hold a descriptor for no longer than this


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `node` is None for a client."""

    role: str
    node: str | None
    address: Address
    hello: Hello


Handler: TypeAlias = Callable[[Any, Caller], Awaitable[Any]]
NoteHandler: TypeAlias = Callable[[Any, Caller], None]
WelcomeFor: TypeAlias = Callable[[Hello], Welcome]
Quick: TypeAlias = Callable[[Request, Caller, float, "Done", bool], "TakeBack | None"]
"""(request, caller, when it came, done, whether the connection asks nothing else now): has a request answered without a
task. Returns what takes it back, or None: it needs a task. `done` gets the reply or a `VectronError`, now or later;
None says that it needs a task after all.
"""
OnAnswered: TypeAlias = Callable[[Any, Caller, float, "VectronError | None", int, int], None]
"""(message, caller, seconds that it took, the error it was answered with, bytes in, bytes out)."""


@dataclass(frozen=True, slots=True)
class Served:
    """One connection that is being served. `role` is "" before the greeting."""

    address: Address
    role: str
    node: str | None
    age: float
    requests: int
    in_flight: int
    bytes_in: int
    bytes_out: int


class _QuickOne:
    """A request that is being answered without a task."""

    __slots__ = ("answered", "began", "request", "serving", "tasks")

    def __init__(self, serving: Serving, request: Request, began: float, tasks: trio.Nursery) -> None:
        self.serving = serving
        self.request = request
        self.began = began
        self.tasks = tasks
        self.answered = False

    def done(self, answer: Any) -> None:
        self.answered = True
        self.serving.finish_quickly(self, answer)


class Serving:
    """One connection being served."""

    def __init__(
        self,
        stream: Stream,
        clock: Clock,
        welcome: WelcomeFor,
        handler: Handler,
        on_note: NoteHandler | None,
        max_in_flight: int,
        on_answered: OnAnswered | None,
        quick: Quick | None,
        patterns: Patterns | None = None,
    ) -> None:
        self.core = Connection("server", max_in_flight=max_in_flight)
        self.core.known = patterns
        self.link = Link(stream, self.core, clock, greet_within=HANDSHAKE_TIMEOUT)
        self._clock = clock
        self._welcome = welcome
        self._handler = handler
        self._on_note = on_note
        self._on_answered = on_answered
        self._quick = quick
        self._address = stream.remote
        self._opened = clock.now()
        self._requests = 0
        self._caller: Caller | None = None
        self._scopes: dict[int, trio.CancelScope] = {}
        self._quick_ones: dict[int, TakeBack] = {}

    async def run(self) -> None:
        try:
            await self.link.run(self._handle)
        finally:
            for take_back in self._quick_ones.values():  # nobody is there any more to answer
                take_back()
            self._quick_ones.clear()

    @property
    def role(self) -> str:
        return "" if self._caller is None else self._caller.role

    def served(self) -> Served:
        return Served(
            address=self._address,
            role=self.role,
            node=None if self._caller is None else self._caller.node,
            age=self._clock.now() - self._opened,
            requests=self._requests,
            in_flight=self.core.in_flight,
            bytes_in=self.link.bytes_in,
            bytes_out=self.link.bytes_out,
        )

    def _handle(self, event: Event, tasks: trio.Nursery) -> None:
        match event:
            case Request():
                self._requests += 1
                if self._quick is None or not self._begin_quickly(self._quick, event, tasks):
                    self._start(event, self.link.heard, tasks)
            case Cancelled(request_id):
                if request_id in self._quick_ones:
                    self._quick_ones.pop(request_id)()
                    self.core.abandon(request_id)
                elif request_id in self._scopes:  # else the handler is through already
                    self._scopes[request_id].cancel()
            case Note(message):
                self._take_note(message)
            case HandshakeDone(peer):
                assert isinstance(peer, Hello)
                self._greet(peer)
            case Closed(reason, error, corrupted):
                self.link.reason = self.link.reason or reason
                if corrupted:
                    log.warning("frame_corrupted", remote=str(self._address), reason=reason)
                if error is not None:
                    log.info("connection_refused", remote=str(self._address), reason=reason)
            case _:
                pass  # the core gives a server nothing else

    def _start(self, request: Request, began: float, tasks: trio.Nursery) -> None:
        # The scope is made here, so that its deadline and a CANCEL also count while the task waits for its turn.
        timeout = math.inf if request.timeout is None else request.timeout
        scope = self._clock.move_on_after(began + timeout - self._clock.now())
        self._scopes[request.id] = scope
        tasks.start_soon(self._answer, request.id, request.message, scope, request.size, began, request.trace)

    def _begin_quickly(self, quick: Quick, request: Request, tasks: trio.Nursery) -> bool:
        """Whether the request needs no task."""
        assert self._caller is not None
        one = _QuickOne(self, request, self.link.heard, tasks)
        take_back = quick(request, self._caller, one.began, one.done, self.core.in_flight == 1)
        if take_back is None:
            return False
        if not one.answered:
            self._quick_ones[request.id] = take_back
        return True

    def finish_quickly(self, one: _QuickOne, answer: Any) -> None:
        """`answer` is that of `one`."""
        self._quick_ones.pop(one.request.id, None)
        if self.core.closed:
            return
        try:
            if answer is None:
                self._start(one.request, one.began, one.tasks)
            elif self.core.pending_bytes > HIGH_WATER:
                one.tasks.start_soon(self._respond_later, one.request, one.began, answer)
            else:
                error = answer if isinstance(answer, VectronError) else None
                self._respond(one.request.id, one.request.like, answer, error, one.request.size, one.began)
        except Exception:  # a defect of ours: whoever calls this serves others too
            log.exception("request_failed", message=type(one.request.like).__name__)
            self.link.end("an internal error")

    def _greet(self, hello: Hello) -> None:
        try:
            welcome = self._welcome(hello)
        except VectronError as error:
            log.info("caller_refused", remote=str(self._address), peer=hello.node, reason=error.message)
            self.core.refuse(error)
        else:
            self._caller = Caller(hello.role, hello.node, self._address, hello)
            self.core.accept(welcome)

    def _take_note(self, message: Any) -> None:
        assert self._caller is not None
        if self._on_note is None:
            return
        try:
            self._on_note(message, self._caller)
        except Exception:
            log.exception("note_not_taken", message=type(message).__name__)

    async def _answer(
        self, request_id: int, message: Any, scope: trio.CancelScope, bytes_in: int, began: float, trace: int
    ) -> None:
        tracing.begin(trace)
        assert self._caller is not None
        reply: Any = None
        error: VectronError | None = None
        try:
            with scope:
                reply = await self._handler(message, self._caller)
                if is_large(reply):
                    reply = await encoded_in_steps(reply)
            if scope.cancelled_caught:
                error = DeadlineExceeded("the time given ran out on the node that was asked")
        except Exception as caught:
            error = _as_answer(caught, message)
        finally:
            del self._scopes[request_id]
        if error is not None:
            error.trace = tracing.text(tracing.current())  # of this request, though others may get the same object
        await self.link.room()  # the reply stays an object until the reader of the others has caught up
        self._respond(request_id, message, reply, error, bytes_in, began)

    async def _respond_later(self, request: Request, began: float, answer: Any) -> None:
        tracing.begin(request.trace)
        await self.link.room()
        error = answer if isinstance(answer, VectronError) else None
        self._respond(request.id, request.message, answer, error, request.size, began)

    def _respond(
        self, request_id: int, message: Any, reply: Any, error: VectronError | None, bytes_in: int, began: float
    ) -> None:
        assert self._caller is not None
        bytes_out = 0
        if error is None:
            try:
                bytes_out = self.core.respond(request_id, reply)
            except LocalProtocolError as caught:
                error = _as_answer(caught, message)
        if error is not None:
            bytes_out = self.core.respond_error(request_id, error)  # of no effect when the request was cancelled
        self.link.wake()
        if self._on_answered is not None and bytes_out >= 0:
            self._on_answered(message, self._caller, self._clock.now() - began, error, bytes_in, bytes_out)
        if log.wants("debug"):
            code = error.code if error is not None else None
            log.debug("answered", message=type(message).__name__, remote=str(self._address), failure=code)


async def encoded_in_steps(reply: Any) -> Encoded:
    """In steps, between which others have their turn."""
    work = steps(reply)
    while True:
        try:
            next(work)
        except StopIteration as done:
            encoded: Encoded = done.value
            return encoded
        await trio.lowlevel.checkpoint()


def _as_answer(caught: Exception, message: Any) -> VectronError:
    while isinstance(caught, ExceptionGroup) and all(isinstance(e, VectronError) for e in caught.exceptions[1:]):
        caught = caught.exceptions[0]  # a handler's nursery wraps the errors of its failed children: one tells enough
    if isinstance(caught, VectronError):
        return caught
    log.error("handler_failed", message=type(message).__name__, error=caught)
    return Internal(f"{type(caught).__name__} while answering {type(message).__name__}: {caught}")


async def serve_connection(
    stream: Stream,
    *,
    clock: Clock,
    welcome: WelcomeFor,
    handler: Handler,
    on_note: NoteHandler | None = None,
    max_in_flight: int = MAX_IN_FLIGHT,
    on_answered: OnAnswered | None = None,
    quick: Quick | None = None,
) -> None:
    """Serves one stream until it ends, and closes it.

    Args:
        welcome: Answers a caller's Hello, or raises the `VectronError` that turns it away.
        handler: Answers a request, or raises a `VectronError`; anything else is logged and answered `Internal`.
        Cancelled when
            the caller takes the request back, goes away, or its time is over.
        on_note: Takes one-way messages; must not block.
        max_in_flight: Requests at once; more are answered `Overloaded`.
        on_answered: Told of each request that was answered; not of those that were taken back.
        quick: Asked first.
    """
    await Serving(stream, clock, welcome, handler, on_note, max_in_flight, on_answered, quick).run()
