"""A client's end of a connection, with a short way for a request that fits one frame and is alone under way.

The short way is what `Connection` does in the plainest case, in one step each way: nothing is queued, and an answer
that came as one whole frame, with nothing before or behind it, is read where it lies. All else is for `receive`.
Must not know what is asked. Invariant: the bytes sent are those of `send_request`; of what `answer` passes over
nothing is taken in, so `receive` finds the connection as if it had not been asked.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import TYPE_CHECKING, Any

import msgpack
import xxhash

from vectron_p2p.protocol.connection import MAX_TIMEOUT_MS, Connection
from vectron_p2p.protocol.errors import LocalProtocolError, RemoteProtocolError
from vectron_p2p.protocol.frames import HEADER, MAX_BODY, SUMS, Kind, encode_frame
from vectron_p2p.protocol.registry import decode, encode

if TYPE_CHECKING:
    from vectron_p2p.protocol.messages import Hello

_HEAD = struct.Struct(HEADER.format + SUMS.format[1:])
_SUMMED = _HEAD.size - 4  # bytes that the checksum at the end of the head is of
_COUNTED = HEADER.size - 4
_REQUEST, _RESPONSE = Kind.REQUEST, int(Kind.RESPONSE)
_checksum = xxhash.xxh3_64_intdigest


class ClientConnection(Connection):
    def __init__(self, hello: Hello) -> None:
        super().__init__("client", hello=hello)

    @property
    def clear(self) -> bool:
        """Whether a request may go the short way: nothing is queued, half read or under way."""
        return self.accepting and not self._in_flight and not self._out.pending and not self._reader.held

    def begin(self, body: bytes) -> tuple[int, bytes]:
        """The id of a request (`body`: its timeout, trace and message) and the bytes to write; `clear` must hold.

        From then on it is under way, as after `send_request`.
        """
        if len(body) > MAX_BODY:
            raise LocalProtocolError(f"a request of {len(body)} bytes does not fit one frame")
        self._last_id = request_id = self._last_id + 1
        self._in_flight[request_id] = True
        return request_id, encode_frame(_REQUEST, request_id, body)

    def answer(self, request_id: int, data: bytes) -> Any:
        """The answer to the one request under way, if `data` is that alone; None otherwise: give it to `receive`."""
        if len(data) < _HEAD.size:
            return None
        length, kind, flags, frame_id, body_sum, head_sum = _HEAD.unpack_from(data)
        if frame_id != request_id or kind != _RESPONSE or flags or length - _COUNTED != len(data) - _HEAD.size:
            return None
        body = data[_HEAD.size :]
        if _checksum(data[:_SUMMED]) & 0xFFFFFFFF != head_sum or _checksum(body) != body_sum:
            return None
        try:
            message = decode(body)
        except RemoteProtocolError:
            return None
        del self._in_flight[request_id]
        return message


def milliseconds(timeout: float) -> int:
    """How a request tells its timeout in seconds."""
    return min(max(math.ceil(timeout * 1000), 1), MAX_TIMEOUT_MS)


def encode_around(message: Any, field: str) -> tuple[bytes, bytes]:
    """The bytes of `message` before and after those that are in its field of bytes: with others of the same length
    between, they are a message that differs in these alone.
    """
    encoded = encode(message)
    walker = msgpack.Unpacker()
    walker.feed(encoded)
    walker.read_array_header()
    walker.skip()  # the tag
    for each in dataclasses.fields(message):
        walker.skip()
        if each.name == field:
            break
    end = walker.tell()
    return encoded[: end - len(getattr(message, field))], encoded[end:]
