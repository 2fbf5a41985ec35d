"""A network namespace per node, and the packets between them switched here. A process of its own; Linux, root.

Each namespace has one device (TUN), whose other end is this program: it sees each IP packet of nodes and clients, and
loses, delays, doubles or passes it. So a partition is one for TCP too: nothing is accepted, segments are sent again
with growing pauses, connections stay half open. What `tc netem` and `iptables` would do, without the kernel modules
that they need.

Invariant: what it made (namespaces, devices) is gone when it ends; what a killed one left, the next one removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from simulations.nemesis import packets
from simulations.nemesis.control import Carrier, ignore_interrupts, obey
from simulations.nemesis.links import CLIENTS, SOUND

if TYPE_CHECKING:
    from simulations.nemesis.links import Pair

TUN = Path("/dev/net/tun")
SET_NAME = 0x400454CA  # TUNSETIFF of linux/if_tun.h
WITHOUT_HEADER = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI
MTU = 9000  # jumbo frames: a sixth of the packets that Ethernet's 1500 would make, each costs some 20 us here
AT_ONCE = 64  # packets of one device before the others have their turn
QUEUE = 1000  # packets that a device holds for us, as a real card does
PREFIX = "vectron-nemesis"
CLIENT_HOST = 254


def network_of(pid: int) -> str:
    """The /24 of the switch with this process id: two at once on one machine rarely have the same."""
    return f"10.213.{pid % 256}"


def namespace(pid: int, node: int) -> str:
    return f"{PREFIX}-{pid}-{node}"


class Switch(Carrier):
    def __init__(self, nodes: int, seed: int) -> None:
        super().__init__()
        self._network = network_of(os.getpid())
        self._random = random.Random(seed)
        self._nodes = nodes
        self._devices: dict[int, int] = {}
        """Descriptors by endpoint."""
        self._endpoints = {self._address(index): index for index in [*range(nodes), CLIENTS]}
        self._expected: dict[packets.Flow, int] = {}
        """Of each open flow the sequence number that its source expects from the other side."""
        self._later: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._sooner = trio.Event()
        self._stream_due: dict[Pair, float] = {}
        self._counted: Counter[str] = Counter()

    def _host(self, endpoint: int) -> str:
        return f"{self._network}.{CLIENT_HOST if endpoint == CLIENTS else endpoint + 1}"

    def _address(self, endpoint: int) -> bytes:
        return bytes(int(part) for part in self._host(endpoint).split("."))

    # --- devices ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        remove_left_over()
        for endpoint in [*range(self._nodes), CLIENTS]:
            name = f"vt{os.getpid()}.{endpoint % 100}"
            descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
            self._devices[endpoint] = descriptor
            fcntl.ioctl(descriptor, SET_NAME, struct.pack("16sH22x", name.encode(), WITHOUT_HEADER))
            inside: list[str] = []
            if endpoint != CLIENTS:
                space = namespace(os.getpid(), endpoint)
                _ip("netns", "add", space)
                _ip("link", "set", name, "netns", space)
                inside = ["-n", space]
                _ip(*inside, "link", "set", "lo", "up")  # a node may call itself
            _ip(*inside, "addr", "add", f"{self._host(endpoint)}/24", "dev", name)
            _ip(*inside, "link", "set", name, "mtu", str(MTU), "txqueuelen", str(QUEUE), "up")

    def close(self) -> None:
        for endpoint, descriptor in self._devices.items():
            os.close(descriptor)  # the device goes with its descriptor
            if endpoint != CLIENTS:
                with contextlib.suppress(subprocess.CalledProcessError):
                    _ip("netns", "del", namespace(os.getpid(), endpoint))
        self._devices = {}

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver_later)
            for endpoint in self._devices:
                nursery.start_soon(self._read, endpoint)

    # --- packets ----------------------------------------------------------------------------------------------------

    async def _read(self, endpoint: int) -> None:
        descriptor = self._devices[endpoint]
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            for _ in range(AT_ONCE):
                try:
                    data = os.read(descriptor, MTU + 1)
                except BlockingIOError:
                    break
                self._switch(endpoint, data)

    def _switch(self, source: int, data: bytes) -> None:
        packet = packets.parse(data)
        target = None if packet is None else self._endpoints.get(packet.target)
        if packet is None or target is None or packet.source != self._address(source):
            self._counted["strangers"] += 1  # multicast, IPv6: the kernel's own talk
            return
        self._follow(packet)
        link = self.links.get((source, target), SOUND)
        passes = link.udp if packet.protocol == packets.UDP else link.tcp
        kind = "udp" if packet.protocol == packets.UDP else "tcp"
        if not passes or self._random.random() < link.loss:
            self._counted[f"{kind}_dropped"] += 1
            return
        self._counted[kind] += 1
        for _ in range(2 if self._random.random() < link.duplicate else 1):
            due = trio.current_time() + link.delay + link.jitter * self._random.random()
            if kind == "tcp":  # in order: a path that reorders streams all the time is no network that anybody has
                due = self._stream_due[source, target] = max(due, self._stream_due.get((source, target), 0.0))
            if due <= trio.current_time():
                self._deliver(target, data)
            else:
                self._number += 1
                heapq.heappush(self._later, (due, self._number, target, data))
                self._sooner.set()

    def _deliver(self, target: int, data: bytes) -> None:
        try:
            os.write(self._devices[target], data)
        except OSError:  # its queue is full
            self._counted["overflow"] += 1

    async def _deliver_later(self) -> None:
        while True:
            self._sooner = trio.Event()
            due = self._later[0][0] if self._later else float("inf")
            with trio.move_on_at(due):
                await self._sooner.wait()
            while self._later and self._later[0][0] <= trio.current_time():
                _, _, target, data = heapq.heappop(self._later)
                self._deliver(target, data)

    # --- resets -----------------------------------------------------------------------------------------------------

    def _follow(self, packet: packets.Packet) -> None:
        segment = packets.segment(packet)
        if segment is None:
            return
        if segment.flags & packets.RST:
            self._expected.pop(segment.flow, None)
            self._expected.pop(segment.flow.back, None)
        elif segment.flags & packets.ACK:
            self._expected[segment.flow] = segment.ack

    def reset(self, pairs: list[Pair]) -> None:
        wanted = {frozenset(pair) for pair in pairs}
        for flow, sequence in list(self._expected.items()):
            source, target = self._endpoints[flow.source], self._endpoints[flow.target]
            if frozenset((source, target)) in wanted:
                self._deliver(source, packets.reset(flow.back, sequence))
                self._counted["reset"] += 1
                del self._expected[flow]

    def figures(self) -> dict[str, int]:
        return dict(sorted(self._counted.items()))


def remove_left_over() -> None:
    """Namespaces of switches that were killed."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        pid = name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if name.startswith(f"{PREFIX}-") and not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


async def main(nodes: int, seed: int) -> None:
    switch = Switch(nodes, seed)
    try:
        switch.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(switch.run)
            await obey(switch, {"pid": os.getpid()})
            nursery.cancel_scope.cancel()
    finally:
        switch.close()


if __name__ == "__main__":
    ignore_interrupts()
    _, _nodes, _seed = sys.argv
    trio.run(main, int(_nodes), int(_seed))
