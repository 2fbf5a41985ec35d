"""Searches at `one` whose shards this node reads itself: all of them on one node and wherever each has a replica.

Nothing has to be asked, waited for or merged, so the request needs no task, no timer and no message between nodes: it
goes straight to the owner, and the owner's columns go to the client as they are. Clients ask the same thing with
another vector most of the time, so what depends on the rest of a request is looked up once for each state of the
catalog. What is not plain, what is refused and what this owner cannot answer is left to the general way
(`coordinator.searches`), which begins anew.
"""

from __future__ import annotations

import contextlib
from dataclasses import MISSING, fields
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import trio

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, NotFound, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.coordinator.searches import MAX_REPLY_BYTES
from vectron_p2p.node.search_admission import admit_options
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.scoring import FLOAT_BYTES
from vectron_p2p.runtime.callbacks import awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any, Protocol

    from vectron_p2p.catalog.state import ClusterState, Collection
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.protocol.events import Request
    from vectron_p2p.protocol.patterns import Pattern
    from vectron_p2p.runtime import Clock
    from vectron_p2p.runtime.callbacks import Done, TakeBack

    class OwnSearch(Protocol):
        """Queries that are equal but for the vector, on this node's own replicas."""

        def begin(self, vector: bytes, deadline: float, done: Done, *, lone: Hashable = None) -> TakeBack:
            """Gives `done` a `ShardsReply` or an error.

            Raises:
                VectronError: One of the replicas may not answer now.
            """
            ...

        async def search(self, vectors: bytes, count: int, deadline: float) -> m.ShardsReply:
            """The reply for `count` queries; raises as `begin`, and what keeps one of them from being answered."""
            ...


MAX_KNOWN = 256  # kinds of searches; programs ask a few


class _Known(NamedTuple):
    """A search but for its vectors. `size`: bytes of one vector; `rows`: whether hits come with what is stored."""

    own: OwnSearch
    size: int
    rows: bool


