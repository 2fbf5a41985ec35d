from __future__ import annotations

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.protocol.errors import FrameCorrupted, RemoteProtocolError
from vectron_p2p.protocol.frames import (
    HEADER,
    MAX_BODY,
    MAX_GREETING,
    MAX_MESSAGE,
    MAX_REASSEMBLY,
    MORE,
    SUMS,
    Frame,
    FrameReader,
    Kind,
    Reassembly,
    encode_frame,
    encode_greeting,
)


def opened() -> FrameReader:
    reader = FrameReader()
    reader.limit = MAX_BODY
    return reader


def header(length: int, kind: int, flags: int) -> bytes:
    """With right checksums, and no body."""
    head = HEADER.pack(length, kind, flags, 1) + xxhash.xxh3_64_digest(b"")
    return head + xxhash.xxh3_64_digest(head)[4:]


def read_all(reader: FrameReader) -> list[Frame]:
    frames = []
    while (frame := reader.next_frame()) is not None:
        frames.append(frame)
    return frames


def test_frames_come_out_however_the_stream_is_cut() -> None:
    sent = [
        Frame(Kind.REQUEST, False, 7, b"abc"),
        Frame(Kind.PING, False, 0, b""),
        Frame(Kind.NOTE, False, 2**64 - 1, b"x" * 300),
    ]
    data = b"".join(encode_frame(frame.kind, frame.id, frame.body) for frame in sent)
    for step in (1, 2, 13, 14, 15, len(data)):
        reader, got = opened(), []
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
            got += read_all(reader)
        assert got == sent
        assert reader.held == 0


def test_a_length_out_of_bounds_is_refused_from_its_four_bytes_on() -> None:
    for length in (0, 9, 10 + MAX_GREETING + 1, 2**32 - 1):
        reader = FrameReader()
        reader.feed(length.to_bytes(4, "big"))
        with pytest.raises(RemoteProtocolError, match="bytes"):
            reader.next_frame()
        if length != 10 + MAX_GREETING + 1:
            reader = opened()
            reader.feed(header(length, Kind.PING, 0))
            with pytest.raises(RemoteProtocolError, match="bytes"):
                reader.next_frame()


def test_before_the_handshake_frames_are_small() -> None:
    reader = FrameReader()
    reader.feed(encode_greeting(Kind.HELLO, b"x" * (MAX_GREETING + 1)))
    with pytest.raises(RemoteProtocolError):
        reader.next_frame()
    reader = FrameReader()
    reader.feed(encode_greeting(Kind.HELLO, b"x" * MAX_GREETING))
    assert reader.next_frame() is not None


@pytest.mark.parametrize(("kind", "flags"), [(0, 0), (77, 0), (int(Kind.REQUEST), 2), (int(Kind.REQUEST), 128)])
def test_unknown_kinds_and_flags_are_refused(kind: int, flags: int) -> None:
    reader = opened()
    reader.feed(header(10, kind, flags))
    with pytest.raises(RemoteProtocolError, match="kind"):
        reader.next_frame()


@pytest.mark.parametrize(("kind", "size"), [(Kind.REQUEST, 100), (Kind.PING, MAX_BODY), (Kind.ERROR, MAX_BODY)])
def test_only_full_frames_of_messages_go_on(kind: Kind, size: int) -> None:
    reader = opened()
    reader.feed(header(10 + size, kind, MORE))
    with pytest.raises(RemoteProtocolError, match="go on"):
        reader.next_frame()


def piece(frame_id: int, *, more: bool = True, kind: Kind = Kind.REQUEST, body: bytes = bytes(MAX_BODY)) -> Frame:
    return Frame(kind, more, frame_id, body)


def test_messages_are_put_together_while_others_pass() -> None:
    parts = Reassembly()
    assert parts.add(piece(1)) is None
    assert parts.add(piece(2, more=False, body=b"small")) == b"small"
    assert parts.add(piece(3)) is None
    assert 1 in parts
    assert 3 in parts
    assert parts.held == 2 * MAX_BODY
    assert parts.add(piece(1, more=False, body=b"end")) == bytes(MAX_BODY) + b"end"
    parts.drop(3)
    parts.drop(99)
    assert parts.held == 0
    assert 3 not in parts


def test_a_message_has_one_kind() -> None:
    parts = Reassembly()
    parts.add(piece(1))
    with pytest.raises(RemoteProtocolError, match="goes on"):
        parts.add(piece(1, more=False, kind=Kind.NOTE, body=b""))


def test_messages_and_their_sum_are_bounded() -> None:
    parts = Reassembly()
    for _ in range(MAX_MESSAGE // MAX_BODY):
        parts.add(piece(1))
    with pytest.raises(RemoteProtocolError, match="a message has"):
        parts.add(piece(1, more=False, body=b"x"))
    parts = Reassembly()
    for number in range(MAX_REASSEMBLY // MAX_BODY):
        parts.add(piece(number))
    with pytest.raises(RemoteProtocolError, match="together"):
        parts.add(piece(1, more=False, body=b"x"))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=600), st.data())
def test_any_flipped_bit_of_a_frame_is_seen(kind: Kind, frame_id: int, body: bytes, data: st.DataObject) -> None:
    sent = encode_frame(kind, frame_id, body)
    reader = opened()
    reader.feed(flipped(sent, data.draw(st.integers(0, 8 * len(sent) - 1))))
    with pytest.raises(FrameCorrupted, match="checksum"):
        reader.next_frame()


def test_every_flipped_bit_of_a_header_is_seen_before_the_body_is_there() -> None:
    sent = encode_frame(Kind.REQUEST, 77, bytes(MAX_BODY), more=True)[: HEADER.size + SUMS.size]
    for bit in range(8 * len(sent)):
        reader = opened()
        reader.feed(flipped(sent, bit))
        with pytest.raises(FrameCorrupted, match="header"):
            reader.next_frame()


def test_no_flipped_bit_of_a_greeting_passes() -> None:
    sent = encode_greeting(Kind.HELLO, b"vctrn and what follows")
    for bit in range(8 * len(sent)):
        reader = FrameReader()
        reader.feed(flipped(sent, bit))
        try:
            assert reader.next_frame() is None  # a longer one is announced, and never comes
            assert bit < 32
        except RemoteProtocolError:
            pass


def test_a_greeting_without_a_checksum_is_read_and_known_as_one() -> None:
    reader = FrameReader()
    reader.feed(HEADER.pack(10 + 3, Kind.HELLO, 0, 0) + b"old")
    assert reader.next_frame() == Frame(Kind.HELLO, False, 0, b"old")
