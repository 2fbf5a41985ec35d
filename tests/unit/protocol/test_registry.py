from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import pytest

from vectron_p2p.protocol import messages, registry
from vectron_p2p.protocol.errors import LocalProtocolError, RemoteProtocolError
from vectron_p2p.protocol.registry import MAX_CONTAINERS, MAX_LOOKS, UNWALKED_BYTES, decode, encode, message
from vectron_p2p.protocol.validation import MAX_DEPTH

SEARCH = messages.Search(
    "docs", b"\x00" * 16, 1, 4, None, 10, 0, {"year": {"$gte": 2020}}, None, False, 0.5, True, False, "one", 2.5, False
)
REPLY = messages.SearchReply(
    [messages.HitList([1, "a"], b"\0" * 8, [b"v" * 40] * 2, [b"\x80"] * 2, b"")], [3], 1.5, [{"plan": "exact"}]
)


@message(65_000)
@dataclass(frozen=True, slots=True)
class Grown:
    """A message as a newer version has it."""

    name: str
    extra: int = 5
    tags: list[str] = field(default_factory=list)


@message(65_001)
@dataclass(frozen=True, slots=True)
class Tree:
    body: dict[str, Any]


@pytest.mark.parametrize(
    "sent",
    [
        SEARCH,
        REPLY,
        messages.GetStatus(),
        messages.Done(),
        messages.Get("c", [1, "1", 2**64 - 1], True, False, "quorum"),
        messages.GetReply([b"v", None], [None, b"x"], [None, None]),
        messages.ShardsReply([[messages.HitList([], b"", [], [], b"")]], [None, {"code": "x"}], None),
        messages.Hello([1], "client"),
    ],
)
def test_what_is_encoded_is_decoded(sent: Any) -> None:
    assert decode(encode(sent)) == sent


def test_every_message_class_has_a_schema_and_survives_the_wire() -> None:
    samples: dict[Any, Any] = {
        "int": 1, "float": 1.5, "str": "s", "bytes": b"b", "bool": True, "bool | None": None, "int | None": None,
        "str | None": "x", "bytes | None": b"c",
        "float | None": 2.0, "int | str | None": "id", "dict[str, Any]": {"a": [1]}, "dict[str, Any] | None": {},
        "list[int]": [1], "list[str]": ["a"], "list[bytes]": [b"a"], "list[bool]": [True], "list[int | str]": [1, "a"],
        "list[bytes | None]": [None, b"a"], "list[dict[str, Any]]": [{}], "list[dict[str, Any]] | None": None,
        "list[dict[str, Any] | None]": [None, {}], "list[HitList]": [], "list[list[HitList]]": [[]],
        "str | int | float | bool": True, "int | float | str | None": 2.5, "bool | list[str]": ["a"],
        "list[list[Group]]": [[messages.Group(2.5, 3)], [messages.Group("a", 1)]],
    }  # fmt: skip
    found = 0
    for cls in vars(messages).values():
        if isinstance(cls, type) and cls.__module__.startswith(messages.__name__):
            values = [samples[kind] for kind in cls.__annotations__.values()]
            assert decode(encode(cls(*values))) == cls(*values)
            found += 1
    assert found > 40


def test_older_peers_leave_new_fields_out_and_newer_ones_add_some() -> None:
    assert decode(msgpack.packb([65_000, "n"])) == Grown("n", 5, [])
    assert decode(msgpack.packb([65_000, "n", 1, ["a"], "unknown", {}])) == Grown("n", 1, ["a"])
    with pytest.raises(RemoteProtocolError, match="1 required"):
        decode(msgpack.packb([65_000]))


def test_a_whole_number_is_taken_for_a_float_and_comes_out_as_one() -> None:
    values = msgpack.unpackb(encode(REPLY))
    values[3] = 2
    decoded = decode(msgpack.packb(values)).took_ms
    assert decoded == 2.0
    assert type(decoded) is float


@pytest.mark.parametrize(
    ("index", "wrong"),
    [(1, b"docs"), (2, "text"), (3, True), (3, 1.0), (5, []), (8, [1]), (8, {b"k": 2}), (10, 1), (11, "x"), (14, None)],
)
def test_a_field_of_another_type_is_refused_by_name(index: int, wrong: Any) -> None:
    values = msgpack.unpackb(encode(SEARCH))
    values[index] = wrong
    with pytest.raises(RemoteProtocolError, match="Search"):
        decode(msgpack.packb(values))


