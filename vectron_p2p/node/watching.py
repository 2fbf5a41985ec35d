"""Subscriptions of clients at this node: who has seen what, and when there is news.

Owns the difference between what a subscriber holds and what is true now. Topics are read by functions that are handed
in: this file knows none of them. Invariants: nothing is queued for a subscriber (one that is slow gets the newest state
when it asks again); an event that is large goes out in parts, each when it is asked for; a subscriber that asks under
the number of a part that it never got is sent everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import InvalidArgument, NotFound, Overloaded, Unavailable
from vectron_p2p.model.watching import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S
from vectron_p2p.node.event_parts import Part, parts
from vectron_p2p.node.runtime import Runtime, new_uuid
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from vectron_p2p.model.ids import NodeId

    Contents = dict[str, dict[str, Any]]

MAX_SUBSCRIPTIONS = 256  # each holds references to what it was sent; more consoles than people
FORGET_AFTER_S = 30.0  # without a request: far more than a client needs to come back after a broken connection
BURST_S = 0.1  # between events whatever happens: ten members that change at once are one piece of news


class _Subscription:
    __slots__ = ("asked_at", "holder", "id", "interval", "news", "rest", "sent", "sent_at", "sequence", "topics")

    def __init__(self, id: str, topics: tuple[str, ...], interval: float, now: float) -> None:
        self.id = id
        self.topics = topics
        self.interval = interval
        self.sequence = 0
        self.sent: Contents = {}
        self.sent_at = now
        self.asked_at = now
        self.news = trio.Event()
        self.rest: Iterator[Part | None] | None = None
        """Parts of the event under way that are not sent yet."""
        self.holder: trio.CancelScope | None = None
        """Of the request that waits."""


class Watching:
    """`read(topics)` gives the values of topics, by topic and key, as plain data."""

    def __init__(
        self,
        node: NodeId,
        runtime: Runtime,
        read: Callable[[Sequence[str]], Awaitable[Contents]],
        *,
        topics: Callable[[], Sequence[str]],
        epoch: Callable[[], int],
    ) -> None:
        self._node = node
        self._clock = runtime.clock
        self._random = runtime.random
        self._read = read
        self._topics = topics
        self._epoch = epoch
        self._subscriptions: dict[str, _Subscription] = {}
        self._stopping = False
        self.handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {
            m.Watch: self._watch,
            m.WatchNext: self._next,
        }

    def changed(self, *topics: str) -> None:
        """There is news that should not wait for the interval."""
        for subscription in self._subscriptions.values():
            if not set(topics).isdisjoint(subscription.topics):
                subscription.news.set()

    def stop(self) -> None:
        """The node stops: who waits goes to another one now."""
        self._stopping = True
        for subscription in self._subscriptions.values():
            subscription.news.set()

    @property
    def count(self) -> int:
        return len(self._subscriptions)

    async def _watch(self, message: m.Watch, timeout: float) -> m.WatchReply:
        known = self._topics()
        topics = tuple(dict.fromkeys(message.topics))
        for name in topics:
            if name not in known:
                raise InvalidArgument(f"{name!r:.40} is none of {', '.join(known)}", field="topics")
        if not topics:
            raise InvalidArgument(f"name some of {', '.join(known)}", field="topics")
        if not SHORTEST_INTERVAL_S <= message.interval <= LONGEST_INTERVAL_S:
            text = f"interval is {SHORTEST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g} seconds"
            raise InvalidArgument(text, field="interval")
        self._forget_idle()
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            text = f"this node serves {MAX_SUBSCRIPTIONS} subscriptions; ask another one, or again later"
            raise Overloaded(text, retry_after=FORGET_AFTER_S, node=self._node)
        subscription = _Subscription(new_uuid(self._random), topics, message.interval, self._clock.now())
        self._subscriptions[subscription.id] = subscription
        return await self._event(subscription)

    async def _next(self, message: m.WatchNext, timeout: float) -> m.WatchReply:
        subscription = self._subscriptions.get(message.subscription)
        if subscription is None:
            raise NotFound("this node knows no such subscription; begin a new one", field="subscription")
        making = False
        if subscription.holder is not None:  # its client has lost the connection on which that one waits
            subscription.holder.cancel()
            making = subscription.rest is not None  # a part of which goes with it
        if making or message.seen != subscription.sequence:
            subscription.sent, subscription.rest = {}, None
        with trio.CancelScope() as scope:
            subscription.holder = scope
            try:
                if subscription.rest is None:
                    await self._news(subscription)
                return await self._event(subscription)
            finally:
                if subscription.holder is scope:
                    subscription.holder = None
                    subscription.asked_at = self._clock.now()
        raise Unavailable("the subscription was asked for again, on another connection", node=self._node)

    async def _news(self, subscription: _Subscription) -> None:
        """Until there is something to send, or the interval is over."""
        now = self._clock.now()
        with self._clock.move_on_after(max(0.0, subscription.sent_at + subscription.interval - now)):
            await subscription.news.wait()
        if not self._stopping:
            await self._clock.sleep(max(0.0, subscription.sent_at + BURST_S - self._clock.now()))

    async def _event(self, subscription: _Subscription) -> m.WatchReply:
        if self._stopping:
            raise Unavailable("this node is stopping; ask another one", node=self._node)
        full = False
        if subscription.rest is None:
            subscription.news = trio.Event()
            subscription.sent_at = self._clock.now()
            contents = await self._read(subscription.topics)
            full = not subscription.sent
            subscription.rest = parts(subscription.sent, contents)
            subscription.sent = contents
        part = await _next_part(subscription.rest)
        if part.last:
            subscription.rest = None
        subscription.sequence += 1
        subscription.asked_at = self._clock.now()
        return m.WatchReply(
            subscription=subscription.id,
            sequence=subscription.sequence,
            node=self._node,
            at=self._clock.wall(),
            epoch=self._epoch(),
            full=full,
            changed=part.changed,
            removed=part.removed,
            more=not part.last,
        )

    def _forget_idle(self) -> None:
        oldest = self._clock.now() - FORGET_AFTER_S
        for subscription in list(self._subscriptions.values()):
            if subscription.holder is None and subscription.asked_at < oldest:
                del self._subscriptions[subscription.id]


async def _next_part(rest: Iterator[Part | None]) -> Part:
    while (part := next(rest)) is None:
        await trio.lowlevel.checkpoint()
    return part
