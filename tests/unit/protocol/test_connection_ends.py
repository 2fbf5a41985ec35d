from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.protocol.pair import HELLO, WELCOME, Pair, drain
from vectron_p2p.model.errors import (
    Internal,
    NotFound,
    Unavailable,
    VectronError,
)
from vectron_p2p.protocol import frames
from vectron_p2p.protocol.connection import MAGIC, PROTOCOL_VERSIONS, Connection
from vectron_p2p.protocol.errors import LocalProtocolError
from vectron_p2p.protocol.events import (
    Closed,
    ErrorResponse,
    Goodbye,
    HandshakeDone,
    Note,
    Response,
)
from vectron_p2p.protocol.frames import MAX_BODY, Kind, encode_frame
from vectron_p2p.protocol.messages import (
    CatalogNote,
    Count,
    CountReply,
    Done,
    MerkleLeavesReply,
    SwimNote,
    Welcome,
)
from vectron_p2p.protocol.registry import encode
from vectron_p2p.protocol.states import State

COUNT = Count("docs", None)
BIG = SwimNote(bytes(3 * MAX_BODY))


# --- notes, pings, ends -----------------------------------------------------------------------------------------------


def test_notes_go_one_way() -> None:
    pair = Pair.opened()
    pair.client.note(CatalogNote({"kind": "pull"}))
    pair.client.note(BIG)
    assert pair.to_server() == [Note(CatalogNote({"kind": "pull"})), Note(BIG)]
    assert pair.to_client() == []
    assert pair.server.receive(encode_frame(Kind.NOTE, 90, b"\xc1")) == []
    assert pair.server.state is State.OPEN


def test_pings_are_answered() -> None:
    pair = Pair.opened()
    pair.client.ping()
    assert pair.to_server() == []
    assert drain(pair.server) == encode_frame(Kind.PONG, 0)
    pair.server.ping()
    assert pair.to_client() == []
    assert pair.to_server() == []


def test_a_server_that_says_goodbye_finishes_what_it_has() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.goodbye("stopping")
    pair.server.goodbye("stopping")
    late = pair.client.send_request(COUNT)
    assert pair.to_server() == []
    pair.server.respond(request_id, CountReply(1))
    goodbye, refusal, response = pair.to_client()
    assert goodbye == Goodbye("stopping")
    assert isinstance(refusal, ErrorResponse)
    assert refusal.id == late
    assert isinstance(refusal.error, Unavailable)
    assert refusal.error.retryable
    assert response == Response(request_id, CountReply(1))
    assert not pair.client.accepting
    with pytest.raises(LocalProtocolError):
        pair.client.send_request(COUNT)


def test_a_client_that_says_goodbye_is_gone() -> None:
    pair = Pair.opened()
    pair.client.send_request(COUNT)
    pair.to_server()
    pair.client.goodbye("bye")
    assert pair.to_server() == [Closed("bye")]
    pair.server.respond(1, CountReply(1))
    assert pair.server.in_flight == 0


@pytest.mark.parametrize("cut", [False, True])
def test_the_end_of_the_stream(cut: bool) -> None:
    pair = Pair.opened()
    if cut:
        pair.server.receive(encode_frame(Kind.PING, 0)[:-1])
    (event,) = pair.server.receive(b"")
    assert isinstance(event, Closed)
    assert ("middle" in event.reason) == cut
    assert pair.server.receive(b"") == []


@pytest.mark.parametrize(
    "data",
    [
        encode_frame(Kind.RESPONSE, 1, encode(Done())),
        encode_frame(Kind.HELLO, 0, MAGIC + encode(HELLO)),
        encode_frame(Kind.NOTE, 1, bytes(frames.MAX_BODY + 1)),
        encode_frame(Kind.REQUEST, 1, bytes(12) + encode(COUNT)) * 2,
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_and_closed(data: bytes) -> None:
    pair = Pair.opened()
    event = pair.server.receive(data)[-1]
    assert isinstance(event, Closed)
    assert isinstance(event.error, VectronError)
    (goodbye,) = pair.to_client()
    assert isinstance(goodbye, Goodbye)
    assert pair.server.receive(data) == []


def test_answers_to_questions_never_asked_are_a_breach() -> None:
    for kind, body in ((Kind.RESPONSE, encode(Done())), (Kind.ERROR, b"\x80")):
        pair = Pair.opened()
        (event,) = pair.client.receive(encode_frame(kind, 5, body))
        assert isinstance(event, Closed)
        assert "never sent" in event.reason


# --- misuse by this side ----------------------------------------------------------------------------------------------


def test_misuse_is_a_local_error() -> None:
    with pytest.raises(LocalProtocolError):
        Connection("client")
    with pytest.raises(LocalProtocolError):
        Connection("server", hello=HELLO)
    pair = Pair()
    for call in (lambda: pair.client.send_request(COUNT), pair.client.ping, lambda: pair.server.accept(WELCOME)):
        with pytest.raises(LocalProtocolError):
            call()
    pair = Pair.opened()
    for call in (
        lambda: pair.server.send_request(COUNT),
        lambda: pair.server.respond(1, Done()),
        lambda: pair.server.refuse(NotFound("")),
        lambda: pair.client.note(object()),
    ):
        with pytest.raises(LocalProtocolError):
            call()


def test_a_reply_that_is_no_message_leaves_the_request_to_be_answered() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    with pytest.raises(LocalProtocolError):
        pair.server.respond(request_id, None)
    pair.server.respond_error(request_id, Internal("defect"))
    assert isinstance(pair.to_client()[0], ErrorResponse)


def test_a_stopped_connection_is_silent() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.respond(request_id, MerkleLeavesReply(bytes(3 * MAX_BODY)))
    pair.server.stop()
    assert pair.server.data_to_send() == b""
    pair.client.stop()
    pair.client.cancel(request_id)
    assert pair.client.data_to_send() == b""


def test_the_versions_that_go_out_are_ours_whatever_the_shell_says() -> None:
    pair = Pair(hello=replace(HELLO, versions=[99]))
    (event,) = pair.to_server()
    assert isinstance(event, HandshakeDone)
    assert event.peer == replace(HELLO, versions=list(PROTOCOL_VERSIONS))
    pair.server.accept(Welcome(99, "cluster-1", "n", "n", 0, 0, "1"))
    (answer,) = pair.to_client()
    assert isinstance(answer, HandshakeDone)
    assert isinstance(answer.peer, Welcome)
    assert answer.peer.version in PROTOCOL_VERSIONS


def test_changed_bytes_end_a_connection_as_if_it_had_broken() -> None:
    pair = Pair.opened()
    pair.client.send_request(COUNT)
    data = bytearray(drain(pair.client))
    data[-1] ^= 1
    (event,) = pair.server.receive(bytes(data))
    assert isinstance(event, Closed)
    assert event.corrupted
    assert event.error is None  # nobody is at fault, and the outcome of what is in flight is not known
    assert "checksum of a REQUEST" in event.reason
    (goodbye,) = pair.to_client()
    assert isinstance(goodbye, Goodbye)
    assert "checksum" in goodbye.reason
