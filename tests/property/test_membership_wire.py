"""Any bytes are a packet or a BadPacket, and every message survives its byte form."""

from __future__ import annotations

from random import Random

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.membership import (
    BadPacket,
    Envelope,
    MemberSeed,
    Swim,
    SwimConfig,
    Update,
    decode_packet,
    encode_packet,
)
from vectron_p2p.membership.dissemination import Dissemination
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
)
from vectron_p2p.membership.wire import CHECKSUM_BYTES, MAX_PACKET, WIRE_VERSION, sealed
from vectron_p2p.model.ids import Address, ClusterId, NodeId
from vectron_p2p.model.nodes import Liveness

count = st.integers(0, 2**62)
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
node = text.map(NodeId)
address = st.builds(Address, text, st.integers(0, 65535))
incarnation = st.builds(Incarnation, count, count)
update = st.builds(Update, node, address, incarnation, st.sampled_from(Liveness), node)
updates = st.lists(update, max_size=4).map(tuple)
envelopes = st.builds(Envelope, text.map(ClusterId), count, count, st.binary(max_size=64), node, count, count)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ping, count, node, incarnation, address, updates),
    st.builds(Ack, count, node, incarnation, address, updates),
    st.builds(PingReq, count, node, updates),
    st.builds(Nack, count),
    st.builds(Gossip, updates),
    st.builds(PushPull, updates),
    st.builds(PushPullReply, updates),
)


@given(envelopes, messages)
def test_round_trip(envelope, message):
    assert decode_packet(encode_packet(envelope, message)) == (envelope, message)


def decode(data: bytes) -> None:
    try:
        envelope, message = decode_packet(data)
    except BadPacket:
        return
    encode_packet(envelope, message)


@given(st.binary(max_size=300))
def test_any_bytes(data):
    decode(data)
    decode(sealed(data))


@given(envelopes, messages, st.data())
def test_bytes_changed_on_the_way(envelope, message, data):
    packet = bytearray(encode_packet(envelope, message)[CHECKSUM_BYTES:])
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    decode(sealed(bytes(packet)))


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | text | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(text, inner, max_size=3),
    max_leaves=30,
)


@given(st.integers(0, 8), trees, trees)
def test_any_tree_in_place_of_the_fields(tag, envelope, body):
    decode(sealed(msgpack.packb([WIRE_VERSION, envelope, tag, body])))
    good = ["c", 1, 1, b"", "n", 1, 1]
    decode(sealed(msgpack.packb([WIRE_VERSION, good, tag, body if isinstance(body, list) else [body]])))


@given(messages, st.sampled_from(["n1", "n2", "stranger"]), st.booleans())
def test_a_core_takes_any_message(message, sender, tcp):
    swim = Swim(NodeId("n0"), Address("n0", 1), SwimConfig.lan(), boot=1, random=Random(1), now=0.0)
    swim.set_members([MemberSeed(NodeId(name), Address(name, 1)) for name in ("n0", "n1", "n2")], 0.0)
    swim.receive(message, NodeId(sender), None if tcp else Address("x", 1), 0.0)
    for _ in range(50):
        swim.tick(swim.next_deadline)


long_text = st.integers(1, 64).map(lambda size: "x" * size)
long_updates = st.builds(
    Update,
    long_text.map(NodeId),
    st.builds(Address, st.integers(1, 255).map(lambda size: "h" * size), st.integers(0, 65535)),
    incarnation,
    st.sampled_from(Liveness),
    long_text.map(NodeId),
)


@given(st.lists(long_updates, max_size=30), st.none() | long_updates)
def test_what_dissemination_takes_fits_a_packet(queued, first):
    news = Dissemination(4)
    for item in queued:
        news.put(item)
    longest = NodeId("n" * 64)
    envelope = Envelope(ClusterId("c" * 64), 2**62, 2**62, b"h" * 64, longest, 2**62, 2**62, b"a" * 8)
    ack = Ack(2**62, longest, Incarnation(2**62, 2**62), Address("h" * 255, 65535), news.take(5, first))
    assert len(encode_packet(envelope, ack)) <= MAX_PACKET
