"""Frames: how messages are cut into pieces on a byte stream, and put together again.

A frame is a header (u32 length of kind, flags, id and body; u8 kind, u8 flags, u64 id), its checksums (u64 of the body,
u32 of all before it) and a body. A message longer than one frame goes out as several of one kind and id, all but the
last with `MORE` and exactly full, so that others can go in between.

TCP's 16 bits let about one damaged segment in 65,000 pass, and network cards and memory on the way damage them behind
its back; what is stored wrongly here would be replicated as right. The header has a checksum of its own: a wrong
length is seen at once, not after the bytes that it announces. XXH3 finds any flipped bit and is faster than memory is
copied: 35 us for 2 MiB (XXH32 takes 285, zlib's CRC-32 490).

Greetings, which is all that goes over a connection before the handshake is done, keep the form that they had before
there were checksums, so that versions can be told apart for ever: nothing follows the header, and in the place of the
id, which they do not need, they have the checksum of all the rest. A peer that is older than checksums sends 0 there,
and only learns that it is too old.

Invariants: no byte of a frame is decoded before its checksum is right. Whatever bytes arrive, a `FrameReader` holds at
most one frame and a `Reassembly` at most `MAX_REASSEMBLY` bytes; each length is checked before anything is kept.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

import xxhash

from vectron_p2p.protocol.errors import FrameCorrupted, RemoteProtocolError

HEADER = struct.Struct(">IBBQ")
SUMS = struct.Struct(">QI")  # after the header: the body's checksum, and that of the header and the body's checksum
_HEAD = struct.Struct(HEADER.format + SUMS.format[1:])
_SUMMED = struct.Struct(HEADER.format + "Q")  # what the header's checksum is of
_LENGTH = struct.Struct(">I")
_ID = struct.Struct(">Q")
_GREETING = struct.Struct(">IBB")  # the header of a greeting before its checksum
PREFIX = struct.Struct(">IQ")  # before the message of a request: its timeout in ms and its trace; 0 for none
_COUNTED = HEADER.size - _LENGTH.size  # bytes of the header that the length counts

MAX_BODY = 256 * 1024  # at 1 Gbit/s a frame occupies the line for 2 ms: what a small message waits behind a bulk one
MAX_MESSAGE = 32 * 1024 * 1024  # house rule is 2 MiB; the rest is room for replies with many wide rows
MAX_REASSEMBLY = 64 * 1024 * 1024  # two of the largest messages at once per connection
MAX_GREETING = 4 * 1024  # before the handshake nobody is trusted with more; Hello and Welcome take ~200 bytes

MORE = 1
"""The one flag: the message goes on in another frame."""


class Kind(enum.IntEnum):
    """What a frame is. Numbers are on the wire for ever."""

    HELLO = 1
    REQUEST = 2
    RESPONSE = 3
    ERROR = 4
    CANCEL = 5
    NOTE = 6
    PING = 7
    PONG = 8
    GOODBYE = 9


SPLITTABLE = frozenset({Kind.REQUEST, Kind.RESPONSE, Kind.NOTE})

_KINDS = {int(kind): kind for kind in Kind}
_LOW = 0xFFFFFFFF  # of a checksum, the bits that a header has room for
_checksum = xxhash.xxh3_64_intdigest


class Frame(NamedTuple):
    kind: Kind
    more: bool
    id: int
    body: bytes


def _greeting_checksum(head: bytes, body: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(head + body)) or 1  # greetings are short; 0 stands for none


def encode_frame(kind: Kind, frame_id: int, body: bytes | memoryview = b"", *, more: bool = False) -> bytes:
    """The bytes of one frame; `body` is at most `MAX_BODY` long."""
    head = _SUMMED.pack(_COUNTED + len(body), kind, MORE if more else 0, frame_id, _checksum(body))
    return b"".join((head, _LENGTH.pack(_checksum(head) & _LOW), body))


def body_of(data: bytes, kind: Kind, frame_id: int) -> bytes | None:
    """The body of the one frame of this kind and id that `data` is, whole and with nothing behind it; None: it is
    something else, or damaged, which a `FrameReader` says.
    """
    if len(data) < _HEAD.size:
        return None
    length, number, flags, found, body_sum, head_sum = _HEAD.unpack_from(data)
    if found != frame_id or number != kind or flags or length - _COUNTED != len(data) - _HEAD.size:
        return None
    body = data[_HEAD.size :]
    sound = _checksum(data[: _SUMMED.size]) & _LOW == head_sum and _checksum(body) == body_sum
    return body if sound else None


def encode_greeting(kind: Kind, body: bytes) -> bytes:
    """The bytes of a frame before the handshake is done, in the form that never changes."""
    head = _GREETING.pack(_COUNTED + len(body), kind, 0)
    return b"".join((head, _ID.pack(_greeting_checksum(head, body)), body))


class FrameReader:
    """Cuts a byte stream into frames.

    `limit` is the longest body taken: `MAX_GREETING` until the connection raises it after the handshake. Until then
    frames have the form of greetings.
    """

    __slots__ = ("_at", "_buffer", "limit")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._at = 0  # where the next frame begins
        self.limit = MAX_GREETING

    @property
    def held(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Adds what the stream gave. Drain `next_frame` after each feed: what is held then is less than one frame."""
        if not self._buffer:
            self._buffer = data  # most often whole frames: nothing to copy
        elif isinstance(self._buffer, bytearray):
            self._buffer += data
        else:
            self._buffer = bytearray(self._buffer) + data

    def next_frame(self) -> Frame | None:
        """The next complete frame, None when it is not all there.

        Raises:
            FrameCorrupted: A checksum is wrong.
            RemoteProtocolError: The header is none, or announces more than `limit`.
        """
        if self.limit == MAX_GREETING:
            return self._next_greeting()
        buffer, at = self._buffer, self._at
        if not buffer:
            return None
        start = at + _HEAD.size
        if len(buffer) < start:
            self._keep()
            return None
        length, number, flags, frame_id, body_sum, head_sum = _HEAD.unpack_from(buffer, at)
        if _checksum(buffer[at : at + _SUMMED.size]) & _LOW != head_sum:
            raise FrameCorrupted("the checksum of a frame's header is wrong")
        kind = self._kind(length, number, flags)
        end = start + length - _COUNTED
        if len(buffer) < end:
            self._keep()
            return None
        body = bytes(buffer[start:end]) if type(buffer) is bytes else bytes(memoryview(buffer)[start:end])
        if _checksum(body) != body_sum:
            raise FrameCorrupted(f"the checksum of a {kind.name} frame is wrong")
        if end == len(buffer):
            self._buffer, self._at = b"", 0
        else:
            self._at = end
        return Frame(kind, flags == MORE, frame_id, body)

    def _keep(self) -> None:
        """What is left is no whole frame."""
        at, self._at = self._at, 0
        if at == len(self._buffer):
            self._buffer = b""
        elif isinstance(self._buffer, bytearray):
            del self._buffer[:at]  # cheap: CPython moves the start of a bytearray, not its content
        else:
            self._buffer = self._buffer[at:]

    def _kind(self, length: int, number: int, flags: int) -> Kind:
        """What a frame of such a header is, checked."""
        if not _COUNTED <= length <= _COUNTED + self.limit:
            self._refuse_length(length)
        kind = _KINDS.get(number)
        if kind is None or flags & ~MORE:
            raise RemoteProtocolError(f"no frame has kind {number} and flags {flags}")
        if flags and (kind not in SPLITTABLE or length - _COUNTED != MAX_BODY):
            # Only full frames go on: thousands of tiny pieces would cost more to keep than their bytes.
            raise RemoteProtocolError(f"a {kind.name} frame of {length - _COUNTED} bytes cannot go on in another")
        return kind

    def _next_greeting(self) -> Frame | None:
        buffer, at = self._buffer, self._at
        if len(buffer) < at + HEADER.size:
            # Four bytes are enough to refuse a stranger who speaks another protocol and then waits.
            if len(buffer) >= at + _LENGTH.size:
                length = _LENGTH.unpack_from(buffer, at)[0]
                if not _COUNTED <= length <= _COUNTED + self.limit:
                    self._refuse_length(length)
            self._keep()
            return None
        length, number, flags, checksum = HEADER.unpack_from(buffer, at)
        kind = self._kind(length, number, flags)
        end = at + _LENGTH.size + length
        if len(buffer) < end:
            self._keep()
            return None
        body = bytes(buffer[at + HEADER.size : end])
        if checksum and _greeting_checksum(bytes(buffer[at : at + _GREETING.size]), body) != checksum:
            raise FrameCorrupted(f"the checksum of a {kind.name} frame is wrong")
        self._at = end
        return Frame(kind, flags == MORE, checksum, body)

    def _refuse_length(self, length: int) -> None:
        raise RemoteProtocolError(f"a frame has {_COUNTED} to {_COUNTED + self.limit} bytes, not {length}")


