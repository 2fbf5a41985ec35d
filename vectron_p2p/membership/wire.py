"""The byte form of packets: a checksum and `[version, envelope, tag, body]` in msgpack, every field checked.

Owns the layout and its caps. Must not know what messages mean, nor whether the cluster in the envelope is ours: the
driver compares that before it hands a message on.

Invariants: nothing is decoded of bytes that changed on their way (UDP's 16 bits, where it has any, let some of those
pass). `decode_packet` gives an envelope and a message or raises `BadPacket`, for any bytes. A packet with updates
within `UPDATES_BUDGET` has at most `MAX_PACKET` bytes. Unknown trailing fields are ignored: newer nodes may add some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack
import xxhash

from vectron_p2p.membership.messages import (
    LIVENESS,
    RANK,
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
    Updates,
)
from vectron_p2p.model.ids import Address, ClusterId, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

WIRE_VERSION = 2  # 2: a checksum opens the packet
CHECKSUM_BYTES = 8  # XXH3, as of frames
MAX_PACKET = 1400  # an Ethernet frame less IP, UDP and encryption; memberlist's figure
MAX_STREAM = 1024 * 1024  # a table of 5,000 members; control messages need no more
MAX_ID = 64  # a UUID has 36
MAX_HOST = 255  # longest DNS name
MAX_INT = 2**62  # leaves room to count on; msgpack carries 64 bits
MAX_HASH = 64  # blake2b at its longest
MAX_DIGEST = 8  # enough to see a difference; it rides in every packet

UPDATES_BUDGET = 800
"""Bytes of updates per packet: what is left of MAX_PACKET by the longest envelope (~240) and body (~350)."""


class BadPacket(ValueError):
    """These bytes are no packet of ours. Drop it and count it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Rides with every message; made and read by the driver.

    `generation`, `epoch` and `hash` are the catalog's, `counter` the sender's durable counter (rollback detection),
    `wall_ms` its wall clock (clock offsets), `alerts` a digest of what it knows of alerts; empty: of an older version.
    """

    cluster: ClusterId
    generation: int
    epoch: int
    hash: bytes
    sender: NodeId
    counter: int
    wall_ms: int
    alerts: bytes = b""


# --- encoding ---------------------------------------------------------------------------------------------------------


def update_size(update: Update) -> int:
    """Upper bound of the bytes of `update` in a packet: strings, their heads, and 32 for numbers and array heads."""
    by = 0 if update.by == update.node else len(update.by.encode())
    return len(update.node.encode()) + len(update.address.host.encode()) + by + 32


def _updates(updates: Updates) -> list[list[object]]:
    return [
        [
            update.node,
            update.address.host,
            update.address.port,
            update.incarnation.boot,
            update.incarnation.counter,
            RANK[update.liveness],
            None if update.by == update.node else update.by,
        ]
        for update in updates
    ]


def _about(message: Ping | Ack, node: NodeId) -> list[object]:
    host, port = message.address
    boot, counter = message.incarnation
    return [message.sequence, node, boot, counter, host, port, _updates(message.updates)]


def _body(message: Message) -> tuple[int, list[object]]:
    match message:
        case Ping():
            return 1, _about(message, message.target)
        case Ack():
            return 2, _about(message, message.node)
        case PingReq():
            return 3, [message.sequence, message.target, _updates(message.updates)]
        case Nack():
            return 4, [message.sequence]
        case Gossip():
            return 5, [_updates(message.updates)]
        case PushPull():
            return 6, [_updates(message.updates)]
        case PushPullReply():
            return 7, [_updates(message.updates)]


def encode_packet(envelope: Envelope, message: Message) -> bytes:
    """The bytes of one packet, for UDP and for TCP alike."""
    tag, body = _body(message)
    head = [
        envelope.cluster,
        envelope.generation,
        envelope.epoch,
        envelope.hash,
        envelope.sender,
        envelope.counter,
        envelope.wall_ms,
        envelope.alerts,
    ]
    packed: bytes = msgpack.packb((WIRE_VERSION, head, tag, body))
    return sealed(packed)


def sealed(packed: bytes) -> bytes:
    """With its checksum before it."""
    return xxhash.xxh3_64_digest(packed) + packed


# --- decoding ---------------------------------------------------------------------------------------------------------


def _list(value: Any, length: int) -> list[Any]:
    if type(value) is not list or len(value) < length:
        raise BadPacket(f"a list of {length} expected")
    return value


def _int(value: Any, high: int = MAX_INT) -> int:
    if type(value) is not int or not 0 <= value <= high:
        raise BadPacket("an int out of range")
    return value


def _text(value: Any, longest: int) -> str:
    if type(value) is not str or not 0 < len(value) <= longest:
        raise BadPacket("a text missing or too long")
    return value


def _node(value: Any) -> NodeId:
    return NodeId(_text(value, MAX_ID))


def _address(host: Any, port: Any) -> Address:
    return Address(_text(host, MAX_HOST), _int(port, 65535))


def _incarnation(boot: Any, counter: Any) -> Incarnation:
    return Incarnation(_int(boot), _int(counter))


def _update(value: Any) -> Update:
    node, host, port, boot, counter, rank, by = _list(value, 7)[:7]
    node = _node(node)
    return Update(
        node,
        _address(host, port),
        _incarnation(boot, counter),
        LIVENESS[_int(rank, len(LIVENESS) - 1)],
        node if by is None else _node(by),
    )


def _read_updates(value: Any) -> Updates:
    return tuple(_update(item) for item in _list(value, 0))


def _ping(body: list[Any]) -> Ping:
    sequence, target, boot, counter, host, port, updates = _list(body, 7)[:7]
    return Ping(
        _int(sequence), _node(target), _incarnation(boot, counter), _address(host, port), _read_updates(updates)
    )


def _ack(body: list[Any]) -> Ack:
    sequence, node, boot, counter, host, port, updates = _list(body, 7)[:7]
    return Ack(_int(sequence), _node(node), _incarnation(boot, counter), _address(host, port), _read_updates(updates))


def _ping_req(body: list[Any]) -> PingReq:
    sequence, target, updates = _list(body, 3)[:3]
    return PingReq(_int(sequence), _node(target), _read_updates(updates))


READERS: Final[dict[int, Callable[[list[Any]], Message]]] = {
    1: _ping,
    2: _ack,
    3: _ping_req,
    4: lambda body: Nack(_int(_list(body, 1)[0])),
    5: lambda body: Gossip(_read_updates(_list(body, 1)[0])),
    6: lambda body: PushPull(_read_updates(_list(body, 1)[0])),
    7: lambda body: PushPullReply(_read_updates(_list(body, 1)[0])),
}


def _envelope(value: Any) -> Envelope:
    cluster, generation, epoch, digest, sender, counter, wall_ms, *more = _list(value, 7)
    if type(digest) is not bytes or len(digest) > MAX_HASH:
        raise BadPacket("no hash")
    alerts = more[0] if more else b""  # the first version had none
    if type(alerts) is not bytes or len(alerts) > MAX_DIGEST:
        raise BadPacket("no digest of alerts")
    return Envelope(
        ClusterId(_text(cluster, MAX_ID)),
        _int(generation),
        _int(epoch),
        digest,
        _node(sender),
        _int(counter),
        _int(wall_ms),
        alerts,
    )


def decode_packet(data: bytes) -> tuple[Envelope, Message]:
    """The envelope and message in `data`.

    Raises:
        BadPacket: There is none.
    """
    if len(data) > MAX_STREAM:
        raise BadPacket(f"{len(data)} bytes are more than {MAX_STREAM}")
    packed = memoryview(data)[CHECKSUM_BYTES:]
    if xxhash.xxh3_64_digest(packed) != data[:CHECKSUM_BYTES]:
        raise BadPacket("a wrong checksum")
    try:
        packet = msgpack.unpackb(packed, max_ext_len=0, max_map_len=0)  # other lengths are capped by len(data)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise BadPacket(f"no msgpack: {error}") from error
    version, envelope, tag, body = _list(packet, 4)[:4]
    if type(version) is not int or version != WIRE_VERSION:
        raise BadPacket("an unknown version")
    reader = READERS.get(tag) if type(tag) is int else None
    if reader is None:
        raise BadPacket("an unknown kind of message")
    return _envelope(envelope), reader(body)
