"""The server: it accepts the connections of one endpoint and serves them (`net.serving`).

Owns how many there are, and their end. Invariant: connections are bounded, and the newest are turned away.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import trio

from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.rpc_client import RpcConnection
from vectron_p2p.net.serving import Caller, Handler, NoteHandler, OnAnswered, Quick, Served, Serving, WelcomeFor
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.connection import MAX_IN_FLIGHT
from vectron_p2p.protocol.patterns import Patterns

if TYPE_CHECKING:
    from vectron_p2p.net.interfaces import Endpoint, Stream
    from vectron_p2p.runtime import Clock

__all__ = ["Caller", "Handler", "NoteHandler", "Quick", "RpcConnection", "RpcServer", "Served"]

log = get_logger(__name__)

MAX_CONNECTIONS = 4096  # clients of one node; past that the newest are turned away at once
DRAIN_POLL = 0.02  # how often a stopping server looks whether the last answers are out


class RpcServer:
    """Accepts the connections of one endpoint and serves them."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        welcome: WelcomeFor,
        handler: Handler,
        on_note: NoteHandler | None = None,
        on_answered: OnAnswered | None = None,
        quick: Quick | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._welcome = welcome
        self._handler = handler
        self._on_note = on_note
        self._on_answered = on_answered
        self._quick = quick
        self._ended: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._max_connections = max_connections
        self._patterns = Patterns()
        self._serving: dict[Serving, None] = {}  # ordered: goodbyes go out in the same order in each run
        self._accepting = trio.CancelScope()

    @property
    def connections(self) -> int:
        return len(self._serving)

    @property
    def in_flight(self) -> int:
        """Requests being answered."""
        return sum(serving.core.in_flight for serving in self._serving)

    def served(self) -> list[Served]:
        """The connections that are open now."""
        return [serving.served() for serving in self._serving]

    def transferred(self, role: str) -> tuple[int, int]:
        """Bytes in and out on connections of callers of this role, since the start."""
        bytes_in, bytes_out = self._ended[role]
        for serving in self._serving:
            if serving.role == role:
                bytes_in += serving.link.bytes_in
                bytes_out += serving.link.bytes_out
        return bytes_in, bytes_out

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled, or until the endpoint is closed or `drain` was called and all callers have left."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            with self._accepting:
                while True:
                    try:
                        stream = await self._endpoint.accept()
                    except ConnectionLost:
                        break
                    if len(self._serving) >= self._max_connections:
                        log.warning("too_many_connections", connections=len(self._serving))
                        await stream.aclose()
                        continue
                    nursery.start_soon(self._serve, stream)

    async def _serve(self, stream: Stream) -> None:
        serving = Serving(
            stream,
            self._clock,
            self._welcome,
            self._handler,
            self._on_note,
            MAX_IN_FLIGHT,
            self._on_answered,
            self._quick,
            self._patterns,
        )
        self._serving[serving] = None
        try:
            await serving.run()
        finally:
            del self._serving[serving]
            ended = self._ended[serving.role]
            ended[0] += serving.link.bytes_in
            ended[1] += serving.link.bytes_out

    async def drain(self, timeout: float) -> None:
        """Takes no new connections and requests, waits up to `timeout` seconds for those in flight, then ends all."""
        self._accepting.cancel()
        for serving in self._serving:
            serving.core.goodbye("the node is stopping")
            serving.link.wake()
        with self._clock.move_on_after(timeout):
            while any(serving.core.in_flight or serving.core.pending_bytes for serving in self._serving):
                await self._clock.sleep(DRAIN_POLL)
        for serving in self._serving:
            serving.link.end("the node is stopping")
