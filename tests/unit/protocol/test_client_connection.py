"""The short way of a client's connection: what it sends and takes is what the long way would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.protocol.pair import HELLO, Pair, drain
from vectron_p2p.model.errors import NotFound
from vectron_p2p.protocol import messages
from vectron_p2p.protocol.client_connection import ClientConnection
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.errors import LocalProtocolError
from vectron_p2p.protocol.events import Closed, ErrorResponse, Event, Request, Response
from vectron_p2p.protocol.frames import MAX_BODY, PREFIX, Kind, encode_frame
from vectron_p2p.protocol.registry import encode
from vectron_p2p.protocol.requests import milliseconds

ASK = messages.Count("docs", None)
ANSWER = messages.CountReply(7)


class ShortPair(Pair):
    client: ClientConnection

    def __init__(self) -> None:
        super().__init__()
        self.client = ClientConnection(HELLO)


def short() -> tuple[ClientConnection, Connection]:
    pair = ShortPair.opened()
    assert isinstance(pair.client, ClientConnection)
    return pair.client, pair.server


def body(timeout: float = 2.0, trace: int = 9) -> bytes:
    return PREFIX.pack(milliseconds(timeout), trace) + encode(ASK)


def asked() -> tuple[ClientConnection, Connection, int]:
    client, server = short()
    request_id, frame = client.begin(body())
    (request,) = server.receive(frame)
    assert isinstance(request, Request)
    assert (request.id, request.message) == (request_id, ASK)
    return client, server, request_id


def answered(message: object = ANSWER) -> tuple[ClientConnection, int, bytes]:
    client, server, request_id = asked()
    server.respond(request_id, message)
    return client, request_id, drain(server)


@settings(max_examples=25)  # two handshakes each
@given(timeout=st.floats(0.0001, 1e7), trace=st.integers(0, 2**64 - 1), before=st.integers(0, 3))
def test_the_bytes_sent_are_those_of_the_long_way(timeout: float, trace: int, before: int) -> None:
    one, other = Pair.opened().client, short()[0]
    for client in (one, other):
        for _ in range(before):
            client.cancel(client.send_request(ASK))
            drain(client)
    request_id = one.send_request(ASK, timeout=timeout, trace=trace)
    assert other.begin(body(timeout, trace)) == (request_id, drain(one))


def test_an_answer_that_came_whole_is_taken_and_the_connection_is_clear_again() -> None:
    client, request_id, data = answered()
    assert not client.clear
    assert client.answer(request_id, data) == ANSWER
    assert client.clear
    assert client.in_flight == 0


def test_an_answer_cut_anywhere_is_left_to_the_long_way() -> None:
    for cut in range(len(answered()[2])):
        client, request_id, data = answered()
        assert client.answer(request_id, data[:cut]) is None
        events: list[Event] = client.receive(data[:cut]) if cut else []
        assert [*events, *client.receive(data[cut:])] == [Response(request_id, ANSWER)]


@pytest.mark.parametrize("with_error", [False, True])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_an_answer_that_did_not_come_alone_is_left_to_the_long_way(where: str, with_error: bool) -> None:
    client, server, request_id = asked()
    if where == "before":
        server.ping()
    if with_error:
        server.respond_error(request_id, NotFound("gone"))
    else:
        server.respond(request_id, ANSWER)
    if where == "behind":
        server.goodbye("stopping")
    data = drain(server)
    assert client.answer(request_id, data) is None
    events = client.receive(data)
    assert any(isinstance(event, ErrorResponse if with_error else Response) for event in events)
    assert client.clear == (False if where == "behind" else not client.pending_bytes)


def test_a_bit_that_flipped_anywhere_is_seen() -> None:
    _, _, data = answered()
    for at in range(4, len(data)):  # before: the length, which makes it another frame
        client, request_id, data = answered()
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert client.answer(request_id, changed) is None
        (closed,) = client.receive(changed)
        assert isinstance(closed, Closed)
        assert closed.corrupted


def test_the_late_answer_of_a_cancelled_request_is_passed_over() -> None:
    client, server = short()
    first = client.send_request(ASK)
    server.receive(drain(client))
    server.respond(first, messages.CountReply(1))
    late = drain(server)
    client.cancel(first)
    drain(client)
    request_id, frame = client.begin(body())
    server.receive(frame)
    server.respond(request_id, ANSWER)
    answer = drain(server)
    assert client.answer(request_id, late) is None
    assert client.receive(late) == []
    assert client.answer(request_id, answer) == ANSWER


def test_an_answer_that_cannot_be_understood_is_left_to_the_long_way() -> None:
    client, _, request_id = asked()
    data = encode_frame(Kind.RESPONSE, request_id, b"\xc1")
    assert client.answer(request_id, data) is None
    (event,) = client.receive(data)
    assert isinstance(event, ErrorResponse)
    assert client.clear


def test_what_stands_in_the_way() -> None:
    client, server = short()
    assert client.clear
    client.ping()
    assert not client.clear
    drain(client)
    assert client.clear
    server.ping()
    ping = drain(server)
    client.receive(ping[:5])
    assert not client.clear
    client.receive(ping[5:])
    assert not client.clear  # the pong is to be sent
    drain(client)
    assert client.clear
    client.send_request(ASK)
    drain(client)
    assert not client.clear
    client, server = short()
    server.goodbye("stopping")
    client.receive(drain(server))
    assert not client.clear


def test_a_request_that_needs_several_frames_has_no_short_way() -> None:
    client, _ = short()
    with pytest.raises(LocalProtocolError):
        client.begin(bytes(MAX_BODY + 1))
    assert client.clear
