"""All that the console knows, and how old it is: the latest snapshots, their history, the state of the link.

Owns no task, no clock and no widget: the connection writes, the screens read, both pass `now`. Invariants: a snapshot
is never called live unless the link is live and the snapshot itself is fresh; data once seen stays until newer data
replaces it; every collection here is bounded.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from tui.events import Event, Severity, collection_changes, status_changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus

T = TypeVar("T")

STALE_AFTER_S = 2.5  # two refreshes of 1 s missed and a little: a dead peer is said within 3 s
DETAIL_STALE_AFTER_S = 6.0  # figures of replicas are asked of every owner: one slow owner delays them by its timeout
HISTORY = 600  # ten minutes at one a second; twice what the widest chart draws
EVENTS = 200  # what an operator scrolls through; a flapping node cannot grow it


class LinkState(enum.StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    LOST = "lost"


class Phase(enum.StrEnum):
    """What a screen has to show of one feed."""

    LOADING = "loading"
    ERROR = "error"
    LIVE = "live"
    STALE = "stale"


@dataclass(slots=True)
class Link:
    """The connection. `trying` is the address asked at present, `address` the one that answered last."""

    trying: str = ""
    address: str = ""
    answered_at: float | None = None
    failing: bool = False
    exhausted: bool = False
    error: str = ""
    known: int = 0

    def state(self, now: float) -> LinkState:
        if self.exhausted:
            return LinkState.LOST
        if self.answered_at is None:
            return LinkState.CONNECTING
        if self.failing or now - self.answered_at > STALE_AFTER_S:
            return LinkState.STALE
        return LinkState.LIVE

    def age(self, now: float) -> float:
        """Seconds since the last answer; 0 before the first."""
        return 0.0 if self.answered_at is None else max(0.0, now - self.answered_at)


@dataclass(slots=True)
class Feed(Generic[T]):
    """The latest snapshot of one kind."""

    stale_after: float
    value: T | None = None
    at: float = 0.0
    error: str = ""

    def put(self, value: T, now: float) -> None:
        self.value, self.at, self.error = value, now, ""

    def age(self, now: float) -> float:
        return max(0.0, now - self.at)


@dataclass(slots=True)
class Series:
    """Bounded history of one figure; None where it was not known."""

    values: deque[float | None] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def add(self, value: float | None) -> None:
        self.values.append(value)

    def last(self, count: int) -> list[float | None]:
        return list(self.values)[-count:] if count > 0 else []


FIGURES = ("cpu", "memory", "lag")
"""Figures kept for every node and for the cluster; the cluster has `points` besides."""


class Store:
    """What is known. `revision` grows with every change."""

    def __init__(self) -> None:
        self.link = Link()
        self.status: Feed[ClusterStatus] = Feed(STALE_AFTER_S)
        self.cluster: Feed[ClusterInfo] = Feed(DETAIL_STALE_AFTER_S)
        self.collections: Feed[list[CollectionInfo]] = Feed(DETAIL_STALE_AFTER_S)
        self.moves: Feed[MovesReport] = Feed(DETAIL_STALE_AFTER_S)
        self.totals: dict[str, Series] = {name: Series() for name in (*FIGURES, "points")}
        self.nodes: dict[str, dict[str, Series]] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.revision = 0

    # --- written by the connection ---

    def trying(self, address: str, known: int) -> None:
        self.link.trying, self.link.known = address, known
        self.revision += 1

    def answered(self, address: str, status: ClusterStatus, now: float) -> None:
        link, old = self.link, self.status.value
        if link.address and link.address != address:
            self._event(now, Severity.INFO, f"console: switched to {address}")
        elif link.exhausted:
            self._event(now, Severity.GOOD, f"console: {address} answers again")
        link.address, link.answered_at, link.error = address, now, ""
        link.failing = link.exhausted = False
        if old is not None:
            for severity, text in status_changes(old, status):
                self._event(now, severity, text)
        self.status.put(status, now)
        self._record(status)
        self.revision += 1

    def failed(self, address: str, message: str, now: float) -> None:
        if not self.link.failing:
            self._event(now, Severity.BAD, f"console: {address} does not answer")
        self.link.failing, self.link.error = True, message
        self.revision += 1

    def exhausted(self, now: float) -> None:
        """Every known address was tried in vain."""
        if not self.link.exhausted:
            self._event(now, Severity.BAD, "console: no node answers")
        self.link.exhausted = True
        self.revision += 1

    def put_cluster(self, info: ClusterInfo, now: float) -> None:
        self.cluster.put(info, now)
        self.revision += 1

    def put_collections(self, infos: list[CollectionInfo], now: float) -> None:
        if self.collections.value is not None:
            for severity, text in collection_changes(self.collections.value, infos):
                self._event(now, severity, text)
        self.collections.put(infos, now)
        self.totals["points"].add(total_points(infos))
        self.revision += 1

    def detail_failed(self, feed: Feed[T], message: str) -> None:
        feed.error = message
        self.revision += 1

    # --- read by the screens ---

    def phase(self, feed: Feed[T], now: float) -> Phase:
        """What to show of `feed`."""
        link = self.link.state(now)
        if feed.value is None:
            return Phase.ERROR if feed.error or link is LinkState.LOST else Phase.LOADING
        fresh = link is LinkState.LIVE and not feed.error and feed.age(now) <= feed.stale_after
        return Phase.LIVE if fresh else Phase.STALE

    def history(self, node: str, figure: str) -> Series:
        """The history of a node's figure; empty for a node never seen."""
        return self.nodes.get(node, {}).get(figure) or Series()

    def _event(self, now: float, severity: Severity, text: str) -> None:
        self.events.append(Event(now, severity, text))

    def _record(self, status: ClusterStatus) -> None:
        alive = [node for node in status.nodes if node.answered]
        self.totals["cpu"].add(sum(node.cpu_percent for node in alive) / len(alive) if alive else None)
        self.totals["memory"].add(float(sum(node.rss_bytes for node in alive)) if alive else None)
        self.totals["lag"].add(max((node.loop_lag_ms for node in alive), default=None))
        for gone in self.nodes.keys() - {node.id for node in status.nodes}:
            del self.nodes[gone]
        for node in status.nodes:
            series = self.nodes.setdefault(node.id, {name: Series() for name in FIGURES})
            known = node.answered
            series["cpu"].add(node.cpu_percent if known else None)
            series["memory"].add(float(node.rss_bytes) if known else None)
            series["lag"].add(node.loop_lag_ms if known else None)


def total_points(infos: Iterable[CollectionInfo]) -> float | None:
    """Points of all collections; None when one of them is not known."""
    counts = [info.count for info in infos]
    return None if any(count < 0 for count in counts) else float(sum(counts))
