"""The order in which queued messages leave a connection.

Owns fairness: small messages go first and together, large ones one frame each in turn, so that a bulk transfer delays
no request by more than a frame. Invariant: messages begun and not finished never exceed what the other side
reassembles.
"""

from __future__ import annotations

from collections import deque

from vectron_p2p.protocol.frames import MAX_BODY, MAX_REASSEMBLY, Kind, encode_frame, encode_greeting

BATCH = 256 * 1024  # bytes joined into one write: past that a system call costs nothing beside the copy


class _Large:
    __slots__ = ("id", "kind", "offset", "view")

    def __init__(self, kind: Kind, frame_id: int, body: bytes) -> None:
        self.kind = kind
        self.id = frame_id
        self.view = memoryview(body)
        self.offset = 0


class Outgoing:
    __slots__ = ("_begun", "_begun_bytes", "_small", "_waiting", "pending")

    def __init__(self) -> None:
        self._small: deque[bytes] = deque()
        self._begun: deque[_Large] = deque()
        self._begun_bytes = 0
        self._waiting: deque[_Large] = deque()
        self.pending = 0
        """Bytes queued and not yet handed out (headers of frames still to be cut are not counted)."""

    def add(self, kind: Kind, frame_id: int, body: bytes = b"") -> None:
        if len(body) > MAX_BODY:
            self._waiting.append(_Large(kind, frame_id, body))
            self.pending += len(body)
        else:
            frame = encode_frame(kind, frame_id, body)
            self._small.append(frame)
            self.pending += len(frame)

    def greet(self, kind: Kind, body: bytes) -> None:
        """Queues a frame in the form of greetings."""
        frame = encode_greeting(kind, body)
        self._small.append(frame)
        self.pending += len(frame)

    def take(self) -> bytes:
        """The bytes to write next: small frames up to `BATCH`, and one frame of one large message. b"" when idle."""
        small = self._small
        if len(small) == 1 and not self._begun and not self._waiting:
            frame = small.popleft()
            self.pending -= len(frame)
            return frame
        parts: list[bytes] = []
        size = 0
        while small and size < BATCH:
            size += len(small[0])
            parts.append(small.popleft())
        self.pending -= size
        while self._waiting and self._begun_bytes + len(self._waiting[0].view) <= MAX_REASSEMBLY:
            self._begun_bytes += len(self._waiting[0].view)
            self._begun.append(self._waiting.popleft())
        if self._begun:
            parts.append(self._next_piece())
        return b"".join(parts)

    def _next_piece(self) -> bytes:
        large = self._begun.popleft()
        piece = large.view[large.offset : large.offset + MAX_BODY]
        large.offset += len(piece)
        self.pending -= len(piece)
        more = large.offset < len(large.view)
        if more:
            self._begun.append(large)
        else:
            self._begun_bytes -= len(large.view)
        return encode_frame(large.kind, large.id, piece, more=more)

    def withdraw(self, frame_id: int) -> bool:
        """Drops what is left of a large message; True when the other side has seen nothing of it."""
        for queue in (self._begun, self._waiting):
            for large in queue:
                if large.id == frame_id:
                    queue.remove(large)
                    self.pending -= len(large.view) - large.offset
                    if queue is self._begun:
                        self._begun_bytes -= len(large.view)
                    return large.offset == 0
        return False

    def clear(self) -> None:
        """Drops everything that waits."""
        self._small.clear()
        self._begun.clear()
        self._waiting.clear()
        self._begun_bytes = self.pending = 0
