"""Searches at `one` whose shards this node reads itself: all of them on one node and wherever each has a replica.

Nothing has to be asked, waited for or merged, so this is one plain call: no tasks, no timers beside the request's own,
and the owner's columns go to the client as they are. What is not plain, and what this owner cannot answer, is left to
the general way (`coordinator.searches`), which begins anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import DeadlineExceeded, NotFound, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.coordinator.searches import MAX_REPLY_BYTES
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from vectron_p2p.catalog.state import ClusterState, Collection
    from vectron_p2p.model.ids import CollectionId, NodeId
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.runtime import Clock

Answer = Callable[[m.SearchShards, float], Awaitable[m.ShardsReply]]
"""A reply, with the deadline after which nobody wants it."""


class LocalSearches:
    """`answer` is this node's own, as an owner."""

    def __init__(self, me: NodeId, clock: Clock, routes: Routes, answer: Answer) -> None:
        self._me = me
        self._answer = answer
        self._clock = clock
        self._routes = routes
        self._state: ClusterState | None = None
        self._all_here: dict[CollectionId, bool] = {}

    async def search(
        self, collection: Collection, asked: m.Search, *, timeout: float, bounded: bool
    ) -> m.SearchReply | None:
        """The reply to an admitted request; None: it has to go the general way.

        Args:
            bounded: Whether the scope that this is called in ends after `timeout`: a timer of our own would cost a
                tenth of the search.

        Raises:
            DeadlineExceeded: After `timeout` seconds.
        """
        began = self._clock.now()
        state = self._routes.state
        if not _is_plain(asked) or not self._reads_all(state, collection):
            return None
        message = m.SearchShards(
            collection.id, list(range(collection.shards)), state.epoch, True, asked.vectors, asked.count, asked.k,
            asked.filter, asked.ef, asked.exact, asked.score_threshold, asked.with_payload, asked.with_vector, False,
        )  # fmt: skip
        try:
            if bounded:
                reply = await self._answer(message, began + timeout)
            else:
                with self._clock.fail_after(timeout):
                    reply = await self._answer(message, began + timeout)
        except trio.TooSlowError as error:
            raise DeadlineExceeded("the time given ran out on the node that was asked") from error
        except DeadlineExceeded:
            raise
        except VectronError:
            return None
        if any(reply.refused):
            return None
        lists = reply.results[0]
        if sum(sum(map(len, hits.payloads)) + len(hits.vectors) for hits in lists) > MAX_REPLY_BYTES:
            return None  # and be refused
        return m.SearchReply(lists, [], (self._clock.now() - began) * 1000, None)

    def _reads_all(self, state: ClusterState, collection: Collection) -> bool:
        """Whether this node is read for every shard; looked up once for each state of the catalog."""
        if state is not self._state:
            self._state = state
            self._all_here.clear()
        found = self._all_here.get(collection.id)
        if found is None:
            try:
                routes = [state.route(ShardId(collection.id, shard)) for shard in range(collection.shards)]
            except NotFound:  # dropped meanwhile
                return False
            found = self._all_here[collection.id] = all(self._me in route.read for route in routes)
        return found


LATER = tuple(
    (entry.name, entry.default if entry.default_factory is MISSING else entry.default_factory())
    for entry in fields(m.Search)
    if entry.default is not MISSING or entry.default_factory is not MISSING
)
"""Fields that were added to `Search`, and what they are where nothing is asked of them."""


def _is_plain(asked: m.Search) -> bool:
    return (
        asked.consistency == Consistency.ONE
        and asked.id is None
        and not asked.offset
        and not asked.explain
        and all(getattr(asked, name) == default for name, default in LATER)
    )
