"""Requests that differ from an earlier one in one field of bytes alone.

Clients ask the same thing with another vector most of the time. What is around the vector is then known: it is
compared, and not decoded, checked and built again, which would be a large part of what a search costs the event loop.

Owns which requests were seen. Must not know what they ask. Invariant: bytes that match a pattern decode to its example
but for the bulk field: msgpack is read from left to right, and what is before the field's bytes ends with its header,
which says how many follow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack

from vectron_p2p.protocol.registry import bulk_field, encode

LEAST_BULK = 64  # bytes: below that decoding costs no more than comparing
MOST_BULK = 64 * 1024  # above that it is as cheap beside what is done with them
MAX_AROUND = 4096  # bytes kept of one request: filters are shorter, but for lists of ids
MAX_LENGTHS = 64  # lengths of requests known at once; when there are more, all are learnt anew
MAX_ALIKE = 8  # requests of one length


class Pattern:
    """Requests that are equal but for their bulk field."""

    __slots__ = ("_field", "after", "before", "example")

    def __init__(self, example: Any, field: str, before: bytes, after: bytes) -> None:
        self.example = example
        self.before = before
        self.after = after
        self._field = field

    def message(self, bulk: bytes) -> Any:
        """The request with these bytes in its bulk field."""
        return dataclasses.replace(self.example, **{self._field: bulk})


class Patterns:
    """The requests that a server was asked lately, by their length."""

    def __init__(self) -> None:
        self._known: dict[int, list[Pattern]] = {}

    def find(self, body: bytes, start: int) -> tuple[Pattern, bytes] | None:
        """The pattern of the message that begins at `start`, and what is in its bulk field; None: not seen yet."""
        size = len(body)
        for pattern in self._known.get(size - start, ()):
            if body.startswith(pattern.before, start) and body.endswith(pattern.after):
                return pattern, body[start + len(pattern.before) : size - len(pattern.after)]
        return None

    def learn(self, body: bytes, start: int, message: Any) -> None:
        """`message` is what the bytes from `start` were decoded to."""
        field = bulk_field(message)
        if field is None:
            return
        index, name = field
        bulk = getattr(message, name)
        if not LEAST_BULK <= len(bulk) <= MOST_BULK or len(body) - start - len(bulk) > MAX_AROUND:
            return
        first, end = _span(body, start, index)
        at = end - len(bulk)  # behind the field's header
        if body[at:end] != bulk or not first < at:
            return  # a field of another form than ours
        if len(self._known) >= MAX_LENGTHS:
            self._known.clear()
        alike = self._known.setdefault(len(body) - start, [])
        if len(alike) >= MAX_ALIKE:
            alike.clear()
        alike.append(Pattern(message, name, body[start:at], body[end:]))


def around_bulk(message: Any) -> tuple[bytes, bytes]:
    """The bytes of `message` before and after those in its bulk field: with as many others between, they are the
    message that has these there.
    """
    field = bulk_field(message)
    assert field is not None
    index, name = field
    encoded = encode(message)
    _, end = _span(encoded, 0, index)
    return encoded[: end - len(getattr(message, name))], encoded[end:]


def _span(body: bytes, start: int, index: int) -> tuple[int, int]:
    """Where field number `index` of the message that begins at `start` lies, its header included."""
    walker = msgpack.Unpacker()
    walker.feed(memoryview(body)[start:])
    walker.read_array_header()
    for _ in range(1 + index):  # the tag, and the fields before
        walker.skip()
    first = start + walker.tell()
    walker.skip()
    return first, start + walker.tell()
