"""A TCP and UDP proxy in front of each node: faults per directed pair, without privileges. A process of its own.

Each node advertises the address of its proxy, so all others, and clients, reach it only through here. Who sends is
told apart without help from the node: a packet by the port it comes from (nodes send from the port they listen on), a
stream by the greeting it opens with, which names the node. Packets leave through the socket of their sender's proxy,
so that an answer to the address they came from comes back through here too.

What differs from a real network: a stream to a node that is cut off is accepted and then silent, instead of not being
accepted; loss concerns packets only. The network namespaces of `switch` have neither limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from simulations.nemesis.control import Carrier, ignore_interrupts, obey
from simulations.nemesis.links import CLIENTS, SOUND
from vectron_p2p.protocol.connection import MAGIC
from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.frames import FrameReader
from vectron_p2p.protocol.messages import Hello
from vectron_p2p.protocol.registry import decode

if TYPE_CHECKING:
    from simulations.nemesis.links import Link, Links, Pair

HOST = "127.0.0.1"
CHUNK = 64 * 1024
CHUNKS_UNDER_WAY = 64  # per direction of a stream; beyond it the sender feels back-pressure, as from a full pipe
GREET_WITHIN = 10.0  # as long as nodes wait for one
MAX_PACKET = 64 * 1024
LINGER_NOTHING = struct.pack("ii", 1, 0)  # close() then sends RST
UNKNOWN = -2  # a node that has no index yet: one that is joining
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass(eq=False, slots=True)
class Stream:
    """One connection through the proxy."""

    source: str | None
    """UUID of the node that opened it; None: a client."""
    target: int
    near: trio.SocketStream
    far: trio.SocketStream | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def reset(self) -> None:
        """End it as a machine does that forgot about it."""
        for each in (self.near, self.far):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOTHING)
                each.socket.close()
        self.scope.cancel()


class Proxy(Carrier):
    """Node `i` is reached at `fronts[i]` and listens at `backs[i]`."""

    def __init__(self, fronts: list[int], backs: list[int], seed: int, nursery: trio.Nursery) -> None:
        super().__init__()
        self._fronts = fronts
        self._backs = backs
        self._random = random.Random(seed)
        self._nursery = nursery
        self._index_of_port = {port: index for index, port in enumerate(backs)}
        self._index_of_node: dict[str, int] = {}
        self._packets: list[trio.socket.SocketType] = []
        self._listening: dict[int, trio.SocketListener] = {}
        self._down: set[int] = set()
        self._streams: list[Stream] = []
        self._changed = trio.Event()
        self._counted: Counter[str] = Counter()

    async def start(self) -> None:
        for front in self._fronts:
            sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            await sock.bind((HOST, front))
            self._packets.append(sock)
        for index in range(len(self._fronts)):
            self._nursery.start_soon(self._carry_packets, index)
        self._settle()

    # --- commands ---------------------------------------------------------------------------------------------------

    def relink(self, links: Links) -> None:
        self.links = links
        self._settle()

    def reset(self, pairs: list[Pair]) -> None:
        wanted = {frozenset(pair) for pair in pairs}
        for stream in list(self._streams):
            if frozenset((self._source(stream), stream.target)) in wanted:
                self._counted["reset"] += 1
                stream.reset()

    def know(self, index: int, node: str) -> None:
        self._index_of_node[node] = index

    def down(self, index: int) -> None:
        self._down.add(index)
        self._settle()

    def up(self, index: int) -> None:
        self._down.discard(index)
        self._settle()

    def figures(self) -> dict[str, int]:
        return dict(sorted(self._counted.items()))

    def _settle(self) -> None:
        """A node without a process refuses connections, unless the caller may not learn that: behind a cut it cannot
        even refuse."""
        blocked = {target for (_, target), link in self.links.items() if not link.tcp}
        for index in range(len(self._fronts)):
            closed = index in self._down and index not in blocked
            if closed and index in self._listening:
                self._listening.pop(index).socket.close()
            elif not closed and index not in self._listening:
                sock = socket.create_server((HOST, self._fronts[index]))
                sock.setblocking(False)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                self._listening[index] = listener
                self._nursery.start_soon(self._listen, index, listener)
        self._changed.set()
        self._changed = trio.Event()

    # --- packets ----------------------------------------------------------------------------------------------------

    async def _carry_packets(self, target: int) -> None:
        sock = self._packets[target]
        while True:
            try:
                data, address = await sock.recvfrom(MAX_PACKET)
            except OSError:  # an error of an earlier packet, reported late
                self._counted["udp_errors"] += 1
                continue
            source = self._index_of_port.get(address[1])
            if source is None:
                self._counted["udp_strangers"] += 1
                continue
            link = self.links.get((source, target), SOUND)
            if not link.udp or self._random.random() < link.loss:
                self._counted["udp_dropped"] += 1
                continue
            copies = 2 if self._random.random() < link.duplicate else 1
            for _ in range(copies):
                pause = self._pause(link)
                if pause > 0:
                    self._nursery.start_soon(self._deliver, data, source, target, pause)
                else:
                    await self._deliver(data, source, target, 0.0)

    async def _deliver(self, data: bytes, source: int, target: int, pause: float) -> None:
        await trio.sleep(pause)
        try:
            await self._packets[source].sendto(data, (HOST, self._backs[target]))
            self._counted["udp"] += 1
        except OSError:
            self._counted["udp_errors"] += 1

    def _pause(self, link: Link) -> float:
        return link.delay + link.jitter * self._random.random()

    # --- streams ----------------------------------------------------------------------------------------------------

    async def _listen(self, index: int, listener: trio.SocketListener) -> None:
        while True:
            try:
                near = await listener.accept()
            except (OSError, trio.ClosedResourceError):
                if self._listening.get(index) is not listener:
                    return
                await trio.sleep(0.1)  # out of descriptors: accepting again at once would spin
            else:
                self._nursery.start_soon(self._accepted, index, near)

    async def _accepted(self, target: int, near: trio.SocketStream) -> None:
        self._counted["tcp"] += 1
        try:
            greeting, source = await _greeting(near)
        except (trio.TooSlowError, *BROKEN, RemoteProtocolError):
            self._counted["tcp_strangers"] += 1
            await trio.aclose_forcefully(near)
            return
        stream = Stream(source, target, near)
        self._streams.append(stream)
        try:
            with stream.scope:
                await self._carry(stream, greeting)
        finally:
            self._streams.remove(stream)
            for each in (stream.near, stream.far):
                if each is not None:
                    await trio.aclose_forcefully(each)

    async def _carry(self, stream: Stream, greeting: bytes) -> None:
        await self._until_passable(stream, True, False)  # opening takes both ways
        if _gave_up(stream.near):
            return
        try:
            sock = trio.socket.socket()
            far = stream.far = trio.SocketStream(sock)
            await sock.connect((HOST, self._backs[stream.target]))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            self._counted["tcp_refused"] += 1
            stream.reset()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, stream, stream.near, far, True, greeting)
            nursery.start_soon(self._pump, stream, far, stream.near, False, b"")

    async def _pump(
        self, stream: Stream, source: trio.SocketStream, sink: trio.SocketStream, there: bool, first: bytes
    ) -> None:
        """One direction; reading and writing apart, so that a delay does not become a limit of throughput."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_UNDER_WAY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, stream, sink, there, receive)
            data = first
            while True:
                if data:
                    await send.send((trio.current_time() + self._pause(self._link(stream, there)), data))
                try:
                    data = await source.receive_some(CHUNK)
                except BROKEN:
                    await self._until_passable(stream, there)
                    stream.reset()
                    return
                if not data:
                    await send.send((trio.current_time(), b""))
                    return

    async def _write(
        self,
        stream: Stream,
        sink: trio.SocketStream,
        there: bool,
        receive: trio.MemoryReceiveChannel[tuple[float, bytes]],
    ) -> None:
        async for due, data in receive:
            await trio.sleep_until(due)
            await self._until_passable(stream, there)
            try:
                if not data:
                    await sink.send_eof()
                    return
                await sink.send_all(data)
            except BROKEN:
                stream.reset()
                return
            self._counted["tcp_bytes"] += len(data)

    async def _until_passable(self, stream: Stream, *ways: bool) -> None:
        """`ways`: True is from who opened the stream to the other, False the way back."""
        while not all(self._link(stream, way).tcp for way in ways):
            await self._changed.wait()

    def _link(self, stream: Stream, there: bool) -> Link:
        source = self._source(stream)
        pair = (source, stream.target) if there else (stream.target, source)
        return self.links.get(pair, SOUND)

    def _source(self, stream: Stream) -> int:
        return CLIENTS if stream.source is None else self._index_of_node.get(stream.source, UNKNOWN)


