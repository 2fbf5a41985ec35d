"""Payloads that a start has read and not indexed yet, so that searches without a filter need not wait for them.

Reading what stands in payloads takes a third of the time in which a shard is loaded, and only filters and orders ask
for it. So they are kept as they are stored, and indexed by upkeep after the start, or by the first who asks for them,
whichever comes first. Invariant: nobody evaluates anything on the payload index before `finish` has returned.

Locks: `_working`, then the owner's mutex, which is held for adding a chunk.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from vectron_p2p.index.payload.extract import extract

if TYPE_CHECKING:
    from vectron_p2p.index.payload.columns import Int32s
    from vectron_p2p.index.payload.payload_index import PayloadIndex

MAX_BYTES = 32 << 20  # of payloads kept, some 150,000 rows; beyond, a start indexes them as they come
PORTION = 10  # chunks: about 50 ms of a thread


class Backlog:
    """`put` comes first and alone; the rest is for any thread."""

    def __init__(self) -> None:
        self._working = threading.Lock()
        self._chunks: deque[tuple[Int32s, list[bytes | None]]] = deque()
        self._bytes = 0
        self.done = True
        """Whether the payload index has all that it should."""

    def put(self, payloads: PayloadIndex, slots: Int32s, packed: list[bytes | None]) -> None:
        """These stand in `slots` (-1: in none); they come in any order."""
        if not packed:
            return
        self.done = False
        self._bytes += sum(map(len, filter(None, packed)))
        if self._bytes <= MAX_BYTES:
            self._chunks.append((slots, packed))
        else:
            payloads.add(extract(packed), slots)

    def work(self, payloads: PayloadIndex, mutex: threading.Lock, chunks: int = PORTION) -> None:
        """Index some of them."""
        with self._working:
            for _ in range(chunks):
                if self._chunks:
                    self._index_one(payloads, mutex)
            self._end(payloads, mutex)

    def finish(self, payloads: PayloadIndex, mutex: threading.Lock) -> None:
        """Index all that is left, before a filter or an order is asked for."""
        if self.done:
            return
        with self._working:
            while self._chunks:
                self._index_one(payloads, mutex)
            self._end(payloads, mutex)

    def _index_one(self, payloads: PayloadIndex, mutex: threading.Lock) -> None:
        slots, packed = self._chunks[0]
        terms = extract(packed)
        with mutex:  # rows that are written meanwhile are added too
            payloads.add(terms, slots)
        self._chunks.popleft()  # only now: what failed is tried again, and a term that is there twice does no harm

    def _end(self, payloads: PayloadIndex, mutex: threading.Lock) -> None:
        if not self._chunks and not self.done:
            with mutex:
                payloads.sort()
            self.done = True
