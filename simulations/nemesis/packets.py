"""IPv4 packets as the switch sees them: who sends to whom, and a forged end of a TCP connection. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

UDP, TCP = 17, 6
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
_IP = struct.Struct(">BBHHHBBH4s4s")
_TCP = struct.Struct(">HHIIBBHHH")
TIME_TO_LIVE = 64


class Packet(NamedTuple):
    """The headers that matter of an IPv4 packet without a fragment before it."""

    protocol: int
    source: bytes
    target: bytes
    body: bytes


class Flow(NamedTuple):
    """One direction of a TCP connection."""

    source: bytes
    source_port: int
    target: bytes
    target_port: int

    @property
    def back(self) -> Flow:
        return Flow(self.target, self.target_port, self.source, self.source_port)


@dataclass(frozen=True, slots=True)
class Segment:
    """Of a TCP header: `ack` is what its sender expects next, the one number that a reset has to know."""

    flow: Flow
    flags: int
    ack: int


def parse(data: bytes) -> Packet | None:
    """None: not IPv4, or no whole header."""
    if len(data) < _IP.size or data[0] >> 4 != 4:
        return None
    return Packet(data[9], data[12:16], data[16:20], data[(data[0] & 15) * 4 :])


def segment(packet: Packet) -> Segment | None:
    """The TCP header of `packet`; None when it has none."""
    if packet.protocol != TCP or len(packet.body) < _TCP.size:
        return None
    source_port, target_port, _, ack, _, flags, _, _, _ = _TCP.unpack_from(packet.body)
    return Segment(Flow(packet.source, source_port, packet.target, target_port), flags, ack)


def reset(flow: Flow, sequence: int) -> bytes:
    """A packet that ends the connection for the target of `flow`, if that expects `sequence` next."""
    head = (flow.source_port, flow.target_port, sequence, 0, _TCP.size // 4 << 4, RST, 0)
    pseudo = flow.source + flow.target + struct.pack(">BBH", 0, TCP, _TCP.size)
    body = _TCP.pack(*head, _checksum(pseudo + _TCP.pack(*head, 0, 0)), 0)
    length = _IP.size + len(body)
    address = (flow.source, flow.target)
    plain = _IP.pack(0x45, 0, length, 0, 0, TIME_TO_LIVE, TCP, 0, *address)
    return _IP.pack(0x45, 0, length, 0, 0, TIME_TO_LIVE, TCP, _checksum(plain), *address) + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))  # headers are of even length
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
