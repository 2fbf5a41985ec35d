"""Streams of the network in memory: two pipes, one each way, that keep order and have bounded buffers."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from vectron_p2p.net.interfaces import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import Address
    from vectron_p2p.testing.network import MemoryNetwork

WINDOW = 256 * 1024  # bytes under way one way; about what kernels keep on a local link


class Pipe:
    """Bytes on their way from one host to another."""

    __slots__ = ("_changed", "_last_at", "_pieces", "_world", "abandoned", "size", "source", "target")

    def __init__(self, world: MemoryNetwork, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.size = 0
        self.abandoned = False
        """Nobody reads any more."""
        self._world = world
        self._pieces: deque[tuple[float, bytes]] = deque()  # (when it arrives, bytes); b"" is the end
        self._last_at = 0.0
        self._changed = trio.Event()

    @property
    def blocked(self) -> bool:
        return self._world.is_blocked(self.source, self.target)

    @property
    def stalled(self) -> bool:
        """Whether a partition holds something back."""
        return bool(self._pieces) and self.blocked

    def push(self, data: bytes) -> None:
        self._world.record("stream" if data else "end", self.source, self.target, len(data))
        at = self._world.clock.now() + self._world.draw_delay(self.source, self.target, reliable=True)
        self._last_at = max(self._last_at, at)
        self._pieces.append((self._last_at, self._world.carried(self.source, self.target, data)))
        self.size += len(data)
        self.notify()

    def take(self, max_bytes: int) -> bytes | None:
        """What has arrived; None when nothing has, b"" at the end."""
        if not self._pieces or self.blocked or self._pieces[0][0] > self._world.clock.now():
            return None
        at, data = self._pieces[0]
        if not data:
            return b""
        if len(data) > max_bytes:
            self._pieces[0] = (at, data[max_bytes:])
            data = data[:max_bytes]
        else:
            self._pieces.popleft()
        self.size -= len(data)
        self.notify()
        return data

    async def wait(self) -> None:
        """Until something changes, or the next piece is due."""
        due = float("inf")
        if self._pieces and not self.blocked:
            # Before that, too, anything may change: a partition, a reset.
            due = max(self._pieces[0][0] - self._world.clock.now(), 0.0)
        with self._world.clock.move_on_after(due):
            await self._changed.wait()

    async def wait_for_room(self) -> None:
        await self._changed.wait()

    def notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class MemoryStream:
    """`Stream` of one end."""

    other: MemoryStream

    def __init__(
        self, world: MemoryNetwork, host: str, remote: Address, *, incoming: Pipe, outgoing: Pipe, caller: bool
    ) -> None:
        self.host = host
        self.caller = caller
        """Whether this is the end that connected."""
        self.incoming = incoming
        self.outgoing = outgoing
        self._world = world
        self._remote = remote
        self._broken = ""

    @property
    def remote(self) -> Address:
        return self._remote

    @property
    def closed(self) -> bool:
        return bool(self._broken)

    @property
    def stalled(self) -> bool:
        return self.incoming.stalled or self.outgoing.stalled

    def send_nowait(self, data: bytes) -> int:
        pipe = self.outgoing
        if self._broken or self._is_reset() or self._world.is_paused(self.host) or pipe.size + len(data) > WINDOW:
            return 0
        pipe.push(data)
        return len(data)

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        pipe = self.outgoing
        sent = 0
        while sent < len(data):
            await self._world.thawed(self.host)
            self._require_open()
            if self._is_reset():
                self.break_off("connection reset by peer")
                self._require_open()
            room = WINDOW - pipe.size
            if room <= 0:
                await pipe.wait_for_room()
                continue
            piece = data[sent : sent + room]
            pipe.push(piece)
            sent += len(piece)

    async def receive_some(self, max_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            await self._world.thawed(self.host)
            self._require_open()
            data = self.incoming.take(max_bytes)
            if data is not None:
                return data
            await self.incoming.wait()

    async def receive_each(self, max_bytes: int, take: Callable[[bytes], bool]) -> None:
        while take(data := await self.receive_some(max_bytes)) and data:
            pass

    async def aclose(self) -> None:
        if not self._broken:
            self.break_off("closed here")
            self.incoming.abandoned = True
            self.outgoing.push(b"")
        await trio.lowlevel.checkpoint()

    def break_off(self, reason: str) -> None:
        """This end is of no use any more; the other one is told nothing."""
        if not self._broken:
            self._broken = reason
            self._world.forget(self)
            self.incoming.notify()
            self.outgoing.notify()

    def _is_reset(self) -> bool:
        """Whether the other side has closed, and its machine would answer what is sent now with a reset."""
        return self.outgoing.abandoned and not self.outgoing.blocked

    def _require_open(self) -> None:
        if self._broken:
            raise ConnectionLost(f"{self._remote}: {self._broken}")
