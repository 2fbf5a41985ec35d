"""Answers of this owner to single queries that are asked again (PROTOCOLS §9).

An answer is kept under all that the query asks, and holds for the revisions of the replicas that it was read from:
each life of a replica has its own, and every write raises it before it is acknowledged. So whatever a write that was
acknowledged here could have changed is not served any more, and there is nothing to invalidate. The revisions are read
before the search begins: an answer that saw more than they say is of no use later, one that saw less would be wrong.

Equal queries that come while the first of them is being answered wait for its answer. Only what is asked a second time
is kept: queries that never come again, which is what most searches are, cost 16 bytes each for a while.

Owns no opinion of who may answer: whoever asks has made sure that these replicas may (no learners, no fences passed).
"""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import trio

from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from vectron_p2p.node.replica import Replica

    Revisions = tuple[tuple[int, int], ...]

LARGEST_SHARE = 16  # an answer larger than this part of the room would drive out too many others
REMEMBERED = 8_192  # queries asked once, twice over: 2 MB, and some seconds of a busy node
ANSWER_BYTES, HIT_BYTES = 900, 190  # of Python objects, besides the bytes that they hold
NOT_ASKED = {"epoch", "vectors", "explain"}  # by which node and when; hashed as they are; never kept

_options = attrgetter(*(name for name in m.SearchShards.__dataclass_fields__ if name not in NOT_ASKED))


class _Kept(NamedTuple):
    revisions: Revisions
    reply: m.ShardsReply
    size: int


class _Flight:
    """A search under way; `reply` stays None when it comes to nothing that others could use."""

    __slots__ = ("done", "reply")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: m.ShardsReply | None = None


class SearchCache:
    """Of all replicas of a node together; the answer used longest ago goes first."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` 0: nothing is kept, and equal queries are each searched."""
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.shared = 0
        """Queries that were answered by the search for an equal one."""
        self.misses = 0
        self._kept: dict[bytes, _Kept] = {}
        self._flights: dict[tuple[bytes, Revisions], _Flight] = {}
        self._once: dict[bytes, None] = {}
        self._once_before: dict[bytes, None] = {}

    async def answer(
        self, message: m.SearchShards, replicas: Iterable[Replica], search: Callable[[], Awaitable[m.ShardsReply]]
    ) -> m.ShardsReply:
        """The reply to `message`, which `replicas` may answer: one kept, or what `search` finds. Not to be changed.

        Raises:
            VectronError: As `search` does.
        """
        if not self.max_bytes or message.count != 1 or message.explain:
            return await search()
        indexes = [replica.index for replica in replicas]
        key, revisions = _key(message), tuple([index.revision for index in indexes])
        while True:
            kept = self._kept.get(key)
            if kept is not None and kept.revisions == revisions:
                self.hits += 1
                self._kept[key] = self._kept.pop(key)
                return kept.reply
            flight = self._flights.get((key, revisions))
            if flight is None:
                break
            await flight.done.wait()
            if flight.reply is not None:
                self.shared += 1
                return flight.reply
        self.misses += 1
        flight = self._flights[key, revisions] = _Flight()
        try:
            reply = await search()
            if not any(reply.refused):
                flight.reply = reply
        finally:  # failed, cancelled: whoever waits asks for itself
            del self._flights[key, revisions]
            flight.done.set()
        if flight.reply is not None and self._asked_before(key):
            self._keep(key, _Kept(revisions, reply, _size(reply)))
        return reply

    def _asked_before(self, key: bytes) -> bool:
        if key in self._kept or key in self._once or key in self._once_before:
            return True
        self._once[key] = None
        if len(self._once) >= REMEMBERED:
            self._once, self._once_before = {}, self._once
        return False

    def _keep(self, key: bytes, kept: _Kept) -> None:
        self._drop(key)
        if kept.size > self.max_bytes // LARGEST_SHARE:
            return
        self._kept[key] = kept
        self.bytes += kept.size
        while self.bytes > self.max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept.size


def _key(message: m.SearchShards) -> bytes:
    """Of all that the query asks, by whatever fields there are. A hash that nobody can find collisions of: an answer to
    another query would look like one to this.
    """
    digest = hashlib.blake2b(message.vectors, digest_size=16)
    digest.update(repr(_options(message)).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _size(reply: m.ShardsReply) -> int:
    """About the memory that it takes."""
    size = ANSWER_BYTES
    for lists in reply.results:
        for hits in lists:
            size += HIT_BYTES * len(hits.ids) + len(hits.scores) + len(hits.vectors)
            size += sum([len(point) for point in hits.ids if isinstance(point, str)])
            size += sum([len(payload) + 41 for payload in hits.payloads])
    return size
