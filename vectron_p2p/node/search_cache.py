"""Answers of this owner to single queries that are asked again (PROTOCOLS §9).

An answer is kept under all that the query asks, and holds for the revisions of the replicas that it was read from:
each life of a replica has its own, and every write raises it before it is acknowledged. So whatever a write that was
acknowledged here could have changed is not served any more, and there is nothing to invalidate. The revisions are read
before the search begins: an answer that saw more than they say is of no use later, one that saw less would be wrong.

Equal queries that come while the first of them is being answered wait for its answer. Only what is asked a second time
is kept: of queries that never come again, which is what most searches are, a hash is kept for a while.

Owns no opinion of who may answer: whoever asks has made sure that these replicas may (no learners, no fences passed).
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.protocol import messages as m
from vectron_p2p.runtime.callbacks import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.node.replica import Replica
    from vectron_p2p.runtime.callbacks import Done, TakeBack

    Key = tuple[bytes, bytes]
    """What is asked: see `options_of`; and of which vector."""
    Revisions = list[tuple[int, int]]
    Search = Callable[[Done], TakeBack]
    """Begins a search, of which the answer is a `ShardsReply` or an error."""

LARGEST_SHARE = 16  # an answer larger than this part of the room would drive out too many others
REMEMBERED = 8_192  # queries asked once, twice over: 1 MB, and some seconds of a busy node
ANSWER_BYTES, HIT_BYTES = 900, 190  # of Python objects, besides the bytes that they hold
NOT_ASKED = {"epoch", "vectors", "count", "explain"}  # by which node and when; in the key as they are; 1; never kept

_options = attrgetter(*(name for name in m.SearchShards.__dataclass_fields__ if name not in NOT_ASKED))


class _Kept(NamedTuple):
    revisions: Revisions
    reply: m.ShardsReply
    size: int


class _Asking:
    """One query that is being answered, from the cache, by a search of its own or by the search for an equal one."""

    __slots__ = ("done", "key", "others", "replicas", "revisions", "search", "take_back")

    def __init__(self, key: Key, replicas: Sequence[Replica], search: Search, done: Done) -> None:
        self.key = key
        self.replicas = replicas
        self.search = search
        self.done: Done = done
        self.take_back: TakeBack = nothing
        """Changes: who waited for another's answer may have to search."""
        self.revisions: Revisions = []
        """Of the replicas when the search began."""
        self.others: dict[_Asking, None] = {}
        """Equal queries that wait for its answer."""

    def cancel(self) -> None:
        take_back, self.take_back = self.take_back, nothing  # it leads to this again
        take_back()


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
        self._kept: dict[Key, _Kept] = {}
        self._flights: dict[Key, _Asking] = {}
        """Searches under way, the newest of each key."""
        self._once: set[int] = set()
        self._once_before: set[int] = set()

    def begin(self, key: Key | None, replicas: Sequence[Replica], search: Search, done: Done) -> TakeBack:
        """Gives `done` the reply to the query of `key`, which `replicas` may answer: one kept, or what `search` finds.
        Not to be changed. None: what is not kept.
        """
        if not self.max_bytes or key is None:
            return search(done)
        asking = _Asking(key, replicas, search, done)
        self._begin(asking)
        return asking.cancel

    def _begin(self, asking: _Asking) -> None:
        key, revisions = asking.key, [replica.index.revision for replica in asking.replicas]
        kept = self._kept.get(key)
        if kept is not None and kept.revisions == revisions:
            self.hits += 1
            self._kept[key] = self._kept.pop(key)
            asking.done(kept.reply)
            return
        first = self._flights.get(key)
        if first is not None and first.revisions == revisions:
            first.others[asking] = None
            asking.take_back = partial(first.others.pop, asking, None)
            return
        self.misses += 1
        self._flights[key] = asking
        asking.revisions = revisions
        take_back = asking.search(partial(self._landed, asking))
        if asking.revisions:  # not answered at once
            asking.take_back = partial(self._given_up, asking, take_back)

    def _land(self, first: _Asking) -> Revisions:
        if self._flights.get(first.key) is first:
            del self._flights[first.key]
        revisions, first.revisions = first.revisions, []
        return revisions

    def _landed(self, first: _Asking, answer: m.ShardsReply | Exception) -> None:
        revisions = self._land(first)
        first.take_back = nothing
        if isinstance(answer, Exception) or any(answer.refused):
            first.done(answer)
            self._ask_again(first)
            return
        if self._asked_before(first.key):
            self._keep(first.key, _Kept(revisions, answer, _size(first.key, answer)))
        first.done(answer)
        if first.others:
            for asking in list(first.others):
                self.shared += 1
                asking.take_back = nothing
                asking.done(answer)

    def _given_up(self, first: _Asking, take_back: TakeBack) -> None:
        self._land(first)
        take_back()
        self._ask_again(first)

    def _ask_again(self, first: _Asking) -> None:
        """It came to nothing that others could use: they ask for themselves."""
        for asking in list(first.others):
            self._begin(asking)

    def _asked_before(self, key: Key) -> bool:
        """By its hash: two that share one are kept a query too early, no more."""
        digest = hash(key)
        if digest in self._once or digest in self._once_before or key in self._kept:
            return True
        self._once.add(digest)
        if len(self._once) >= REMEMBERED:
            self._once, self._once_before = set(), self._once
        return False

    def _keep(self, key: Key, kept: _Kept) -> None:
        self._drop(key)
        if kept.size > self.max_bytes // LARGEST_SHARE:
            return
        self._kept[key] = kept
        self.bytes += kept.size
        while self.bytes > self.max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept.size


def options_of(message: m.SearchShards) -> bytes:
    """All that the query asks besides its vector, by whatever fields there are."""
    return repr(_options(message)).encode("utf-8", "surrogatepass")


def _size(key: Key, reply: m.ShardsReply) -> int:
    """About the memory that it takes."""
    size = ANSWER_BYTES + len(key[1])
    for lists in reply.results:
        for hits in lists:
            size += HIT_BYTES * len(hits.ids) + len(hits.scores) + len(hits.vectors)
            size += sum([len(point) for point in hits.ids if isinstance(point, str)])
            size += sum([len(payload) + 41 for payload in hits.payloads])
    return size
