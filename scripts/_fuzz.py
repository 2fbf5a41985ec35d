"""Bytes that are no requests, at the TCP and UDP port of a node."""

from __future__ import annotations

import contextlib
import socket
import struct
import uuid
from typing import TYPE_CHECKING

from vectron_p2p.membership.messages import Gossip, Incarnation, Nack, Ping, PushPull, Update
from vectron_p2p.membership.wire import Envelope, encode_packet
from vectron_p2p.model.ids import Address, ClusterId, NodeId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.connection import Connection

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

HEADER = struct.Struct(">IBBQ")
TIMEOUT = 2.0


def greeting() -> bytes:
    """What a client says first."""
    return Connection("client", hello=m.Hello(versions=[], role="client")).data_to_send()


def requests() -> bytes:
    """Some sound requests, as one stream of bytes; they follow the greeting."""
    connection = Connection("client", hello=m.Hello(versions=[], role="client"))
    server = Connection("server")
    server.receive(connection.data_to_send())
    server.accept(m.Welcome(1, "c", "n", "n", 0, 0, "fuzz"))
    connection.receive(server.data_to_send())
    for message in (m.GetCluster(False), m.GetStatus(), m.ListCollections(), m.Count("limits", {"a": {"$gt": 1}})):
        connection.send_request(message, timeout=1.0)
    out = b""
    while data := connection.data_to_send():
        out += data
    return out


def mutate(data: bytes, rng: random.Random) -> bytes:
    """`data` with some bytes changed, cut out or put in."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(3):
            case 0 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 8)]
            case _:
                changed[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(changed)


def streams(rng: random.Random, count: int) -> Iterator[tuple[bytes, bytes]]:
    """What to send on `count` connections, one each: at once, and after the node's first answer (b"": nothing more)."""
    hello, sound = greeting(), requests()
    for number in range(count):
        match number % 9:
            case 0:
                yield rng.randbytes(rng.randint(1, 5000)), b""
            case 1:
                yield mutate(hello, rng), sound
            case 2:
                yield mutate(hello + sound, rng), b""  # a client that does not wait for its welcome
            case 3:
                yield hello, sound[: rng.randrange(len(sound))]  # cut in the middle of a frame
            case 4:
                yield hello, mutate(sound, rng)
            case 5:  # a length that would ask for gigabytes
                yield hello, HEADER.pack(rng.choice([0, 1, 2**31, 2**32 - 1]), rng.randrange(256), 0, 1)
            case 6:  # a well-formed frame around noise
                noise = rng.randbytes(rng.randint(0, 3000))
                yield hello, HEADER.pack(10 + len(noise), rng.randrange(12), rng.randrange(3), rng.randrange(5)) + noise
            case 7:  # msgpack that claims more than is there, deep and wide
                claims = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91" * 3000, b"\xc6\xff\xff\xff\xff"]
                body = bytes(4) + rng.choice(claims)
                yield hello, HEADER.pack(10 + len(body), 2, 0, 1) + body
            case _:
                yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b""


def send_stream(address: tuple[str, int], data: tuple[bytes, bytes], *, wait: bool) -> None:
    """Connect, send, perhaps wait for what comes back, and drop the connection.

    Raises:
        OSError: The node takes no connections.
    """
    first, then = data
    with socket.create_connection(address, TIMEOUT) as sock, contextlib.suppress(OSError):  # it may close first
        sock.settimeout(TIMEOUT)
        sock.sendall(first)
        if then and sock.recv(1 << 16):
            sock.sendall(then)
        if wait:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass


def foreign_packets() -> list[bytes]:
    """Sound packets of another cluster."""
    sender, target = NodeId(str(uuid.UUID(int=1))), NodeId(str(uuid.UUID(int=2)))
    envelope = Envelope(ClusterId(str(uuid.UUID(int=3))), 1, 7, bytes(32), sender, 5, 1_700_000_000_000)
    address, incarnation = Address("127.0.0.1", 7700), Incarnation(1, 1)
    update = Update(target, address, incarnation, Liveness.DEAD, sender)
    ping = Ping(9, target, incarnation, address, (update,))
    return [encode_packet(envelope, message) for message in (ping, Nack(9), Gossip((update,)), PushPull((update,)))]


def packets(rng: random.Random, count: int) -> Iterator[bytes]:
    """Datagrams: noise of any size, and sound packets, whole and mutated."""
    sound = foreign_packets()
    for number in range(count):
        if number % 20 == 1:
            yield rng.choice(sound)
        elif number % 2:
            yield mutate(rng.choice(sound), rng)
        else:
            yield rng.randbytes(rng.choice([0, 1, 10, 100, 1400, 9000, 60_000]))


def send_packets(address: tuple[str, int], datagrams: Iterator[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, address)
