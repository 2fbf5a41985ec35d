"""Requests that are known but for their bulk field: equal to what decoding would give, whatever the bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.patterns import (
    LEAST_BULK,
    MAX_ALIKE,
    MAX_AROUND,
    MAX_LENGTHS,
    MOST_BULK,
    Patterns,
    around_bulk,
)
from vectron_p2p.protocol.registry import decode, encode
from vectron_p2p.protocol.requests import pack_request, read_request

SEARCH = m.Search(
    collection="docs", vectors=bytes(128), count=1, dimension=32, id=None, k=10, offset=0, filter=None, ef=None,
    exact=False, score_threshold=None, with_payload=False, with_vector=False, consistency="one", timeout=None,
    explain=False,
)  # fmt: skip

asked = st.builds(
    lambda vectors, **changes: replace(SEARCH, vectors=vectors, **changes),
    vectors=st.binary(min_size=120, max_size=136) | st.binary(min_size=60, max_size=300),
    collection=st.sampled_from(["docs", "dogs", "x" * 255, "docs\x00"]),
    k=st.integers(1, 300),
    filter=st.sampled_from([None, {"a": 1}, {"a": 2}, {"a": {"$in": ["x", "y"]}}]),
    score_threshold=st.sampled_from([None, 0.5]),
    with_payload=st.booleans(),
    id=st.sampled_from([None, 3, "p"]),
)


def read(patterns: Patterns, message: Any, timeout: float | None = 2.5, trace: int = 9) -> Any:
    return read_request(7, pack_request(message, timeout, trace), patterns)


@given(st.lists(asked, max_size=30))
def test_what_is_known_is_read_as_what_is_not(messages: list[m.Search]) -> None:
    patterns = Patterns()
    for message in messages:
        assert read(patterns, message) == read_request(7, pack_request(message, 2.5, 9), None)


def test_another_vector_is_known_and_another_question_is_not() -> None:
    patterns = Patterns()
    assert read(patterns, SEARCH).pattern is None
    other = replace(SEARCH, vectors=bytes(range(128)))
    again = read(patterns, other)
    assert again.pattern is not None
    assert (again.bulk, again.like.k, again.message, again.timeout) == (other.vectors, 10, other, 2.5)
    assert read(patterns, other, timeout=None, trace=1).pattern is again.pattern
    assert read(patterns, replace(other, k=11)).pattern is None
    assert read(patterns, replace(other, collection="dogs")).pattern is None
    assert read(patterns, replace(other, vectors=bytes(132))).pattern is None


@given(st.data())
def test_bytes_that_are_no_request_are_refused_though_one_like_them_is_known(data: st.DataObject) -> None:
    patterns = Patterns()
    body = bytearray(pack_request(SEARCH, 1.0, 0))
    read_request(1, bytes(body), patterns)
    at = data.draw(st.integers(12, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        expected: Any = decode(bytes(body[12:]))
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            read_request(1, bytes(body), patterns)
    else:
        assert read_request(1, bytes(body), patterns).message == expected


def test_a_header_of_another_form_is_read_too() -> None:
    """Other encoders may use longer headers than need be, and send fewer fields."""
    values = msgpack.unpackb(encode(SEARCH))
    plain = msgpack.packb(values[:17])
    at = plain.index(b"\xc4\x80")
    longer = plain[:at] + b"\xc6\x00\x00\x00\x80" + plain[at + 2 :]
    patterns = Patterns()
    for _ in range(3):
        for body in (plain, longer):
            assert read_request(1, bytes(12) + body, patterns).message == SEARCH
    assert read_request(1, bytes(12) + longer, patterns).pattern is not None


@pytest.mark.parametrize(
    "message",
    [
        replace(SEARCH, vectors=bytes(LEAST_BULK - 1)),
        replace(SEARCH, vectors=bytes(MOST_BULK + 1)),
        replace(SEARCH, filter={"a": "x" * MAX_AROUND}),
        m.Count("docs", None),
    ],
)
def test_what_is_short_or_has_much_around_it_is_not_kept(message: Any) -> None:
    patterns = Patterns()
    for _ in range(3):
        assert read(patterns, message).pattern is None


def test_what_is_kept_is_bounded() -> None:
    patterns = Patterns()
    for length in range(1000):
        for k in range(1, 20):
            read(patterns, replace(SEARCH, vectors=bytes(100 + length), k=k))
    assert len(patterns._known) <= MAX_LENGTHS
    assert max(map(len, patterns._known.values())) <= MAX_ALIKE


@given(asked, st.binary(max_size=300))
def test_what_is_around_the_bulk_makes_a_message_with_other_bytes(search: m.Search, bulk: bytes) -> None:
    before, after = around_bulk(replace(search, vectors=bytes(len(bulk))))
    assert before + bulk + after == encode(replace(search, vectors=bulk))
