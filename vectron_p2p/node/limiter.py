"""How many requests of clients a node takes: at once, and a second, in all and of each connection.

Only requests on points are counted: whoever looks at a cluster or administers it is let in, most of all when it has too
much to do. Refused requests have done nothing, and say when to come again. Must not know what is asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.errors import Overloaded
from vectron_p2p.model.traffic import LimitFigures
from vectron_p2p.protocol import messages as m
from vectron_p2p.traffic.tokens import TokenBucket, TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.model.ids import Address
    from vectron_p2p.node.config import NodeConfig
    from vectron_p2p.runtime import Clock

POINTS = 10  # that weigh one request: writing ten points takes a node about as long as a search
CROWDED_S = 0.1  # until a client asks again whom too many others were before: most requests take less
SOONEST_S = 0.01  # for the same after a rate was reached: sooner is more work than waiting


class Limiter:
    """A rate of 0 is no limit."""

    def __init__(self, config: NodeConfig, clock: Clock) -> None:
        self._clock = clock
        self._at_once = config.max_concurrent_requests
        self._rate = config.max_requests_per_second
        self._connection_rate = config.max_requests_per_second_per_connection
        self._node = TokenBucket(self._rate, clock.now()) if self._rate else None
        self._connections: TokenBuckets[Address] | None = (
            TokenBuckets(self._connection_rate) if self._connection_rate else None
        )
        self._figures = LimitFigures(
            requests_per_second=self._rate,
            requests_per_second_per_connection=self._connection_rate,
            concurrent_requests=self._at_once,
        )
        self._under_way = 0

    def figures(self) -> LimitFigures:
        return replace(self._figures, under_way=self._under_way)

    @contextmanager
    def admitted(self, message: Any, caller: Address) -> Iterator[None]:
        """For as long as a request of the connection from `caller` is served.

        Raises:
            Overloaded: It is too much; nothing was done.
        """
        if not hasattr(message, "collection"):
            yield
            return
        self.enter(message, caller)
        try:
            yield
        finally:
            self.leave()

    def enter(self, message: Any, caller: Address) -> None:
        """A request on points of the connection from `caller`, for who cannot use a block: `leave` follows.

        Raises:
            Overloaded: It is too much; nothing was done, and nothing follows.
        """
        if self._under_way >= self._at_once or self._node is not None or self._connections is not None:
            self._admit(weight(message), caller)
        self._under_way += 1

    def leave(self) -> None:
        """It was answered or taken back."""
        self._under_way -= 1

    def put_off(self, message: Any, caller: Address) -> None:
        """It was let in, and comes again: then it counts."""
        self._under_way -= 1
        if self._node is None and self._connections is None:
            return
        cost, now = weight(message), self._clock.now()
        if self._node is not None:
            self._node.take(-cost, now)
        if self._connections is not None:
            self._connections.of(caller, now).take(-cost, now)

    def _admit(self, cost: float, caller: Address) -> None:
        now, figures = self._clock.now(), self._figures
        if self._under_way >= self._at_once:
            self._figures = replace(figures, refused=figures.refused + 1)
            raise Overloaded(
                f"{self._under_way} requests are under way on this node, as many as it takes at once; retry",
                retry_after=CROWDED_S,
            )
        connection = self._connections.of(caller, now) if self._connections is not None else None
        if connection is not None and (wait := connection.wait(cost, now)) > 0:
            self._figures = replace(figures, limited_by_connection=figures.limited_by_connection + 1)
            raise _too_fast(f"this node takes {self._connection_rate:g} requests a second of a connection", wait)
        if self._node is not None:
            if (wait := self._node.wait(cost, now)) > 0:
                self._figures = replace(figures, limited=figures.limited + 1)
                raise _too_fast(f"this node takes {self._rate:g} requests a second", wait)
            self._node.take(cost, now)
        if connection is not None:
            connection.take(cost, now)


def weight(message: Any) -> float:
    """What a request counts for: a batch of searches as that many, others by their points."""
    if isinstance(message, m.Search):
        return max(1.0, message.count)
    return max(1.0, len(getattr(message, "ids", ())) / POINTS)


def _too_fast(what: str, wait: float) -> Overloaded:
    wait = max(wait, SOONEST_S)
    return Overloaded(f"{what}; retry in {wait:.2g} s, or spread the load over all nodes", retry_after=wait)
