"""The straight way of a search: it sends what the general way sends, and whatever comes back means what it means there.

Each test of an answer runs the same script against both ways and compares what the caller sees.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.fake_node import NODE, FakeNode
from tests.unit.protocol.pair import Pair, drain
from vectron_p2p import connect
from vectron_p2p.client import points, sync_transport
from vectron_p2p.client.collection import Collection
from vectron_p2p.client.flows import GRACE_S
from vectron_p2p.client.point_operations import search
from vectron_p2p.client.session import RetryPolicy, Session
from vectron_p2p.client.steps import Call
from vectron_p2p.client.straight import MAX_FORMS, StraightSearches
from vectron_p2p.client.sync_transport import BlockingLink
from vectron_p2p.model.errors import InvalidArgument, NotFound, Overloaded, VectronError
from vectron_p2p.model.ids import Address
from vectron_p2p.protocol import messages
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.events import Closed, HandshakeDone, Request
from vectron_p2p.protocol.frames import Kind, encode_frame
from vectron_p2p.protocol.messages import Welcome
from vectron_p2p.protocol.silence import PING_AFTER_S

FAST = RetryPolicy(base_s=0.001, cap_s=0.01)
QUERY = np.array([0.5, 0.25, 0.125], np.float32)


def hits(*ids: int, payload: bytes = b"\x80") -> messages.SearchReply:
    one = messages.HitList([*ids], bytes(4 * len(ids)), [b"v" for _ in ids], [payload for _ in ids], b"")
    return messages.SearchReply([one], [], 1.5, None)


# --- what is sent ---------------------------------------------------------------------------------------------------


class Asked(Exception):
    pass


class Capture:
    """In the place of the pool and of its one connection: keeps the body of the request."""

    def __init__(self) -> None:
        self.body = b""
        self.timeout = 0.0

    def ready(self, address: Address, now: float) -> Any:
        return self

    def give_back(self, address: Address, link: Any) -> None:
        pass

    def ask(self, body: bytes, now: float, timeout: float, patience: float) -> Any:
        self.body, self.timeout = body, timeout
        raise Asked


OPTIONS = st.fixed_dictionaries(
    {
        "k": st.integers(1, 10_000),
        "ef": st.none() | st.integers(1, 10_000),
        "offset": st.integers(0, 10),
        "exact": st.booleans(),
        "with_payload": st.booleans() | st.just(0) | st.just("yes"),
        "with_vector": st.booleans() | st.just(1) | st.none(),
        "consistency": st.sampled_from(["one", "quorum", "all"]),
    }
)


FILTERS = [
    None, {}, {"year": {"$gte": 2020}}, {"year": {"$gte": 2020.0}}, {"a": 1}, {"a": True}, {"a": 1.0},
    {"a": ["x", 3]}, {"a": ("x", np.int64(3))}, {"a": np.float32(1)}, {"a": "x" * 70_000},
]  # fmt: skip


@given(
    options=st.lists(OPTIONS, min_size=1, max_size=4),
    vector=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=90),
    filters=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=4),
    trace=st.integers(1, 2**64 - 1),
    timeout=st.floats(0.001, 1e5),
    own=st.none() | st.floats(0.001, 1e5),
)
def test_the_bytes_sent_are_those_of_the_general_way(
    options: list[dict[str, Any]],
    vector: list[float],
    filters: list[Any],
    trace: int,
    timeout: float,
    own: float | None,
) -> None:
    address = Address("n", 1)
    session = Session(
        [address], timeout=timeout, now=lambda: 0.0, rng=random.Random(1), operation_id=str, trace=lambda: trace
    )
    capture = Capture()
    straight = StraightSearches(session, capture)  # type: ignore[arg-type]
    query = np.array(vector, np.float32)
    kinds = list(product(options, filters))
    for each, where in (*kinds, *kinds):  # the second time their bytes around the vector are known
        if each["k"] + each["offset"] > 10_000:
            continue
        with pytest.raises(Asked):
            straight.search("docs", query, **each, where=where, timeout=own)
        others = {"filter": where, "group_by": None, "group_size": None, "score_threshold": None}
        call = next(search(session, "docs", query, None, own, explain=False, **others, **each))
        assert isinstance(call, Call)
        client = Pair.opened().client
        client.send_request(call.message, timeout=call.timeout, trace=call.trace)
        assert encode_frame(Kind.REQUEST, 1, capture.body) == drain(client)
        assert capture.timeout == call.timeout


@pytest.mark.parametrize(
    "options",
    [
        {"k": True},
        {"k": 1.0},
        {"k": 0},
        {"k": 10_001},
        {"ef": True},
        {"ef": 1.0},
        {"ef": 0},
        {"offset": False},
        {"offset": -1},
        {"k": 10_000, "offset": 1},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": True},
        {"filter": 3},
        {"filter": {"a": object()}},
        {"filter": {1: 2}},
        {"consistency": "linearizable"},
        {"consistency": ["one"]},
    ],
)
def test_what_is_refused_is_refused_also_after_what_equals_it_was_taken(options: dict[str, Any]) -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        for _ in range(2):
            docs.search(QUERY, k=1, ef=1)
            docs.search(QUERY, k=1)
        asked = len(node.requests)
        with pytest.raises(InvalidArgument):
            docs.search(QUERY, **{"k": 1, **options})
        assert len(node.requests) == asked


@pytest.mark.parametrize(
    "vector",
    [[1.0, float("nan")], np.array([1, np.inf], np.float32), np.array([-np.inf, np.nan], np.float32)],
)
def test_a_vector_that_is_not_finite_is_refused_before_anything_is_sent(vector: Any) -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.search(QUERY)
        with pytest.raises(InvalidArgument, match="not a finite float32"):
            docs.search(vector)
        assert len(node.requests) == 1


@given(
    st.lists(
        st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=0, max_size=20
    ),
    st.sampled_from(["<f4", ">f4", "<f8", "<i4"]),
)  # fmt: skip
def test_plain_bytes_are_those_of_the_check_or_none(values: list[float], kind: str) -> None:
    with np.errstate(all="ignore"):
        vector = np.array(values, np.float32).astype(kind)
    found = points.plain_bytes(vector)
    if found is not None:
        assert found == points.wire_bytes(points.check_vector(vector))
    elif kind == "<f4" and len(values) and np.isfinite(vector).all():
        assert not np.isfinite(np.vdot(vector, vector))  # too large to tell without a closer look


def test_a_view_with_gaps_is_sent_as_its_values() -> None:
    spread = np.arange(6, dtype=np.float32)[::2]
    assert points.plain_bytes(spread) == np.array([0, 2, 4], np.float32).tobytes()


def test_a_filter_too_long_for_one_frame_goes_the_general_way(straight_calls: list[bytes]) -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.search(QUERY)
        for ids, times in ((1000, 1), (40_000, 1), (10, 2)):
            where = {"a": {"$in": ["x" * 8 for _ in range(ids)]}}
            assert [hit.id for hit in docs.search(QUERY, filter=where)] == [1]
            assert node.requests[-1].filter == where
            assert len(straight_calls) == times


def test_forms_are_few() -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        for k in range(1, 2 * MAX_FORMS):
            docs.search(QUERY, k=k)
        assert db.straight is not None
        assert len(db.straight._forms) <= MAX_FORMS
        assert [request.k for request in node.requests] == list(range(1, 2 * MAX_FORMS))


# --- what comes back ------------------------------------------------------------------------------------------------

Script = Callable[["Speaker", Connection, Request], Any]


class Speaker(FakeNode):
    """Answers request number `turn` (from 0) byte by byte as its script wants, all others with a hit of their number.

    A script returns chunks to write one by one, and None to hang up.
    """

    def __init__(self, script: Script, turn: int = 1) -> None:
        self.script = script
        self.turn = turn
        super().__init__(lambda _: hits(0))

    def _talk(self, stream: socket.socket) -> None:
        connection = Connection("server")
        self.stream = stream
        while not connection.closed:
            for event in connection.receive(stream.recv(65536)):
                if isinstance(event, HandshakeDone):
                    self.hellos.append(event.peer)  # type: ignore[arg-type]
                    connection.accept(Welcome(1, self.cluster, NODE, "n1", 0, self.epoch, "test"))
                elif isinstance(event, Request):
                    self.requests.append(event.message)
                    if len(self.requests) - 1 != self.turn:
                        connection.respond(event.id, hits(len(self.requests)))
                        continue
                    chunks = self.script(self, connection, event)
                    for chunk in chunks or ():
                        stream.sendall(chunk)
                    if chunks is None:
                        return
                elif isinstance(event, Closed):
                    return
            while data := connection.data_to_send():
                stream.sendall(data)

    def heard(self, connection: Connection) -> None:
        """Waits for more bytes: those of a ping."""
        self.stream.settimeout(10)
        connection.receive(self.stream.recv(65536))
        self.stream.settimeout(None)


def answer(connection: Connection, request: Request, reply: Any = None) -> bytes:
    connection.respond(request.id, reply or hits(99))
    return drain(connection)


def byte_by_byte(node: Speaker, connection: Connection, request: Request) -> Any:
    data = answer(connection, request)
    return [data[at : at + 1] for at in range(len(data))]


def in_many_frames(node: Speaker, connection: Connection, request: Request) -> Any:
    return [answer(connection, request, hits(*range(5), payload=b"\x81\xa1a\xda\xff\xff" + b"x" * 65535))]


def longer_than_a_read(node: Speaker, connection: Connection, request: Request) -> Any:
    return [answer(connection, request, hits(*range(2000)))]


def with_an_error(node: Speaker, connection: Connection, request: Request) -> Any:
    connection.respond_error(request.id, NotFound("no such collection", field="collection", node="n1"))
    return [drain(connection)]


def overloaded(node: Speaker, connection: Connection, request: Request) -> Any:
    connection.respond_error(request.id, Overloaded("busy", retry_after=0.001))
    return [drain(connection)]


def goodbye_and_answer(node: Speaker, connection: Connection, request: Request) -> Any:
    connection.goodbye("stopping")
    return [answer(connection, request)]


def answer_and_goodbye(node: Speaker, connection: Connection, request: Request) -> Any:
    data = answer(connection, request)
    connection.goodbye("stopping")
    return [data + drain(connection)]


def goodbye_and_end(node: Speaker, connection: Connection, request: Request) -> Any:
    connection.goodbye("stopping")
    node.stream.sendall(drain(connection))


def ping_and_answer(node: Speaker, connection: Connection, request: Request) -> Any:
    connection.ping()
    return [answer(connection, request)]


def flipped(at: int) -> Script:
    def script(node: Speaker, connection: Connection, request: Request) -> Any:
        data = bytearray(answer(connection, request))
        data[at] ^= 1
        return [bytes(data)]

    return script


def end(node: Speaker, connection: Connection, request: Request) -> Any:
    return None


def end_in_a_frame(node: Speaker, connection: Connection, request: Request) -> Any:
    node.stream.sendall(answer(connection, request)[:30])


def nonsense(node: Speaker, connection: Connection, request: Request) -> Any:
    answer(connection, request)
    return [encode_frame(Kind.RESPONSE, request.id, b"\xc1")]


def another_message(node: Speaker, connection: Connection, request: Request) -> Any:
    return [answer(connection, request, messages.CountReply(1))]


def uneven_columns(node: Speaker, connection: Connection, request: Request) -> Any:
    return [answer(connection, request, messages.SearchReply([messages.HitList([1], b"", [], [], b"")], [], 1.0, None))]


def of_a_request_never_sent(node: Speaker, connection: Connection, request: Request) -> Any:
    answer(connection, request)
    return [encode_frame(Kind.RESPONSE, request.id + 5, b"\x90")]


def of_the_request_before(node: Speaker, connection: Connection, request: Request) -> Any:
    return [encode_frame(Kind.RESPONSE, request.id - 1, b"\x90") + answer(connection, request)]


def after_a_ping(node: Speaker, connection: Connection, request: Request) -> Any:
    node.heard(connection)
    return [answer(connection, request)]


SCRIPTS: list[Script] = [
    lambda _, connection, request: [answer(connection, request)],
    byte_by_byte, in_many_frames, longer_than_a_read, with_an_error, overloaded, goodbye_and_answer,
    answer_and_goodbye, goodbye_and_end, ping_and_answer, flipped(2), flipped(10), flipped(16), flipped(24),
    flipped(40), end, end_in_a_frame, nonsense, another_message, uneven_columns, of_a_request_never_sent,
    of_the_request_before, after_a_ping,
]  # fmt: skip
NAMES = [getattr(script, "__qualname__", "").split(".")[0] + f"-{at}" for at, script in enumerate(SCRIPTS)]


@pytest.fixture(autouse=True)
def never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, the connection of the call before is taken as it is."""
    monkeypatch.setattr(sync_transport, "LOOK_AFTER_S", 60.0)


