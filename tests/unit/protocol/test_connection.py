from __future__ import annotations

import pytest

from tests.unit.protocol.pair import Pair, carry, drain
from vectron_p2p.model.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    Overloaded,
)
from vectron_p2p.protocol.events import (
    Cancelled,
    ErrorResponse,
    Request,
    Response,
)
from vectron_p2p.protocol.frames import MAX_BODY, MAX_MESSAGE, Kind, encode_frame
from vectron_p2p.protocol.messages import (
    Count,
    CountReply,
    MerkleLeavesReply,
    SwimNote,
)
from vectron_p2p.protocol.registry import encode
from vectron_p2p.protocol.states import State

COUNT = Count("docs", None)
BIG = SwimNote(bytes(3 * MAX_BODY))


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [None, 1, 5])
def test_request_and_response(step: int | None) -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT, timeout=1.5, trace=2**64 - 1)
    assert pair.to_server(step) == [Request(request_id, COUNT, 1.5, len(encode(COUNT)), 2**64 - 1)]
    assert pair.client.in_flight == pair.server.in_flight == 1
    pair.server.respond(request_id, CountReply(5))
    assert pair.to_client(step) == [Response(request_id, CountReply(5))]
    assert pair.client.in_flight == pair.server.in_flight == 0


def test_many_requests_are_answered_in_any_order() -> None:
    pair = Pair.opened()
    ids = [pair.client.send_request(Count(str(number), None)) for number in range(100)]
    assert ids == sorted(set(ids))
    requests = pair.to_server()
    assert len(requests) == 100
    for request in reversed(requests):
        assert isinstance(request, Request)
        pair.server.respond(request.id, CountReply(int(request.message.collection)))
    assert pair.to_client() == [Response(ids[number], CountReply(number)) for number in reversed(range(100))]


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (None, None),
        (float("inf"), None),
        (0.0, 0.001),
        (-3.0, 0.001),
        (0.0004, 0.001),
        (30.0, 30.0),
        (1e12, 4294967.295),
    ],
)
def test_the_time_left_travels_in_milliseconds(given: float | None, received: float | None) -> None:
    pair = Pair.opened()
    pair.client.send_request(COUNT, timeout=given)
    (request,) = pair.to_server()
    assert isinstance(request, Request)
    assert request.timeout == received


def test_errors_come_typed() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.respond_error(request_id, NotFound("no collection 'docs'", field="collection"))
    (event,) = pair.to_client()
    assert isinstance(event, ErrorResponse)
    assert isinstance(event.error, NotFound)
    assert event.error.field == "collection"


@pytest.mark.parametrize("step", [None, 1000])
def test_large_messages_go_in_pieces_and_small_ones_pass_them(step: int | None) -> None:
    pair = Pair.opened()
    big = pair.client.send_request(BIG)
    small = pair.client.send_request(COUNT)
    assert [event.id for event in pair.to_server(step) if isinstance(event, Request)] == [small, big]
    pair.server.respond(big, MerkleLeavesReply(bytes(5 * MAX_BODY)))
    pair.server.respond(small, CountReply(1))
    assert [event.id for event in pair.to_client(step) if isinstance(event, Response)] == [small, big]


def test_a_request_that_cannot_be_understood_fails_alone() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    drain(pair.client)
    for body in (bytes(12) + b"\xc1", b"\0\0", bytes(12) + encode(COUNT)[:-1], bytes(12) + b"\x91\xcd\x27\x0f"):
        assert pair.server.receive(encode_frame(Kind.REQUEST, request_id, body)) == []
        (event,) = carry(pair.server, pair.client)
        assert isinstance(event, ErrorResponse)
        assert isinstance(event.error, InvalidArgument)
        pair.client._in_flight[request_id] = True  # the next round is about the same request
    assert pair.server.state is State.OPEN
    assert pair.server.in_flight == 0


def test_a_reply_that_cannot_be_understood_fails_its_call_alone() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    (event,) = pair.client.receive(encode_frame(Kind.RESPONSE, request_id, b"\xc1"))
    assert isinstance(event, ErrorResponse)
    assert isinstance(event.error, Internal)
    assert pair.client.state is State.OPEN


def test_too_many_requests_are_refused_one_by_one() -> None:
    pair = Pair.opened(max_in_flight=2)
    ids = [pair.client.send_request(COUNT) for _ in range(3)]
    assert len(pair.to_server()) == 2
    (event,) = pair.to_client()
    assert isinstance(event, ErrorResponse)
    assert event.id == ids[2]
    assert isinstance(event.error, Overloaded)
    assert event.error.retryable
    pair.server.respond(ids[0], CountReply(1))
    pair.client.send_request(COUNT)
    assert len(pair.to_server()) == 1


def test_messages_too_long_for_the_wire_are_typed_errors() -> None:
    pair = Pair.opened()
    with pytest.raises(InvalidArgument, match="at most"):
        pair.client.send_request(SwimNote(bytes(MAX_MESSAGE)))
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.respond(request_id, MerkleLeavesReply(bytes(MAX_MESSAGE)))
    (event,) = pair.to_client()
    assert isinstance(event, ErrorResponse)
    assert isinstance(event.error, InvalidArgument)


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_takes_a_request_back() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.client.cancel(request_id)
    assert pair.to_server() == [Cancelled(request_id)]
    assert pair.server.in_flight == 1, "its task still runs"
    pair.server.respond(request_id, CountReply(1))
    assert pair.to_client() == []
    assert pair.server.in_flight == 0


def test_an_answer_that_crosses_the_cancel_is_passed_over() -> None:
    pair = Pair.opened()
    one, two = pair.client.send_request(COUNT), pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.respond(one, MerkleLeavesReply(bytes(3 * MAX_BODY)))
    pair.server.respond_error(two, NotFound("no"))
    pair.client.receive(pair.server.data_to_send())
    pair.client.cancel(one)
    pair.client.cancel(one)
    assert pair.to_client() == []
    assert pair.to_server() == []
    assert pair.client._parts.held == 0
    assert pair.client.state is State.OPEN


def test_a_large_request_is_withdrawn_before_during_and_after_sending() -> None:
    pair = Pair.opened()
    before = pair.client.send_request(BIG)
    pair.client.cancel(before)
    assert drain(pair.client) == b""
    during = pair.client.send_request(BIG)
    assert pair.server.receive(pair.client.data_to_send()) == []
    assert pair.server._parts.held == MAX_BODY
    pair.client.cancel(during)
    assert pair.to_server() == []
    assert pair.server._parts.held == 0
    after = pair.client.send_request(BIG)
    (event,) = pair.to_server()
    pair.client.cancel(after)
    assert pair.to_server() == [Cancelled(after)]
    assert isinstance(event, Request)


def test_the_rest_of_a_large_answer_is_not_sent_once_cancelled() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.server.respond(request_id, MerkleLeavesReply(bytes(20 * MAX_BODY)))
    pair.client.receive(pair.server.data_to_send())
    pair.client.cancel(request_id)
    pair.to_server()
    assert pair.server.pending_bytes == 0


def test_abandoned_requests_end_without_an_answer() -> None:
    pair = Pair.opened()
    request_id = pair.client.send_request(COUNT)
    pair.to_server()
    pair.client.cancel(request_id)
    pair.to_server()
    pair.server.abandon(request_id)
    assert pair.server.in_flight == 0
    assert drain(pair.server) == b""
