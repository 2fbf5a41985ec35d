"""Whatever bytes arrive: a message, an event or a typed error, and bounded memory."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.protocol.pair import HELLO, WELCOME, Pair, drain
from vectron_p2p.model.errors import VectronError
from vectron_p2p.protocol import messages
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.events import Cancelled, Closed, ErrorResponse, Note, Request, Response
from vectron_p2p.protocol.frames import MAX_BODY, MAX_REASSEMBLY
from vectron_p2p.protocol.registry import decode, encode
from vectron_p2p.protocol.states import State
from vectron_p2p.protocol.wire_errors import decode_error

ids = st.lists(st.integers(0, 2**64 - 1) | st.text(min_size=1, max_size=20), max_size=8)
trees = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    ),
    max_size=3,
)
hits = st.builds(
    messages.HitList,
    ids,
    st.binary(max_size=40),
    st.lists(st.binary(max_size=40), max_size=4),
    st.lists(st.binary(max_size=40), max_size=4),
    st.binary(max_size=40),
)
some_message = st.one_of(
    st.builds(
        messages.Search,
        st.text(max_size=9), st.binary(max_size=99), st.integers(0, 9), st.integers(0, 9), st.none() | st.text(),
        st.integers(), st.just(0), st.none() | trees, st.none(), st.booleans(), st.none() | st.floats(allow_nan=False),
        st.booleans(), st.booleans(), st.just("one"), st.none() | st.floats(allow_nan=False), st.booleans(),
    ).filter(lambda search: -(2**63) <= search.k < 2**64),
    st.builds(messages.SearchReply, st.lists(hits, max_size=3), st.just([7]), st.floats(0, 9), st.none()),
    st.builds(messages.Delete, st.text(max_size=9), ids, st.just("all"), st.text(max_size=9)),
    st.builds(messages.CatalogNote, trees),
    st.builds(messages.GetReply, *[st.lists(st.none() | st.binary(max_size=9), max_size=5)] * 3),
)  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=25,
)


@given(some_message)
def test_messages_survive_the_wire(message: Any) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 2000)
def test_random_bytes_are_a_message_or_a_remote_error(data: bytes) -> None:
    for read in (decode, decode_error):
        with contextlib.suppress(RemoteProtocolError):
            read(data)


@given(some_message, st.data())
def test_cut_and_changed_messages_are_a_message_or_a_remote_error(message: Any, data: st.DataObject) -> None:
    packed = bytearray(encode(message))
    for _ in range(data.draw(st.integers(0, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packed)))
    try:
        decoded = decode(bytes(packed[:cut]))
    except RemoteProtocolError:
        return
    assert decode(encode(decoded)) == decoded or decoded != decoded  # NaN differs from itself


@given(st.integers(0, 100), st.lists(anything, max_size=20))
def test_fields_that_pass_have_the_annotated_types(tag: int, values: list[Any]) -> None:
    try:
        message = decode(msgpack.packb([tag, *values]))
    except RemoteProtocolError:
        return
    for entry in fields(message):
        value = getattr(message, entry.name)
        options = {part.strip().split("[")[0] for part in str(entry.type).split("|")}
        if "[" not in str(entry.type):
            assert type(value).__name__ in options or (value is None and "None" in options)


def check_bounds(connection: Connection) -> None:
    assert connection._reader.held <= MAX_BODY + 14
    assert connection._parts.held <= MAX_REASSEMBLY


@given(st.lists(st.binary(max_size=200), max_size=10), st.sampled_from(["greeting", "open"]), st.booleans())
def test_no_bytes_crash_a_connection(chunks: list[bytes], stage: str, server: bool) -> None:
    pair = Pair.opened() if stage == "open" else Pair()
    target = pair.server if server else pair.client
    ended = False
    for chunk in [*chunks, b""]:
        for event in target.receive(chunk):
            assert not ended, "Closed is the last event"
            ended = isinstance(event, Closed)
        check_bounds(target)
        drain(target)
        if target.state is State.DECIDING:
            target.accept(WELCOME)
    assert target.closed


@given(st.lists(some_message, min_size=1, max_size=6), st.data())
def test_changed_streams_never_crash(sent: list[Any], data: st.DataObject) -> None:
    client = Connection("client", hello=HELLO)
    server = Connection("server")
    stream = bytearray()
    stream += drain(client)
    client.receive(_welcome())
    for message in sent:
        client.send_request(message)
    stream += drain(client)
    for _ in range(data.draw(st.integers(0, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    position = 0
    while position < len(stream):
        step = data.draw(st.integers(1, len(stream)))
        for event in server.receive(bytes(stream[position : position + step])):
            if isinstance(event, Request):
                server.respond(event.id, messages.Done())
        if server.state is State.DECIDING:
            server.accept(WELCOME)
        check_bounds(server)
        position += step
    server.receive(b"")
    assert server.closed


def _welcome() -> bytes:
    server = Connection("server")
    server.receive(drain(Connection("client", hello=HELLO)))
    server.accept(WELCOME)
    return drain(server)


@given(st.data())
def test_each_request_gets_one_outcome_whatever_the_order(data: st.DataObject) -> None:
    """Random requests, answers, cancels and pieces on two cores: a model says what each request must come to."""
    pair = Pair.opened(max_in_flight=5)
    client, server = pair.client, pair.server
    waiting: dict[int, int] = {}  # on the client: id -> number that the answer must carry
    running: dict[int, int] = {}  # on the server
    outcomes: list[int] = []

    def deliver(source: Connection, target: Connection) -> None:
        for event in target.receive(source.data_to_send() or _ping(source)):
            match event:
                case Request(request_id, messages.Count(name, _)):
                    running[request_id] = int(name)
                case Request(request_id, messages.SwimNote(packet)):
                    running[request_id] = len(packet)
                case Cancelled(request_id):
                    assert request_id not in waiting
                case Response(request_id, messages.CountReply(count)):
                    assert waiting.pop(request_id) == count
                    outcomes.append(request_id)
                case ErrorResponse(request_id, error):
                    assert isinstance(error, VectronError)
                    waiting.pop(request_id)
                    outcomes.append(request_id)
                case Note():
                    pass
                case _:
                    raise AssertionError(event)

    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["ask", "ask big", "answer", "fail", "cancel", "up", "down"]))
        if action == "ask":
            number = data.draw(st.integers(0, 99))
            waiting[client.send_request(messages.Count(str(number), None))] = number
        elif action == "ask big":
            size = data.draw(st.integers(MAX_BODY - 20, 3 * MAX_BODY))
            waiting[client.send_request(messages.SwimNote(bytes(size)))] = size
        elif action in ("answer", "fail") and running:
            request_id = data.draw(st.sampled_from(sorted(running)))
            number = running.pop(request_id)
            if action == "answer":
                server.respond(request_id, messages.CountReply(number))
            else:
                server.respond_error(request_id, VectronError("no"))
        elif action == "cancel" and waiting:
            request_id = data.draw(st.sampled_from(sorted(waiting)))
            del waiting[request_id]
            client.cancel(request_id)
        elif action == "up":
            deliver(client, server)
        elif action == "down":
            deliver(server, client)

    while waiting or client.pending_bytes or server.pending_bytes or running:
        while client.pending_bytes:
            deliver(client, server)
        for request_id in sorted(running):
            server.respond(request_id, messages.CountReply(running.pop(request_id)))
        while server.pending_bytes:
            deliver(server, client)
    assert len(outcomes) == len(set(outcomes))
    assert client.in_flight == server.in_flight == 0
    assert client._parts.held == server._parts.held == 0


def _ping(connection: Connection) -> bytes:
    connection.ping()
    return connection.data_to_send()