class LocalSearches:
    """Of one coordinator."""

    def __init__(self, me: NodeId, clock: Clock, routes: Routes, own: Callable[[m.SearchShards], OwnSearch]) -> None:
        """`own`: makes a search of this node as an owner; the message has no vectors yet."""
        self._me = me
        self._own = own
        self._clock = clock
        self._routes = routes
        self._state: ClusterState | None = None
        self._known: dict[Hashable, _Known | None] = {}
        self._patterns: dict[Pattern, _Known | None] = {}

    def begin(
        self, request: Request, began: float, deadline: float, done: Done, *, lone: Hashable = None
    ) -> TakeBack | None:
        """Gives `done` the `SearchReply`, or an error, or None: it has to go the general way after all.

        Args:
            request: A `Search`.
            began: When it came.
            deadline: After it nobody wants the answer.
            lone: The caller, if it asks nothing else meanwhile.

        Returns:
            What takes it back; None if it has to go the general way, and `done` will not be called.
        """
        asked = request.like
        if request.pattern is None:
            found, vector = self._find(asked), asked.vectors
        else:
            found, vector = self._find_alike(request.pattern), request.bulk
        if found is None or asked.count != 1 or len(vector) != found.size:
            return None
        if asked.timeout is not None:
            deadline = min(deadline, began + asked.timeout)
        try:
            return found.own.begin(vector, deadline, partial(self._answered, found, began, done), lone=lone)
        except VectronError:
            return None

    async def search(self, asked: m.Search, *, timeout: float, bounded: bool) -> m.SearchReply | None:
        """The reply, also to many queries; None: it has to go the general way.

        Args:
            bounded: Whether the scope that this is called in ends after `timeout`.

        Raises:
            DeadlineExceeded: After `timeout` seconds.
            InvalidArgument: A query is wrong.
        """
        found = self._find(asked)
        if found is None or len(asked.vectors) != found.size * asked.count:
            return None
        own = found.own
        began = self._clock.now()
        deadline = began + timeout
        answer: m.ShardsReply | Exception
        try:
            with contextlib.nullcontext() if bounded else self._clock.fail_after(timeout):
                if asked.count == 1:
                    answer = await awaited(partial(own.begin, asked.vectors, deadline))
                else:
                    answer = await own.search(asked.vectors, asked.count, deadline)
        except trio.TooSlowError as error:
            raise DeadlineExceeded("the time given ran out on the node that was asked") from error
        except VectronError as error:
            answer = error
        given: list[Any] = []
        self._answered(found, began, given.append, answer)
        if isinstance(given[0], Exception):
            raise given[0]
        reply: m.SearchReply | None = given[0]
        return reply

    def _find_alike(self, pattern: Pattern) -> _Known | None:
        """As `_find`, of what asks alike."""
        if self._routes.state is not self._state or pattern not in self._patterns:
            found = self._find(pattern.example)
            self._patterns[pattern] = found
        return self._patterns[pattern]

    def _find(self, asked: m.Search) -> _Known | None:
        """What is known of such a search; its vectors are of no account. None: it is not plain, or not right."""
        state = self._routes.state
        if state is not self._state or len(self._known) > MAX_KNOWN or len(self._patterns) > MAX_KNOWN:
            self._state = state
            self._known.clear()
            self._patterns.clear()
        if _rest(asked) != PLAIN_VALUES:
            return None
        shape = _shape(asked)
        if asked.filter is not None:
            shape = (*shape, repr(asked.filter))
        if shape not in self._known:
            self._known[shape] = self._look(state, asked)
        return self._known[shape]

    def _answered(self, known: _Known, began: float, done: Done, answer: m.ShardsReply | Exception) -> None:
        if isinstance(answer, Exception):
            done(answer if isinstance(answer, DeadlineExceeded | InvalidArgument) else None)
        elif any(answer.refused) or (known.rows and _is_too_large(answer)):
            done(None)
        else:
            done(m.SearchReply(answer.results[0], [], (self._clock.now() - began) * 1000, None))

    def _look(self, state: ClusterState, asked: m.Search) -> _Known | None:
        """The search that it is, if it is right in all but the vector."""
        collection = state.collection(asked.collection)
        if collection is None or not self._reads_all(state, collection):
            return None
        try:
            admit_options(asked, collection.options)
        except InvalidArgument:
            return None  # and be refused
        message = m.SearchShards(
            collection.id, list(range(collection.shards)), state.epoch, True, b"", 1, asked.k,
            asked.filter, asked.ef, asked.exact, asked.score_threshold, asked.with_payload, asked.with_vector, False,
        )  # fmt: skip
        rows = asked.with_payload or asked.with_vector
        return _Known(self._own(message), collection.options.dimension * FLOAT_BYTES, rows)

    def _reads_all(self, state: ClusterState, collection: Collection) -> bool:
        """Whether this node is read for every shard."""
        try:
            routes = [state.route(ShardId(collection.id, shard)) for shard in range(collection.shards)]
        except NotFound:  # dropped meanwhile
            return False
        return all(self._me in route.read for route in routes)


ANEW = {"vectors", "count", "timeout", "filter", "together"}  # looked at each time, or of no account here
PLAIN: dict[str, Any] = {
    "consistency": Consistency.ONE,
    "id": None,
    "offset": 0,
    "explain": False,
    **{
        entry.name: entry.default if entry.default_factory is MISSING else entry.default_factory()
        for entry in fields(m.Search)
        if entry.name not in ANEW and (entry.default is not MISSING or entry.default_factory is not MISSING)
    },
}
"""What a plain search says in these fields; among them all that were added to `Search` later, where nothing is asked of
them.
"""


PLAIN_VALUES = tuple(PLAIN.values())
_rest = attrgetter(*PLAIN)
_shape = attrgetter(*({entry.name for entry in fields(m.Search)} - PLAIN.keys() - ANEW))


def _is_too_large(reply: m.ShardsReply) -> bool:
    lists = reply.results[0]
    return sum([sum(map(len, hits.payloads)) + len(hits.vectors) for hits in lists]) > MAX_REPLY_BYTES
