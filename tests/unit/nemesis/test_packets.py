"""Packets as the switch reads and forges them."""

from __future__ import annotations

import struct

from simulations.nemesis import packets

FLOW = packets.Flow(bytes([10, 0, 0, 1]), 7700, bytes([10, 0, 0, 2]), 40_000)


def ones_sum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_forged_reset_is_a_sound_packet() -> None:
    data = packets.reset(FLOW, 4_000_000_000)
    packet = packets.parse(data)
    assert packet is not None
    assert (packet.source, packet.target, packet.protocol) == (FLOW.source, FLOW.target, packets.TCP)
    segment = packets.segment(packet)
    assert segment is not None
    assert (segment.flow, segment.flags) == (FLOW, packets.RST)
    assert struct.unpack_from(">I", packet.body, 4)[0] == 4_000_000_000
    # Over header and checksum together the sum of a sound packet has all bits set.
    assert ones_sum(data[:20]) == 0xFFFF
    assert ones_sum(FLOW.source + FLOW.target + struct.pack(">BBH", 0, 6, 20) + packet.body) == 0xFFFF


def test_what_is_no_packet_of_ours() -> None:
    assert packets.parse(b"") is None
    assert packets.parse(b"\x60" + bytes(60)) is None  # IPv6
    packet = packets.parse(packets.reset(FLOW, 1))
    assert packet is not None
    assert packets.segment(packet._replace(protocol=packets.UDP)) is None
    assert packets.segment(packet._replace(body=b"short")) is None


def test_the_way_back() -> None:
    assert FLOW.back.back == FLOW
    assert FLOW.back.source_port == FLOW.target_port
