"""A network in memory, with faults on demand: loss, delay, partitions, changed bits, killed and paused hosts.

Owns a world of named hosts. It runs on the clock and the random numbers it is handed, has no tasks of its own and
iterates over nothing unordered: equal seeds give equal runs. Streams keep order and have bounded buffers; a partition
stalls them silently, and after it they go on or break, as drawn. Packets are lost, duplicated and reordered.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.ids import Address
from vectron_p2p.net.interfaces import MAX_PACKET, ConnectionLost, ConnectionRefused
from vectron_p2p.testing.memory_stream import MemoryStream, Pipe

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from vectron_p2p.runtime import Clock

ACCEPT_QUEUE = 128
PACKET_QUEUE = 1024  # packets that wait for a receiver; what comes then is lost, as in a kernel
FIRST_PORT = 40_000  # of those drawn for port 0 and for the calling ends of streams
RETRANSMIT = 0.2  # what a lost segment costs a stream


class MemoryNetwork:
    """The world. `trace`, when set, is called with (now, kind, source host, target host, bytes) at each thing that
    happens.
    """

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self.random = rng
        self.trace: Callable[[float, str, str, str, int], None] | None = None
        self._loss = 0.0
        self._duplication = 0.0
        self._delay = (0.0, 0.0)
        self._blocked: Counter[tuple[str, str]] = Counter()
        self._slow: dict[tuple[str, str], float] = {}
        self._noise: dict[tuple[str, str], float] = {}
        self._streams_lose = True
        self._groups: dict[str, int] = {}
        self._paused: dict[str, trio.Event] = {}
        self._silent: set[str] = set()  # killed hosts whose machine is gone too: nothing is refused, nothing answers
        self._hosts: dict[str, MemoryHost] = {}
        self._endpoints: dict[Address, MemoryEndpoint] = {}
        self._streams: dict[MemoryStream, None] = {}
        self._next_port = FIRST_PORT
        self._changed = trio.Event()

    def host(self, name: str) -> MemoryHost:
        """The network as a process on `name` sees it. After `kill`, ask again: for the next process there."""
        known = self._hosts.get(name)
        if known is None or known.dead:
            known = self._hosts[name] = MemoryHost(self, name)
            self._silent.discard(name)
        return known

    # --- faults -------------------------------------------------------------------------------------------------------

    def set_loss(self, probability: float, *, streams: bool = True) -> None:
        """Of packets; a stream pays `RETRANSMIT` for what is lost, unless only datagrams are (not `streams`)."""
        self._loss = probability
        self._streams_lose = streams

    def set_duplication(self, probability: float) -> None:
        self._duplication = probability

    def set_delay(self, low: float, high: float) -> None:
        """Seconds one way, drawn for each packet and piece of a stream."""
        self._delay = (low, high)

    def partition(self, groups: Sequence[Iterable[str]]) -> None:
        """Only hosts of one group reach each other; hosts in no group form one more."""
        self._groups = {name: number for number, group in enumerate(groups, 1) for name in group}
        self._notify()

    def block(self, source: str, target: str) -> None:
        """Nothing goes from `source` to `target`; the other way stays open."""
        self.cut([(source, target)])

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Nothing goes from source to target of each pair. Cuts may overlap: each needs a `mend` of its own."""
        for pair in pairs:
            self._blocked[pair] += 1
        self._notify()

    def mend(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Takes one cut of each pair back; those that `heal` has ended already are left alone."""
        stalled = self._stalled()
        for pair in pairs:
            self._blocked[pair] -= self._blocked[pair] > 0
        self._go_on(stalled)

    def heal(self) -> None:
        """Ends partitions and cuts."""
        stalled = self._stalled()
        self._blocked.clear()
        self._groups = {}
        self._go_on(stalled)

    def _stalled(self) -> list[MemoryStream]:
        return [stream for stream in self._streams if stream.caller and stream.stalled]

    def _go_on(self, stalled: list[MemoryStream]) -> None:
        """Of the streams that held something back and could go on, half do and half break."""
        for stream in stalled:
            if not stream.closed and not stream.stalled and self.random.random() < 0.5:
                self.reset(stream, "connection reset after the partition")
        self._notify()

    def slow(self, pairs: Iterable[tuple[str, str]], seconds: float) -> None:
        """All that goes from source to target of each pair takes so much longer; 0 ends that."""
        for pair in pairs:
            self._slow[pair] = seconds

    def corrupt(self, pairs: Iterable[tuple[str, str]], probability: float) -> None:
        """One bit flips in such a part of the packets, and pieces of streams, from source to target; 0 ends that."""
        for pair in pairs:
            self._noise[pair] = probability

    def carried(self, source: str, target: str, data: bytes) -> bytes:
        """What arrives of `data`."""
        noise = self._noise.get((source, target), 0.0)
        if not noise or not data or self.random.random() >= noise:
            return data
        self.record("corrupt", source, target, len(data))
        changed = bytearray(data)
        changed[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    @property
    def slowed(self) -> bool:
        """Whether any path is slow."""
        return any(self._slow.values())

    def break_streams(self, one: str, other: str) -> None:
        """All connections between two hosts are reset; what was on its way is lost, in the middle of a frame too."""
        for stream in list(self._streams):
            if stream.caller and {stream.host, stream.other.host} == {one, other}:
                self.reset(stream, "connection reset on its way")

    def kill(self, name: str, *, silent: bool | None = None) -> None:
        """All endpoints and streams of `name` vanish at once. Peers see resets, or (`silent`; None: as drawn) nothing
        any more.
        """
        host = self._hosts.get(name)
        if host is None or host.dead:
            return
        self.record("kill", name, name, 0)
        host.dead = True
        if silent is None:
            silent = self.random.random() < 0.5
        if silent:
            self._silent.add(name)
        for endpoint in [endpoint for endpoint in self._endpoints.values() if endpoint.host is host]:
            endpoint.callers.clear()  # their streams are dealt with below, like all others
            endpoint.close()
        for stream in [stream for stream in self._streams if stream.host == name]:
            other = stream.other
            stream.break_off("killed")
            if not silent and not self.is_blocked(name, other.host):
                other.break_off("connection reset by peer")
        self.resume(name)
        self._notify()

    def pause(self, name: str) -> None:
        """The process on `name` neither sends nor receives; what comes for it waits, as far as buffers go."""
        self._paused.setdefault(name, trio.Event())

    def resume(self, name: str) -> None:
        event = self._paused.pop(name, None)
        if event is not None:
            event.set()

    # --- for hosts and streams ----------------------------------------------------------------------------------------

    def is_blocked(self, source: str, target: str) -> bool:
        if source == target:
            return False
        return self._blocked.get((source, target), 0) > 0 or self._groups.get(source, 0) != self._groups.get(target, 0)

    def is_paused(self, name: str) -> bool:
        return name in self._paused

    async def thawed(self, name: str) -> None:
        """Returns when `name` is not paused."""
        while (event := self._paused.get(name)) is not None:
            await event.wait()

    def record(self, kind: str, source: str, target: str, size: int) -> None:
        if self.trace is not None:
            self.trace(self.clock.now(), kind, source, target, size)

    def draw_delay(self, source: str, target: str, *, reliable: bool) -> float:
        delay = self.random.uniform(*self._delay) + self._slow.get((source, target), 0.0)
        if reliable and self._streams_lose:
            while self._loss and self.random.random() < min(self._loss, 0.9):
                delay += RETRANSMIT
        return delay

    def reset(self, stream: MemoryStream, reason: str) -> None:
        """Both ends break."""
        self.record("reset", stream.host, stream.other.host, 0)
        other = stream.other
        stream.break_off(reason)
        other.break_off(reason)

    def forget(self, stream: MemoryStream) -> None:
        self._streams.pop(stream, None)

    def bind(self, host: MemoryHost, address: Address) -> MemoryEndpoint:
        if address.port == 0:
            while Address(address.host, self._next_port) in self._endpoints:
                self._next_port += 1
            address = Address(address.host, self._next_port)
            self._next_port += 1
        if address in self._endpoints:
            raise OSError(f"cannot listen on {address}: address in use")
        endpoint = self._endpoints[address] = MemoryEndpoint(self, host, address)
        self._notify()
        return endpoint

    def unbind(self, address: Address) -> None:
        self._endpoints.pop(address, None)

    async def dial(self, host: MemoryHost, address: Address) -> MemoryStream:
        """Connects, however long it takes. Raises ConnectionLost when refused."""
        there, back = (host.name, address.host), (address.host, host.name)
        await self.clock.sleep(self.draw_delay(*there, reliable=True) + self.draw_delay(*back, reliable=True))
        await self.thawed(host.name)
        while True:
            endpoint = self._endpoints.get(address)
            target = endpoint.host.name if endpoint is not None else address.host
            if not (self.is_blocked(host.name, target) or self.is_blocked(target, host.name) or target in self._silent):
                break
            await self._changed.wait()
        self.record("connect" if endpoint is not None else "refuse", host.name, target, 0)
        if host.dead or endpoint is None or len(endpoint.callers) >= ACCEPT_QUEUE:
            raise ConnectionRefused(f"{address}: connection refused")
        outgoing, incoming = Pipe(self, host.name, target), Pipe(self, target, host.name)
        here = MemoryStream(self, host.name, address, incoming=incoming, outgoing=outgoing, caller=True)
        self._next_port += 1
        source = Address(host.name, self._next_port)
        far = MemoryStream(self, target, source, incoming=outgoing, outgoing=incoming, caller=False)
        here.other, far.other = far, here
        self._streams[here] = self._streams[far] = None
        endpoint.callers.append(far)
        endpoint.notify()
        return here

    def post(self, data: bytes, source: MemoryEndpoint, address: Address) -> None:
        """Sends a packet, or loses it."""
        target = self._endpoints.get(address)
        name = address.host if target is None else target.host.name
        here = source.host.name
        lost = target is None or len(data) > MAX_PACKET or self.is_blocked(here, name)
        lost = (self._loss > 0 and self.random.random() < self._loss) or lost
        if lost or target is None:
            self.record("lose", here, name, len(data))
            return
        copies = 2 if self._duplication and self.random.random() < self._duplication else 1
        for _ in range(copies):
            self.record("packet", here, name, len(data))
            at = self.clock.now() + self.draw_delay(here, name, reliable=False)
            target.deliver(at, self.carried(here, name, data), source.address)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        for stream in self._streams:
            stream.incoming.notify()


class MemoryHost:
    """`Network` of one process; of no use any more once its host was killed."""

    def __init__(self, world: MemoryNetwork, name: str) -> None:
        self.name = name
        self.dead = False
        self._world = world

    async def listen(self, address: Address) -> MemoryEndpoint:
        await trio.lowlevel.checkpoint()
        if self.dead:
            raise ConnectionLost("killed")
        return self._world.bind(self, address)

    async def connect(self, address: Address, *, timeout: float) -> MemoryStream:
        if not self.dead:
            with self._world.clock.move_on_after(timeout):
                return await self._world.dial(self, address)
        await trio.lowlevel.checkpoint()
        raise ConnectionLost(f"{address}: no answer within {timeout:.3g} s")


class MemoryEndpoint:
    """`Endpoint` of a host."""

    def __init__(self, world: MemoryNetwork, host: MemoryHost, address: Address) -> None:
        self.host = host
        self.callers: list[MemoryStream] = []
        self._world = world
        self._address = address
        self._packets: list[tuple[float, int, bytes, Address]] = []  # a heap by time of arrival
        self._count = 0
        self._closed = False
        self._changed = trio.Event()

    @property
    def address(self) -> Address:
        return self._address

    async def accept(self) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        while True:
            await self._world.thawed(self.host.name)
            self._require_open()
            if self.callers:
                return self.callers.pop(0)
            await self._changed.wait()

    async def receive_packet(self) -> tuple[bytes, Address]:
        await trio.lowlevel.checkpoint()
        clock = self._world.clock
        while True:
            await self._world.thawed(self.host.name)
            self._require_open()
            wait = self._packets[0][0] - clock.now() if self._packets else float("inf")
            if wait <= 0:
                _, _, data, source = heapq.heappop(self._packets)
                return data, source
            with clock.move_on_after(wait):
                await self._changed.wait()

    async def send_packet(self, data: bytes, address: Address) -> None:
        await trio.lowlevel.checkpoint()
        await self._world.thawed(self.host.name)
        if not self._closed:
            self._world.post(data, self, address)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._world.unbind(self._address)
            self._packets.clear()
            for stream in self.callers:  # never accepted: the kernel resets them
                self._world.reset(stream, "connection reset by peer")
            self.callers.clear()
            self.notify()

    def deliver(self, at: float, data: bytes, source: Address) -> None:
        if len(self._packets) < PACKET_QUEUE:
            self._count += 1
            heapq.heappush(self._packets, (at, self._count, data, source))
            self.notify()

    def notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _require_open(self) -> None:
        if self._closed:
            raise ConnectionLost("the endpoint is closed")