@pytest.mark.parametrize("ids", [[None], [1.5], [b"a"], [True], [[1]], {"a": 1}, "ab"])
def test_columns_hold_their_type_only(ids: Any) -> None:
    with pytest.raises(RemoteProtocolError, match=r"Get\.ids"):
        decode(msgpack.packb([24, "c", ids, True, True, "one"]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\x01",
        msgpack.packb({}),
        msgpack.packb(["x"]),
        msgpack.packb([True]),
        msgpack.packb([9999]),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(data)


def test_bytes_behind_the_message_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="follow"):
        decode(encode(SEARCH) + b"\x00")


def test_extension_types_and_invalid_text_are_refused() -> None:
    for value in (msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)):
        with pytest.raises(RemoteProtocolError):
            decode(msgpack.packb([65_001, {"a": value}]))
    with pytest.raises(RemoteProtocolError):
        decode(b"\x92\xcd\xfd\xe8\xa2\xff\xfe")


def test_free_form_dicts_are_bounded_in_depth_and_have_text_keys() -> None:
    def nested(depth: int) -> dict[str, Any]:
        body: dict[str, Any] = {"leaf": 1}
        for level in range(depth - 1):
            body = {"a": [body]} if level % 2 else {"a": body}
        return body

    assert decode(encode(Tree(nested(16)))) == Tree(nested(16))
    with pytest.raises(RemoteProtocolError, match="deeper"):
        decode(encode(Tree(nested(MAX_DEPTH + 1))))
    with pytest.raises(RemoteProtocolError, match="deeper"):
        decode(b"\x92\xcd\xfd\xe9\x81\xa1a" + b"\x91" * 900 + b"\xc0")
    with pytest.raises(RemoteProtocolError, match="key"):
        decode(msgpack.packb([65_001, {"a": {b"k": 1}}]))


def test_headers_that_claim_too_much_take_no_memory() -> None:
    claims = b"\x92\xcd\xfd\xe9" + b"\xdd\x00\x0f\xff\xff" * 500 + b"\0" * 1_000_000
    cases = [claims, b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff" * 100, b"\xc6\xff\xff\xff\xff", b"\x91" * 100_000]
    tracemalloc.start()
    try:
        for case in cases:
            with pytest.raises(RemoteProtocolError):
                decode(case)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_many_tiny_containers_are_refused_before_they_fill_memory() -> None:
    bomb = msgpack.packb([65_001, {"a": [[] for _ in range(MAX_CONTAINERS + 10)]}])
    with pytest.raises(RemoteProtocolError, match="arrays and maps"):
        decode(bomb)
    fine = Tree({"a": [[] for _ in range(30_000)], "pad": "x" * 100_000})
    assert decode(encode(fine)) == fine
    looks_like_many = Tree({"a": [{}, []], "pad": b"\x90" * 100_000})
    assert decode(encode(looks_like_many)) == looks_like_many


def test_what_cannot_be_sent_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        encode(object())
    with pytest.raises(LocalProtocolError):
        encode(Tree({"a": object()}))
    with pytest.raises(LocalProtocolError):
        encode(Tree({"a": 2**70}))
    with pytest.raises(LocalProtocolError):
        encode(Grown("\ud800"))


def test_a_tag_is_given_once() -> None:
    with pytest.raises(TypeError, match="taken"):

        @message(65_000)
        @dataclass(frozen=True, slots=True)
        class Second:
            name: str


@pytest.mark.parametrize("annotation", [set, dict[str, int], tuple[int, ...], object])
def test_only_types_that_can_be_checked_are_fields(annotation: Any) -> None:
    cls: Any = dataclass(type("Odd", (), {"__annotations__": {"field": annotation}, "__module__": __name__}))
    with pytest.raises(TypeError):
        message(65_100)(cls)


def test_what_is_too_short_to_be_walked_over_claims_little() -> None:
    nested = b"\xdc" + UNWALKED_BYTES.to_bytes(2)
    data = nested * (UNWALKED_BYTES // len(nested))
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError):
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_combinations_of_types_that_a_peer_sends_are_not_kept_without_end() -> None:
    schema = registry._by_class[messages.Search]
    several: list[list[Any]] = [[None, 1, "a"], [None, {}], [None, 1], [None, 1, 1.0], [None, 1, 1.0]]
    for point, where, ef, score, timeout in itertools.product(*several):
        found = replace(SEARCH, id=point, filter=where, ef=ef, score_threshold=score, timeout=timeout)
        assert decode(encode(found)) == found
    assert len(schema.looks) == MAX_LOOKS
