from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.protocol.pair import HELLO, WELCOME, Pair, carry, drain
from vectron_p2p.model.errors import (
    InvalidArgument,
    PermissionDenied,
)
from vectron_p2p.protocol.connection import MAGIC, PROTOCOL_VERSIONS, Connection
from vectron_p2p.protocol.events import (
    Closed,
    HandshakeDone,
)
from vectron_p2p.protocol.frames import MAX_BODY, Kind, encode_frame, encode_greeting
from vectron_p2p.protocol.messages import (
    Count,
    Hello,
    SwimNote,
)
from vectron_p2p.protocol.registry import encode
from vectron_p2p.protocol.states import EXPECTED, State

COUNT = Count("docs", None)
BIG = SwimNote(bytes(3 * MAX_BODY))


# --- handshake --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [None, 1, 7])
def test_handshake(step: int | None) -> None:
    pair = Pair()
    (event,) = pair.to_server(step)
    assert event == HandshakeDone(replace(HELLO, versions=list(PROTOCOL_VERSIONS)))
    assert pair.server.state is State.DECIDING
    pair.server.accept(WELCOME)
    (event,) = pair.to_client(step)
    assert event == HandshakeDone(replace(WELCOME, version=3))
    assert {pair.client.state, pair.server.state} == {State.OPEN}
    assert pair.client.peer == replace(WELCOME, version=3)


def test_a_refusal_is_typed_and_ends_both_sides() -> None:
    pair = Pair()
    pair.to_server()
    pair.server.refuse(PermissionDenied("you were removed", node="node-b"))
    (event,) = pair.to_client()
    assert isinstance(event, Closed)
    assert isinstance(event.error, PermissionDenied)
    assert event.error.message == "you were removed"
    assert event.error.node == "node-b"
    assert pair.client.closed
    assert pair.server.closed


def test_without_a_common_version_both_are_told_to_upgrade() -> None:
    server = Connection("server")
    greeting = MAGIC + encode(Hello([90, 91], "client"))
    (event,) = server.receive(encode_greeting(Kind.HELLO, greeting))
    assert isinstance(event, Closed)
    client = Connection("client", hello=HELLO)
    (answer,) = carry(server, client)
    assert isinstance(answer, Closed)
    assert isinstance(answer.error, InvalidArgument)
    assert answer.error.field == "versions"
    assert "[90, 91]" in answer.error.message


def before_checksums(data: bytes) -> bytes:
    """A greeting as versions 1 and 2 sent it: 0 in the place of the checksum."""
    return data[:6] + bytes(8) + data[14:]


def test_peers_older_than_checksums_are_told_to_upgrade() -> None:
    server = Connection("server")
    greeting = encode_greeting(Kind.HELLO, MAGIC + encode(Hello([2], "client")))
    (event,) = server.receive(before_checksums(greeting))
    assert isinstance(event, Closed)
    assert not event.corrupted
    assert "[2]" in event.reason
    client = Connection("client", hello=HELLO)
    (answer,) = client.receive(before_checksums(drain(server)))  # as they answer, too
    assert isinstance(answer, Closed)
    assert isinstance(answer.error, InvalidArgument)
    assert "upgrade" in answer.error.message


def test_a_greeting_of_this_version_has_a_checksum() -> None:
    client, server = Connection("client", hello=HELLO), Connection("server")
    (event,) = server.receive(before_checksums(drain(client)))
    assert isinstance(event, Closed)
    assert event.corrupted
    assert server.closed


def test_a_client_refuses_another_cluster() -> None:
    pair = Pair()
    pair.to_server()
    pair.server.accept(replace(WELCOME, cluster="cluster-2"))
    (event,) = pair.to_client()
    assert isinstance(event, Closed)
    assert isinstance(event.error, InvalidArgument)
    assert event.error.field == "cluster"
    (end,) = pair.to_server()
    assert isinstance(end, Closed)
    assert "cluster-2" in end.reason


def test_a_client_that_has_pinned_no_cluster_takes_any() -> None:
    pair = Pair(hello=Hello([], "client"))
    pair.to_server()
    pair.server.accept(WELCOME)
    assert isinstance(pair.to_client()[0], HandshakeDone)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        encode_frame(Kind.PING, 0),
        encode_frame(Kind.REQUEST, 1, bytes(12) + encode(COUNT)),
        encode_greeting(Kind.HELLO, encode(Hello([1], "client"))),  # without the magic
        encode_greeting(Kind.HELLO, MAGIC + encode(COUNT)),
        encode_greeting(Kind.HELLO, MAGIC + b"\xff"),
        encode_greeting(Kind.HELLO, MAGIC + encode(Hello([1], "client")))[:-1] + b"",
    ],
)
def test_strangers_are_turned_away(data: bytes) -> None:
    server = Connection("server")
    events = server.receive(data) + server.receive(b"")
    assert isinstance(events[-1], Closed)
    assert len(events) == 1
    assert server.closed
    assert server.receive(b"more") == []


def test_nothing_may_follow_the_hello_before_the_welcome() -> None:
    pair = Pair()
    data = drain(pair.client) + encode_frame(Kind.PING, 0)
    events = pair.server.receive(data)
    assert isinstance(events[0], HandshakeDone)
    assert isinstance(events[1], Closed)
    pair.server.accept(WELCOME)
    pair.server.refuse(PermissionDenied("too late as well"))
    (goodbye,) = pair.to_client()
    assert isinstance(goodbye, Closed)


def test_every_state_says_what_it_expects() -> None:
    sides: tuple[Any, ...] = ("client", "server")
    for side in sides:
        for state in State:
            assert ((side, state) in EXPECTED) == (
                state is not State.CLOSED and (side, state) != ("client", State.DECIDING)
            )