@pytest.fixture
def straight_calls(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    calls: list[bytes] = []
    ask = BlockingLink.ask

    def counted(link: BlockingLink, body: bytes, *others: Any) -> Any:
        calls.append(body)
        return ask(link, body, *others)

    monkeypatch.setattr(BlockingLink, "ask", counted)
    return calls


def outcome(docs: Collection) -> Any:
    try:
        result = docs.search(QUERY)
    except VectronError as error:
        return type(error), error.message, error.field, error.node, error.retryable, bool(error.trace)
    return [hit.id for hit in result], result.took_ms


def seen(script: Script, *, straight: bool, timeout: float = 30.0) -> tuple[str, int, int]:
    """What a caller sees of three searches, of which the second is answered by the script; what the node sees."""
    with Speaker(script) as node, connect(node.target, retry=FAST, timeout=timeout) as db:
        docs = db.collection("docs")
        if not straight:
            docs._straight = None
        outcomes = repr([outcome(docs) for _ in range(3)]).replace(node.target, "NODE")
        return outcomes, len(node.hellos), len(node.requests)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_whatever_comes_back_means_what_it_means_the_general_way(script: Script, straight_calls: list[bytes]) -> None:
    general = seen(script, straight=False)
    assert not straight_calls
    assert seen(script, straight=True) == general
    assert straight_calls


def test_no_answer_is_late_in_time(straight_calls: list[bytes]) -> None:
    silent: Script = lambda *_: []  # noqa: E731
    general, straight = (seen(silent, straight=way, timeout=0.3) for way in (False, True))
    assert straight == general
    assert "DeadlineExceeded" in straight[0]
    assert len(straight_calls) == 1
    assert PING_AFTER_S <= GRACE_S  # what `BlockingLink.ask` relies on


def test_a_request_that_is_not_taken_at_once_is_written_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch, straight_calls: list[bytes]
) -> None:
    with FakeNode(lambda _: hits(4)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.search(QUERY)
        (link,) = db.straight._transport._idle[node.address]  # type: ignore[union-attr]
        real = link._socket

        class Stingy:
            """Takes nothing, then a little, then what comes."""

            left = iter([0, 7])

            def send(self, data: Any, flags: int) -> int:
                size = next(self.left, len(data))
                if not size:
                    raise BlockingIOError
                return real.send(data[:size], flags)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        link._socket = Stingy()
        assert [hit.id for hit in docs.search(QUERY)] == [4]
        assert len(straight_calls) == 1
        assert len(node.requests) == 2


def test_another_node_is_asked_when_the_first_one_is_lost_on_the_straight_way(straight_calls: list[bytes]) -> None:
    with FakeNode(lambda _: hits(1)) as one, FakeNode(lambda _: hits(2)) as two:
        with connect(f"{one.target},{two.target}") as db:
            docs = db.collection("docs")
            (first,) = docs.search(QUERY)
            docs.search(QUERY)
            assert len(straight_calls) == 1
            (one if first.id == 1 else two).stop()
            (second,) = docs.search(QUERY)
            assert {first.id, second.id} == {1, 2}
            docs.search(QUERY)
            assert len(straight_calls) == 3  # the other one is preferred from then on


def test_a_connection_that_was_idle_for_long_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, straight_calls: list[bytes]
) -> None:
    monkeypatch.setattr(sync_transport, "LOOK_AFTER_S", 0.0)
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        for _ in range(3):
            docs.search(QUERY)
        assert not straight_calls
        assert len(node.hellos) == 1


def test_an_interrupt_leaves_no_connection_that_owes_an_answer(
    monkeypatch: pytest.MonkeyPatch, straight_calls: list[bytes]
) -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.search(QUERY)
        (link,) = db.straight._transport._idle[node.address]  # type: ignore[union-attr]
        real = link._socket

        class Interrupted:
            def recv(self, *_: Any) -> bytes:
                raise KeyboardInterrupt

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        link._socket = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            docs.search(QUERY)
        assert real.fileno() == -1
        assert [hit.id for hit in docs.search(QUERY)] == [1]
        assert len(node.hellos) == 2


def test_an_embedded_node_has_no_straight_way() -> None:
    with connect(":memory:") as db:
        assert db.straight is None
        docs = db.create_collection("docs", dimension=3)
        docs.upsert(ids=[1], vectors=[QUERY])
        assert [hit.id for hit in docs.search(QUERY)] == [1]


def test_a_closed_client_says_so() -> None:
    with FakeNode(lambda _: hits(1)) as node, connect(node.target) as db:
        docs = db.collection("docs")
        docs.search(QUERY)
        db.close()
        with pytest.raises(InvalidArgument, match="closed"):
            docs.search(QUERY)
