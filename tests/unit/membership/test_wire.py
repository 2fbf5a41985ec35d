from __future__ import annotations

import dataclasses

import msgpack
import pytest

from vectron_p2p.membership.messages import (
    Ack,
    Gossip,
    Incarnation,
    Message,
    Nack,
    Ping,
    PingReq,
    PushPull,
    PushPullReply,
    Update,
)
from vectron_p2p.membership.wire import (
    CHECKSUM_BYTES,
    MAX_PACKET,
    MAX_STREAM,
    UPDATES_BUDGET,
    WIRE_VERSION,
    BadPacket,
    Envelope,
    decode_packet,
    encode_packet,
    sealed,
    update_size,
)
from vectron_p2p.model.ids import Address, ClusterId, NodeId
from vectron_p2p.model.nodes import Liveness

ENVELOPE = Envelope(ClusterId("c" * 36), 2, 17, b"\x01" * 32, NodeId("n1"), 99, 1_700_000_000_000, b"12345678")
HERE = Address("10.0.0.1", 7700)
UPDATES = (
    Update(NodeId("a"), HERE, Incarnation(3, 1), Liveness.SUSPECT, NodeId("b")),
    Update(NodeId("c"), Address("fe80::1", 1), Incarnation(1, 0), Liveness.DEAD, NodeId("c")),
    Update(NodeId("d"), Address("host.example", 65535), Incarnation(1, 0), Liveness.ALIVE, NodeId("d")),
)
MESSAGES: list[Message] = [
    Ping(7, NodeId("n2"), Incarnation(4, 2), HERE),
    Ping(7, NodeId("n2"), Incarnation(4, 2), HERE, UPDATES),
    Ack(2**33, NodeId("n2"), Incarnation(4, 2), HERE, UPDATES),
    PingReq(0, NodeId("n3"), UPDATES),
    Nack(1),
    Gossip(UPDATES),
    PushPull(UPDATES),
    PushPullReply(()),
]


def packed(packet: list) -> bytes:
    return sealed(msgpack.packb(packet))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_goes_in_comes_out(message):
    assert decode_packet(encode_packet(ENVELOPE, message)) == (ENVELOPE, message)


def longest(text: str, size: int) -> str:
    return (text * size)[:size]


@pytest.mark.parametrize("kind", [Ping, Ack])
def test_the_longest_packet_fits_a_datagram(kind):
    node, address = NodeId(longest("n", 64)), Address(longest("h", 255), 65535)
    big = Incarnation(2**62, 2**62)
    update = Update(node, address, big, Liveness.DEAD, NodeId(longest("b", 64)))
    updates = (update,) * (UPDATES_BUDGET // update_size(update))
    assert updates
    envelope = Envelope(ClusterId(longest("c", 64)), 2**62, 2**62, b"h" * 64, node, 2**62, 2**62, b"a" * 8)
    assert len(encode_packet(envelope, kind(2**62, node, big, address, updates))) <= MAX_PACKET


def test_the_size_of_an_update_is_an_upper_bound():
    for update in (*UPDATES, dataclasses.replace(UPDATES[0], incarnation=Incarnation(2**62, 2**62))):
        with_it = len(encode_packet(ENVELOPE, Gossip((update,))))
        assert with_it - len(encode_packet(ENVELOPE, Gossip(()))) <= update_size(update)


def test_a_packet_of_the_first_version_says_nothing_of_alerts():
    packet = body(0)
    packet[1] = packet[1][:7]
    envelope, message = decode_packet(packed(packet))
    assert envelope == dataclasses.replace(ENVELOPE, alerts=b"")
    assert message == MESSAGES[0]
    for wrong in (b"123456789", "12345678", None):
        packet[1] = [*packet[1][:7], wrong]
        with pytest.raises(BadPacket):
            decode_packet(packed(packet))


def test_every_cut_packet_is_bad():
    data = encode_packet(ENVELOPE, MESSAGES[1])
    for length in range(len(data)):
        with pytest.raises(BadPacket):
            decode_packet(data[:length])
    with pytest.raises(BadPacket):
        decode_packet(data + b"\x00")


def body(index: int) -> list:
    return msgpack.unpackb(encode_packet(ENVELOPE, MESSAGES[index])[CHECKSUM_BYTES:])


@pytest.mark.parametrize("index", range(len(MESSAGES)))
def test_fields_of_a_newer_node_are_ignored(index):
    version, envelope, tag, fields = body(index)
    data = packed([version, [*envelope, "new"], tag, [*fields, None], 5])
    assert decode_packet(data) == (ENVELOPE, MESSAGES[index])


@pytest.mark.parametrize("index", range(len(MESSAGES)))
def test_any_field_of_a_wrong_kind_is_bad(index):
    version, envelope, tag, fields = body(index)
    for wrong in (None, -1, 2**63, 1.5, True, "", [1], b"xx" * 100):
        for place in range(len(fields)):
            broken = [*fields[:place], wrong, *fields[place + 1 :]]
            with pytest.raises(BadPacket):
                decode_packet(packed([version, envelope, tag, broken]))
        for place in range(len(envelope)):
            broken = [*envelope[:place], wrong, *envelope[place + 1 :]]
            with pytest.raises(BadPacket):
                decode_packet(packed([version, broken, tag, fields]))
        with pytest.raises(BadPacket):
            decode_packet(packed([version, envelope, wrong, fields]))
        with pytest.raises(BadPacket):
            decode_packet(packed([wrong, envelope, tag, fields]))


@pytest.mark.parametrize(
    "update",
    [
        ["a", "h", 1, 1, 1, 0],
        ["a", "h", 1, 1, 1, 3, None],
        ["a", "h", 65536, 1, 1, 0, None],
        ["a", "", 1, 1, 1, 0, None],
        ["", "h", 1, 1, 1, 0, None],
        ["a", "h", 1, 1, 1, 0, ""],
        ["a" * 65, "h", 1, 1, 1, 0, None],
        ["a", "h" * 256, 1, 1, 1, 0, None],
        ["a", "h", 1, 1, 2**62 + 1, 0, None],
        [["a"], "h", 1, 1, 1, 0, None],
        "abcdefg",
    ],
)
def test_one_bad_update_makes_the_packet_bad(update):
    with pytest.raises(BadPacket):
        decode_packet(packed([WIRE_VERSION, body(0)[1], 5, [[update]]]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91" * 2000,  # nested deeper than any packet
        b"\xdd\xff\xff\xff\xff",  # four thousand million entries announced
        b"\xc7\x01\x05x",
        b"\x81\x01\x02",
        msgpack.packb([WIRE_VERSION, [], 1, []]),
        msgpack.packb([WIRE_VERSION + 1, [], 1, []]),
        b"\x94\x01\x90\x01\xa1\xff",
        bytes(MAX_STREAM + 1),
    ],
)
def test_odd_bytes_are_bad(data):
    for each in (data, sealed(data)):
        with pytest.raises(BadPacket):
            decode_packet(each)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_no_flipped_bit_passes(message):
    data = encode_packet(ENVELOPE, message)
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadPacket, match="checksum"):
            decode_packet(bytes(changed))