async def _greeting(stream: trio.SocketStream) -> tuple[bytes, str | None]:
    """The first bytes of a stream up to its whole greeting, and the UUID of the node that speaks."""
    reader, taken = FrameReader(), b""
    with trio.fail_after(GREET_WITHIN):
        while True:
            data = await stream.receive_some(CHUNK)
            if not data:
                raise RemoteProtocolError("ended before it greeted")
            taken += data
            reader.feed(data)
            frame = reader.next_frame()
            if frame is not None:
                break
    hello = decode(frame.body[len(MAGIC) :]) if frame.body.startswith(MAGIC) else None
    if not isinstance(hello, Hello):
        raise RemoteProtocolError("no greeting")
    return taken, hello.node if hello.role == "peer" else None


def _gave_up(stream: trio.SocketStream) -> bool:
    """Whether the other side has closed `stream` meanwhile: on a real network it would never have been opened."""
    with socket.socket(fileno=os.dup(stream.socket.fileno())) as looking:
        try:
            return looking.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


async def main(fronts: list[int], backs: list[int], seed: int) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(fronts, backs, seed, nursery)
        await proxy.start()
        await obey(proxy, {"fronts": fronts})
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    ignore_interrupts()
    _, _fronts, _backs, _seed = sys.argv
    trio.run(main, [int(port) for port in _fronts.split(",")], [int(port) for port in _backs.split(",")], int(_seed))