class Reassembly:
    """Messages of which some frames have arrived, by id."""

    __slots__ = ("_parts", "held")

    def __init__(self) -> None:
        self._parts: dict[int, tuple[Kind, list[bytes], int]] = {}
        self.held = 0

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._parts

    def add(self, frame: Frame) -> bytes | None:
        """The whole message's bytes when `frame` is its last, else None.

        Raises:
            RemoteProtocolError: The message or all messages together are too long, or the kind changed within one.
        """
        kind, chunks, size = self._parts.get(frame.id) or (frame.kind, [], 0)
        if not frame.more and not chunks:
            return frame.body
        if kind is not frame.kind:
            raise RemoteProtocolError(f"message {frame.id} began as {kind.name} and goes on as {frame.kind.name}")
        size += len(frame.body)
        if size > MAX_MESSAGE:
            raise RemoteProtocolError(f"a message has at most {MAX_MESSAGE} bytes")
        if self.held + len(frame.body) > MAX_REASSEMBLY:
            raise RemoteProtocolError(f"unfinished messages have at most {MAX_REASSEMBLY} bytes together")
        chunks.append(frame.body)
        self.held += len(frame.body)
        if frame.more:
            self._parts[frame.id] = kind, chunks, size
            return None
        del self._parts[frame.id]
        self.held -= size
        return b"".join(chunks)

    def drop(self, frame_id: int) -> None:
        """Forgets the frames of a message that will not be finished."""
        part = self._parts.pop(frame_id, None)
        if part is not None:
            self.held -= part[2]
