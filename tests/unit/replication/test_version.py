"""Versions: the byte order is the version order, digests are injective."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.version import (
    VERSION_SIZE,
    content_digest,
    format_version,
    make_version,
    node_bytes,
    parse_version,
    stamp,
    version_node,
)

A = NodeId("00000000-0000-4000-8000-00000000000a")
B = NodeId("00000000-0000-4000-8000-00000000000b")
LOW, HIGH = b"\x00" * 16, b"\xff" * 16


def test_parts_come_back() -> None:
    version = make_version(123 << 16, B, LOW)
    assert len(version) == VERSION_SIZE
    assert stamp(version) == 123 << 16
    assert version_node(version) == B


def test_stamp_counts_before_node_and_node_before_digest() -> None:
    in_order = [
        make_version(1, A, LOW),
        make_version(1, A, HIGH),
        make_version(1, B, LOW),
        make_version(2, A, LOW),
        make_version(256, A, LOW),
        make_version(2**64 - 1, A, LOW),
    ]
    backwards = in_order[::-1]
    assert sorted(backwards) == in_order


def test_text_form_keeps_the_order_and_comes_back() -> None:
    one, two = make_version(9, A, HIGH), make_version(10, A, LOW)
    assert format_version(one) < format_version(two)
    assert parse_version(format_version(one)) == one


@pytest.mark.parametrize("text", ["", "zz", "00" * 39, "00" * 41])
def test_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_version(text)


def test_bad_parts_are_refused() -> None:
    with pytest.raises(ValueError):
        make_version(1, A, b"short")
    with pytest.raises(OverflowError):
        make_version(2**64, A, LOW)
    with pytest.raises(ValueError):
        node_bytes(NodeId("0011"))


def test_digest_tells_apart_what_could_look_alike() -> None:
    contents: list[tuple[int | str, bytes | None, bytes | None]] = [
        (1, None, None),
        ("1", None, None),
        (1, b"", b""),
        (1, b"", None),
        (1, None, b""),
        (1, b"ab", b"c"),
        (1, b"a", b"bc"),
        (1, b"abc", b""),
        ("a", b"b", b""),
        ("ab", b"", b""),
    ]
    assert len({content_digest(*content) for content in contents}) == len(contents)
    assert content_digest("x", b"v", b"p") == content_digest("x", b"v", b"p")
