"""Where the console gets its data: the part of the client that it uses, and how one is opened.

The protocol is narrow on purpose: tests stand in for it with plain objects.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from vectron_p2p.model.watching import DEFAULT_INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from tui.precedence import Precedence
    from vectron_p2p.model.alerts import AlertsReport
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.logs import LogRecord
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.model.nodes import ClusterInfo
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.model.points import Page, Point, SearchResult, WriteResult
    from vectron_p2p.model.repair import RepairReport
    from vectron_p2p.model.settings import Setting
    from vectron_p2p.model.statistics import History
    from vectron_p2p.model.watching import WatchEvent


class PointSource(Protocol):
    """The points of one collection."""

    async def search(
        self,
        vector: Any = None,
        *,
        id: PointId | None = None,
        k: int = 10,
        filter: dict[str, Any] | None = None,
        explain: bool = False,
    ) -> SearchResult: ...

    async def get(self, ids: Sequence[PointId], *, with_vector: bool = False) -> list[Point | None]: ...

    async def scroll(
        self, *, filter: dict[str, Any] | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page: ...

    async def upsert(self, points: Any = None, *, if_version: str | None = None) -> WriteResult: ...

    async def delete(self, *, ids: Sequence[PointId] | None = None) -> WriteResult: ...

    async def fields(self) -> PayloadFields:
        """What stands in their payloads."""
        ...


class ClusterSource(Protocol):
    """One open connection to one node of the cluster."""

    def watch(self, *topics: str, interval: float = 1.0) -> AsyncIterator[WatchEvent]:
        """The cluster as it is now, and again every `interval` seconds, with what has changed."""
        ...

    async def history(
        self, figures: Iterable[str] | None = None, *, seconds: float = 600.0, node: str | None = None
    ) -> History:
        """Figures of the past, of one node or of all."""
        ...

    async def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: Literal[True],
    ) -> AsyncIterator[LogRecord]:
        """The last records of the nodes, and what comes after them."""
        ...

    async def settings(self, node: str | None = None) -> list[Setting]: ...

    async def alerts(self) -> AlertsReport:
        """With rules, silences and routes."""
        ...

    async def acknowledge_alert(self, alert: str) -> AlertsReport: ...

    async def resolve_alert(self, alert: str) -> AlertsReport: ...

    async def silence_alerts(self, target: str, for_s: float) -> AlertsReport: ...

    async def set_alert_rule(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        threshold: float | None = None,
        for_s: float | None = None,
        severity: str | None = None,
    ) -> AlertsReport: ...

    async def cluster(self) -> ClusterInfo:
        """With what only the owners know of each replica: Merkle roots, floors."""
        ...

    async def create_collection(
        self, name: str, *, dimension: int, metric: str = "cosine", shards: int | None = None, replicas: int = 3
    ) -> object: ...

    async def delete_collection(self, name: str) -> None: ...

    async def set_replicas(self, name: str, replicas: int) -> CollectionInfo: ...

    async def drain(self, node: str, *, wait: bool = True, cancel: bool = False) -> MovesReport: ...

    async def remove(self, node: str, *, wait: bool = True) -> MovesReport: ...

    async def repair(self, node: str | None = None) -> RepairReport: ...

    def collection(self, name: str) -> PointSource:
        """A handle; asks nobody."""
        ...


Opener: TypeAlias = Callable[[str], AbstractAsyncContextManager[ClusterSource]]
"""Opens a source on one `HOST:PORT`."""


def client_opener(timeout_s: float, precedence: Precedence | None = None) -> Opener:
    """An opener of real clients, whose calls end within `timeout_s` seconds, and whose events let keys go first.

    Each gets one address only: the console itself chooses the peer, so that it always knows, and says, who answers.
    """
    from vectron_p2p.client.async_client import AsyncClient  # late: tests of the console need no client
    from vectron_p2p.client.watching import AsyncEvents, Watch

    class Patient(AsyncClient):
        def watch(self, *topics: str, interval: float = DEFAULT_INTERVAL_S) -> AsyncIterator[WatchEvent]:
            if precedence is None:
                return super().watch(*topics, interval=interval)
            behind = precedence.behind
            return AsyncEvents(lambda flow: self.run(behind(flow)), Watch(self.session, topics, interval))

    def open_source(address: str) -> AbstractAsyncContextManager[ClusterSource]:
        return Patient(address, timeout=timeout_s)

    return open_source
