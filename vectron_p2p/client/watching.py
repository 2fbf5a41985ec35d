"""The flow of a subscription: events of one node, and of another one when that is lost.

Sans-IO like `flows`. Owns what the subscriber has seen (`view`). A node that knows no such subscription (another one,
or the same after a restart) is asked for a new one, which begins with everything. Invariant: it ends only by errors
that trying again cannot mend; while no node answers it says so, with each attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.client import results
from vectron_p2p.client.flows import ask
from vectron_p2p.client.session import check_timeout
from vectron_p2p.client.steps import Sleep
from vectron_p2p.model.alerts import Alert
from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import InvalidArgument, NotFound, VectronError
from vectron_p2p.model.moves import MoveInfo
from vectron_p2p.model.statistics import CollectionTotals, OperationStatistics, ReplicaStatistics
from vectron_p2p.model.watching import TOPICS, WatchEvent
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow

GATHER_S = 2.0  # an event comes at most so long after its interval: nodes are asked for 1.5 s
AGAIN_S = 0.5  # between attempts while no node answers: one that returns is seen at once, as far as a person can tell

TYPED: dict[str, Callable[[Any], Any]] = {
    "cluster": results.cluster_info,
    "statistics": results.node_statistics,
    "operations": lambda items: [results.build(OperationStatistics, each) for each in items],
    "collections": lambda fields: results.build(CollectionInfo, fields),
    "totals": lambda fields: results.build(CollectionTotals, fields),
    "shards": lambda fields: results.build(ReplicaStatistics, fields),
    "moves": lambda fields: results.build(MoveInfo, fields),
    "alerts": lambda fields: results.build(Alert, fields),
}
"""What values of a topic become; those of topics that are not here stay plain."""


class Watch:
    """One subscription: run `next` again and again."""

    def __init__(self, session: Session, topics: tuple[str, ...], interval: float) -> None:
        for name in topics:
            if not isinstance(name, str):
                raise InvalidArgument(f"a topic is a str, not {type(name).__name__}", field="topics")
        self._session = session
        self._topics = topics or tuple(TOPICS)
        self._interval = check_timeout(interval, field="interval")
        self._subscription = ""
        self._seen = 0
        self._begun = False
        self._lost = ""
        self._view: dict[str, Mapping[str, Any]] = {name: {} for name in self._topics}

    def next(self) -> Flow[WatchEvent]:
        """The next event.

        Raises:
            VectronError: A topic is unknown, the interval out of bounds; at first also that no node can be reached.
        """
        if self._lost:
            self._lost = ""
            yield Sleep(AGAIN_S)
        taken = _Taken()
        while True:
            try:
                reply = yield from self._ask()
            except VectronError as error:
                if not self._begun or isinstance(error, InvalidArgument):
                    raise
                self._subscription, self._lost = "", error.message
                return WatchEvent(node="", at=0.0, view=dict(self._view), lost=self._lost)
            self._begun = True
            self._subscription, self._seen = reply.subscription, reply.sequence
            if reply.full:  # it begins anew, also where parts of an event were lost
                taken = _Taken(full=True)
            taken.add(reply)
            if not reply.more:
                return self._event(reply, taken)

    def _ask(self) -> Flow[messages.WatchReply]:
        within = self._interval + GATHER_S
        if self._subscription:
            request = messages.WatchNext(self._subscription, self._seen)
            try:
                return (yield from ask(self._session, request, messages.WatchReply, timeout=within))
            except NotFound:
                self._subscription = ""
        begin = messages.Watch(list(self._topics), self._interval)
        timeout = within if self._begun else None
        return (yield from ask(self._session, begin, messages.WatchReply, timeout=timeout))

    def _event(self, reply: messages.WatchReply, taken: _Taken) -> WatchEvent:
        self._session.saw(self._session.generation, reply.epoch)
        if taken.full:
            self._view = {name: {} for name in self._topics}
        for topic in {*taken.changed, *taken.removed}:
            gone = set(taken.removed.get(topic, ()))
            kept = self._view.get(topic, {})
            if gone:
                kept = {key: value for key, value in kept.items() if key not in gone}
            self._view[topic] = {**kept, **taken.changed.get(topic, {})}  # anew: events given out before keep theirs
        if "cluster" in taken.changed:
            self._session.learn(results.addresses(self._view["cluster"][""].nodes))
        return WatchEvent(reply.node, reply.at, taken.full, taken.changed, taken.removed, dict(self._view))


class _Taken:
    """The parts of an event so far."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.changed: dict[str, dict[str, Any]] = {}
        self.removed: dict[str, list[str]] = {}

    def add(self, reply: messages.WatchReply) -> None:
        for topic, values in reply.changed.items():
            typed = TYPED.get(topic)
            held = self.changed.setdefault(topic, {})
            held.update(values if typed is None else {key: typed(value) for key, value in values.items()})
        for topic, keys in reply.removed.items():
            self.removed.setdefault(topic, []).extend(keys)


class Events:
    """Of the blocking client. There is nothing to close: a node forgets who asks no more."""

    def __init__(self, run: Callable[[Flow[WatchEvent]], WatchEvent], watch: Watch) -> None:
        self._run = run
        self._watch = watch

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> WatchEvent:
        return self._run(self._watch.next())


class AsyncEvents:
    """As `Events`, of the asynchronous client. No generator: one that is left half-way would have to be closed."""

    def __init__(self, run: Callable[[Flow[WatchEvent]], Awaitable[WatchEvent]], watch: Watch) -> None:
        self._run = run
        self._watch = watch

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> WatchEvent:
        return await self._run(self._watch.next())
