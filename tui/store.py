"""All that the console knows, and how old it is: the latest snapshots, their history, the state of the link.

Owns no task, no clock and no widget: the connection writes, the screens read, both pass `now`. Invariants: a snapshot
is never called live unless the link is live and the snapshot itself is fresh; data once seen stays until newer data
replaces it; every collection here is bounded.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from tui.events import Event, Severity, collection_changes, status_changes
from vectron_p2p.model.statistics import CLIENT, WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tui.snapshot import Snapshot
    from vectron_p2p.model.alerts import Alert, AlertsReport
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.moves import MoveInfo
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.model.settings import Setting
    from vectron_p2p.model.statistics import History, NodeStatistics, OperationStatistics

T = TypeVar("T")

STALE_AFTER_S = 2.5  # two refreshes of 1 s missed and a little: a dead peer is said within 3 s
DETAIL_STALE_AFTER_S = 6.0  # figures of replicas are asked of every owner: one slow owner delays them by its timeout
FIELDS_STALE_AFTER_S = 12.0  # payload fields are asked for every 5 s, and nodes take up to 4 s to count them
FIELDS_KEPT = 8  # collections that somebody goes back and forth between
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


LOOKS = ("get_", "watch", "list_", "who_")  # operations that read figures, members, logs or alerts
FIGURES = ("cpu", "memory", "lag", "requests", "p99", "network")
"""Figures kept for every node and for the cluster; the cluster has `points` besides."""


HISTORIES = (
    ("cpu", "cpu_percent", 1.0),
    ("memory", "rss_bytes", 1.0),
    ("lag", "loop_lag_ms", 1.0),
    ("requests", "requests_per_s", 1.0),
    ("p99", "search_p99_ms", 1.0),
    ("points", "points", 1.0),
)


class Store:
    """What is known. `revision` grows with every change."""

    def __init__(self) -> None:
        self.link = Link()
        self.status: Feed[ClusterStatus] = Feed(STALE_AFTER_S)
        self.cluster: Feed[ClusterInfo] = Feed(STALE_AFTER_S)
        self.details: Feed[ClusterInfo] = Feed(DETAIL_STALE_AFTER_S)
        """As `cluster`, with Merkle roots; read only while somebody looks at them."""
        self._fields: dict[str, Feed[PayloadFields]] = {}
        self.collections: Feed[list[CollectionInfo]] = Feed(STALE_AFTER_S)
        self.moves: Feed[list[MoveInfo]] = Feed(STALE_AFTER_S)
        self.alerts: Feed[list[Alert]] = Feed(STALE_AFTER_S)
        self.rules: Feed[AlertsReport] = Feed(math.inf)
        """Read when somebody looks at them: they change by hand alone."""
        self.settings: Feed[list[Setting]] = Feed(math.inf)
        """As the rules: a node has what it was started with."""
        self.clock = 0.0
        """Unix seconds by the node that answered last, when it did."""
        self.statistics: Feed[Mapping[str, NodeStatistics]] = Feed(STALE_AFTER_S)
        """By node id."""
        self.operations: Feed[Mapping[str, list[OperationStatistics]]] = Feed(STALE_AFTER_S)
        """By node id; under the empty key those of all nodes together."""
        self.totals: dict[str, Series] = {name: Series() for name in (*FIGURES, "points")}
        self.nodes: dict[str, dict[str, Series]] = {}
        self.progress: dict[str, str] = {}
        """Of what this console had a node do, by node id, for as long as it lasts."""
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.revision = 0

    def names(self) -> dict[str, str]:
        """Node names by id, from whichever feed has them."""
        info, status = self.cluster.value, self.status.value
        names = {node.id: node.name for node in info.nodes} if info is not None else {}
        return names | ({node.id: node.name for node in status.nodes} if status is not None else {})

    # --- written by the connection ---

    def trying(self, address: str, known: int) -> None:
        self.link.trying, self.link.known = address, known
        self.revision += 1

    def answered(self, address: str, taken: Snapshot, now: float) -> None:
        link, old, status = self.link, self.status.value, taken.status
        if link.address and link.address != address:
            self._event(now, Severity.INFO, f"console: switched to {address}")
        elif link.exhausted:
            self._event(now, Severity.GOOD, f"console: {address} answers again")
        link.address, link.answered_at, link.error = address, now, ""
        link.failing = link.exhausted = False
        if old is not None:
            for severity, text in status_changes(old, status):
                self._event(now, severity, text)
        if self.collections.value is not None:
            for severity, text in collection_changes(self.collections.value, taken.collections):
                self._event(now, severity, text)
        self.status.put(status, now)
        self.cluster.put(taken.cluster, now)
        self.collections.put(taken.collections, now)
        self.moves.put(taken.moves, now)
        self.alerts.put(taken.alerts, now)
        self.clock = taken.at
        self.statistics.put(taken.statistics, now)
        self.operations.put(taken.operations, now)
        self._record(taken)
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

    def put(self, feed: Feed[T], value: T, now: float) -> None:
        """What a screen has asked for itself."""
        feed.put(value, now)
        self.revision += 1

    def put_progress(self, node: str, text: str) -> None:
        """ "": it is over."""
        if text:
            self.progress[node] = text
        else:
            self.progress.pop(node, None)
        self.revision += 1

    def detail_failed(self, feed: Feed[T], message: str) -> None:
        feed.error = message
        self.revision += 1

    def begin_with(self, history: History) -> None:
        """The cluster's past, where nothing has been recorded yet but the last moments."""
        for name, figure, factor in HISTORIES:
            past, series = history.figures.get(figure, []), self.totals[name]
            seen = list(series.values)
            series.values.clear()
            series.values.extend(None if value is None else value * factor for value in past)
            series.values.extend(seen)
        self.revision += 1

    # --- read by the screens ---

    def phase(self, feed: Feed[T], now: float) -> Phase:
        """What to show of `feed`."""
        link = self.link.state(now)
        if feed.value is None:
            return Phase.ERROR if feed.error or link is LinkState.LOST else Phase.LOADING
        fresh = link is LinkState.LIVE and not feed.error and feed.age(now) <= feed.stale_after
        return Phase.LIVE if fresh else Phase.STALE

    def fields_of(self, collection: str) -> Feed[PayloadFields]:
        """Payload fields, read only while somebody looks at them; of the collections that were looked at last."""
        feed = self._fields.pop(collection, None) or Feed(FIELDS_STALE_AFTER_S)
        self._fields[collection] = feed
        while len(self._fields) > FIELDS_KEPT:
            del self._fields[next(iter(self._fields))]
        return feed

    def history(self, node: str, figure: str) -> Series:
        """The history of a node's figure; empty for a node never seen."""
        return self.nodes.get(node, {}).get(figure) or Series()

    def _event(self, now: float, severity: Severity, text: str) -> None:
        self.events.append(Event(now, severity, text))

    def _record(self, taken: Snapshot) -> None:
        status = taken.status
        alive = [node for node in status.nodes if node.answered]
        self.totals["cpu"].add(sum(node.cpu_percent for node in alive) / len(alive) if alive else None)
        self.totals["memory"].add(float(sum(node.rss_bytes for node in alive)) if alive else None)
        self.totals["lag"].add(max((node.loop_lag_ms for node in alive), default=None))
        self.totals["points"].add(total_points(taken.collections))
        for name, value in traffic_figures(taken.operations.get("", [])).items():
            self.totals[name].add(value)
        network = [network_rate(taken.statistics[node.id]) for node in alive if node.id in taken.statistics]
        self.totals["network"].add(sum(network) if network else None)
        for gone in self.nodes.keys() - {node.id for node in status.nodes}:
            del self.nodes[gone]
        for node in status.nodes:
            series = self.nodes.setdefault(node.id, {name: Series() for name in FIGURES})
            known, said = node.answered, taken.statistics.get(node.id)
            figures = traffic_figures(taken.operations.get(node.id, []))
            series["cpu"].add(node.cpu_percent if known else None)
            series["memory"].add(float(node.rss_bytes) if known else None)
            series["lag"].add(node.loop_lag_ms if known else None)
            series["network"].add(network_rate(said) if known and said is not None else None)
            for name, value in figures.items():
                series[name].add(value if known else None)


def traffic_figures(operations: Iterable[OperationStatistics]) -> dict[str, float]:
    """Requests of clients on points per second, and the slowest of their p99 in milliseconds, over the last minute."""
    minute = [each for each in operations if each.window_s == WINDOWS_S[0] and on_points(each)]
    return {"requests": sum(each.rate for each in minute), "p99": max((each.p99_ms for each in minute), default=0.0)}


def on_points(each: OperationStatistics) -> bool:
    """Whether it is what the database is for, and not a look at the cluster, as this console's own."""
    return each.kind == CLIENT and not each.operation.startswith(LOOKS)


def network_rate(node: NodeStatistics) -> float:
    """Bytes per second in and out, of clients and peers."""
    network = node.network
    return network.client_in_per_s + network.client_out_per_s + network.peer_in_per_s + network.peer_out_per_s


def total_points(infos: Iterable[CollectionInfo]) -> float | None:
    """Points of all collections; None when one of them is not known."""
    counts = [info.count for info in infos]
    return None if any(count < 0 for count in counts) else float(sum(counts))
