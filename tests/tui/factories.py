"""Model objects for the console's tests, and a cluster in memory that stands in for the client."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel
import numpy as np

from tui.snapshot import Snapshot, Snapshots
from vectron_p2p.model.alerts import RULES, Alert, AlertRoute, AlertRule, AlertsReport, Silence
from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.ids import PointId
from vectron_p2p.model.logs import LEVELS, SLOW, LogRecord
from vectron_p2p.model.moves import MoveInfo, MovesReport
from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, NodeInfo, NodeStatus, ReplicaInfo, ShardInfo
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields
from vectron_p2p.model.points import Hit, Page, Point, SearchResult, WriteResult
from vectron_p2p.model.repair import NodeRepair, RepairReport
from vectron_p2p.model.settings import Setting
from vectron_p2p.model.statistics import History, NodeStatistics, OperationStatistics, ReplicaStatistics
from vectron_p2p.model.watching import WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

CLUSTER = "c1057e50-0000-4000-8000-000000000000"


def _set(event: anyio.Event) -> anyio.Event:
    event.set()
    return event


def node_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def node(number: int, **changes: Any) -> NodeStatus:
    """Node `n<number>` at 127.0.0.1:770<number>, with figures that differ from node to node."""
    full = NodeStatus(
        id=node_id(number),
        name=f"n{number}",
        address=f"127.0.0.1:{7700 + number}",
        zone=f"zone-{'abc'[number % 3]}",
        state="active",
        liveness="alive",
        version="0.1.0",
        epoch=42,
        uptime_s=3600.0 * number + 125,
        loop_lag_ms=1.5 * number,
        loop_lag_max_ms=10.0 * number,
        rss_bytes=180_000_000 + 9_000_000 * number,
        cpu_percent=7.0 * number,
        disk_free_bytes=(90 - number) * 1024**3,
        data_bytes=420_000_000 + 1_000_000 * number,
        shards=12,
        points=61_000 + number,
        unindexed=0,
        hints=0,
        connections=9,
    )
    return dataclasses.replace(full, **changes)


def silent(number: int, liveness: str = "dead") -> NodeStatus:
    """A node that does not answer: identity only, as the model says."""
    full = node(number)
    return NodeStatus(full.id, full.name, full.address, full.zone, full.state, liveness)


def status(*nodes: NodeStatus, **changes: Any) -> ClusterStatus:
    members = list(nodes) or [node(number) for number in range(1, 6)]
    full = ClusterStatus(
        cluster_id=CLUSTER,
        epoch=42,
        answered_by=members[0].id,
        nodes=members,
        voters=[member.id for member in members[:7]],
        collections=3,
        under_replicated=0,
    )
    return dataclasses.replace(full, **changes)


def collection(name: str = "docs", **changes: Any) -> CollectionInfo:
    full = CollectionInfo(
        name=name,
        dimension=384,
        metric="cosine",
        shards=8,
        replicas=3,
        m=16,
        ef_construction=100,
        count=100_000,
        indexed=98_500,
        bytes=220_000_000,
        id=f"id-{name}",
    )
    return dataclasses.replace(full, **changes)


def replica(number: int, **changes: Any) -> ReplicaInfo:
    full = ReplicaInfo(
        node=node_id(number),
        state="active",
        points=12_500,
        bytes=27_500_000,
        merkle_root="a3f1c09e77d24b6f8190aa55e1c3d2b4",
        indexed=12_300,
        tombstones=40,
    )
    return dataclasses.replace(full, **changes)


def unreachable(number: int) -> ReplicaInfo:
    return ReplicaInfo(node_id(number), "unreachable", -1, -1, "")


def shard(collection: str, index: int, *replicas: ReplicaInfo) -> ShardInfo:
    owners = [replica(1 + (index + step) % 5) for step in range(3)]
    return ShardInfo(collection, index, list(replicas) or owners)


def cluster(*shards: ShardInfo, nodes: list[NodeStatus] | None = None) -> ClusterInfo:
    members = nodes if nodes is not None else [node(number) for number in range(1, 6)]
    return ClusterInfo(
        cluster_id=CLUSTER,
        epoch=42,
        nodes=[NodeInfo(m.id, m.name, m.address, m.zone, m.state, m.liveness) for m in members],
        shards=list(shards) or [shard(name, index) for name in ("docs", "images") for index in range(8)],
    )


def payload_fields(name: str = "docs", **changes: Any) -> PayloadFields:
    fields = [
        PayloadField("colour", ["keyword"], 100_000, 3, values=["blue", "green", "red"], bytes=1_400_000),
        PayloadField("text", ["keyword"], 100_000, 16_384, distinct_exact=False, bytes=9_000_000),
        PayloadField("price", ["int", "float"], 98_000, 33, False, lowest=0.5, highest=1250.0, bytes=1_200_000),
        PayloadField("tags", ["keyword[]"], 51_000, 900, bytes=900_000),
        PayloadField("stock.sold", ["bool", "null"], 12, 2, values=[True, None], bytes=9_000),
    ]
    return dataclasses.replace(PayloadFields(name, 100_000, fields=fields, shards=8), **changes)


def _figures() -> ClusterStatus:
    return status()


def _shards() -> ClusterInfo:
    return cluster()


def _collections() -> list[CollectionInfo]:
    return [
        collection("docs"),
        collection("images", dimension=768, metric="l2", count=1_240_000),
        collection("notes", count=0),
    ]


def statistics(member: NodeStatus) -> NodeStatistics:
    """What the node of such a status says of itself."""
    full = NodeStatistics(member.id, member.name, member.state, member.liveness, member.address, member.zone)
    if not member.answered:
        return full
    return dataclasses.replace(
        full,
        version=member.version,
        epoch=member.epoch,
        uptime_s=member.uptime_s,
        loop_lag_p99_ms=member.loop_lag_ms,
        loop_lag_max_ms=member.loop_lag_max_ms,
        rss_bytes=member.rss_bytes,
        cpu_percent=member.cpu_percent,
        disk_free_bytes=member.disk_free_bytes,
        disk_used_bytes=member.data_bytes,
        shards=member.shards,
        points=member.points,
        unlinked=member.unindexed,
        hints=member.hints,
        connections=member.connections,
        read_only=member.read_only,
    )


def _replicas(shard: ShardInfo) -> Iterator[ReplicaStatistics]:
    parts = {shard.leaving: "leaving", shard.coming: "coming"}
    for each in shard.replicas:
        yield ReplicaStatistics(
            shard.collection,
            shard.shard,
            each.node,
            each.state,
            each.points,
            each.tombstones,
            each.bytes,
            each.indexed,
            moving=parts.get(each.node, ""),
        )
    if shard.coming:
        yield ReplicaStatistics(shard.collection, shard.shard, shard.coming, "filling", moving="coming")


def event(fake: FakeCluster, address: str) -> WatchEvent:
    """What a node at `address` tells a subscriber."""
    figures = fake.figures
    here = [member.id for member in figures.nodes if member.address == address]
    info = dataclasses.replace(
        cluster(nodes=figures.nodes),
        cluster_id=figures.cluster_id,
        epoch=figures.epoch,
        voters=figures.voters,
        under_replicated=figures.under_replicated,
        warnings=figures.warnings,
        shards=[],
    )
    replicas = [each for shard in fake.info.shards for each in _replicas(shard)]
    said = {each.id: dataclasses.replace(statistics(each), **fake.more.get(each.id, {})) for each in figures.nodes}
    view: dict[str, dict[str, Any]] = {
        "cluster": {"": info},
        "statistics": said,
        "operations": fake.operations,
        "collections": {each.name: each for each in fake.infos},
        "shards": {f"{each.collection}/{each.shard}/{each.node}": each for each in replicas},
        "alerts": {each.id: each for each in fake.alerts},
        "moves": {f"{each.collection}/{each.shard}": each for each in fake.moving},
    }
    return WatchEvent(here[0] if here else figures.answered_by, 1000.0, view=view)


def taken(status: ClusterStatus, collections: Sequence[CollectionInfo] = ()) -> Snapshot:
    """Of such a cluster, without shards."""
    fake = FakeCluster(figures=status, infos=list(collections), info=dataclasses.replace(cluster(), shards=[]))
    return Snapshots().take(event(fake, status.nodes[0].address))


@dataclasses.dataclass
class FakeCluster:
    """Answers for any number of addresses; a test changes what it holds while the console runs.

    `dead`: addresses that refuse. `hanging`: addresses that accept and then never answer. `broken`: what a subscription
    raises, `failing`: what reading the details does, `counting`: that of payload fields, `refusing`: all other
    calls.
    `changes`: those calls.
    `more`: of the statistics of a node, by its id.
    `opened`: the addresses in the order of opening.
    """

    figures: ClusterStatus = dataclasses.field(default_factory=_figures)
    info: ClusterInfo = dataclasses.field(default_factory=_shards)
    infos: list[CollectionInfo] = dataclasses.field(default_factory=_collections)
    dead: set[str] = dataclasses.field(default_factory=set)
    hanging: set[str] = dataclasses.field(default_factory=set)
    failing: Exception | None = None
    broken: Exception | None = None
    fields: dict[str, PayloadFields] = dataclasses.field(default_factory=dict)
    counting: Exception | None = None
    refusing: Exception | None = None
    moving: list[MoveInfo] = dataclasses.field(default_factory=list)
    operations: dict[str, list[OperationStatistics]] = dataclasses.field(default_factory=dict)
    alerts: list[Alert] = dataclasses.field(default_factory=list)
    rules: dict[str, AlertRule] = dataclasses.field(default_factory=lambda: dict(RULES))
    settings: list[Setting] = dataclasses.field(default_factory=list)
    silences: list[Silence] = dataclasses.field(default_factory=list)
    routes: list[AlertRoute] = dataclasses.field(default_factory=list)
    records: list[LogRecord] = dataclasses.field(default_factory=list)
    more: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    past: History = dataclasses.field(default_factory=lambda: History("", 1, 0.0))
    points: dict[str, dict[PointId, Point]] = dataclasses.field(default_factory=dict)
    changes: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    opened: list[str] = dataclasses.field(default_factory=list)
    repaired: anyio.Event = dataclasses.field(default_factory=lambda: _set(anyio.Event()))
    """Until it is set, a repair is under way."""
    open_now: int = 0
    refreshes: int = 0

    def open(self, address: str) -> AbstractAsyncContextManager[FakeSource]:
        return self._open(address)

    @asynccontextmanager
    async def _open(self, address: str) -> AsyncIterator[FakeSource]:
        self.opened.append(address)
        if address in self.dead:
            raise Unavailable(f"no node answers at {address}")
        self.open_now += 1
        try:
            yield FakeSource(self, address)
        finally:
            self.open_now -= 1


@dataclasses.dataclass
class FakeSource:
    """One open connection of a `FakeCluster`."""

    cluster_: FakeCluster
    address: str

    async def _answer(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.address in self.hanging_or_dead():
            if self.address in self.cluster_.dead:
                raise Unavailable(f"no node answers at {self.address}")
            await anyio.sleep_forever()

    def hanging_or_dead(self) -> set[str]:
        return self.cluster_.hanging | self.cluster_.dead

    async def watch(self, *topics: str, interval: float = 1.0) -> AsyncIterator[WatchEvent]:
        """An event, and another one every `interval` seconds."""
        while True:
            await self._answer()
            if self.cluster_.broken is not None:
                raise self.cluster_.broken
            self.cluster_.refreshes += 1
            yield event(self.cluster_, self.address)
            await anyio.sleep(interval)

    async def history(
        self, figures: Iterable[str] | None = None, *, seconds: float = 600.0, node: str | None = None
    ) -> History:
        await self._answer()
        return self.cluster_.past

    async def cluster(self) -> ClusterInfo:
        await self._answer()
        if self.cluster_.failing is not None:
            raise self.cluster_.failing
        return self.cluster_.info

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
        await self.change("logs", node, level, slow, trace)

        async def records() -> AsyncIterator[LogRecord]:
            given = 0
            while True:
                await self._answer()
                for record in self.cluster_.records[given:]:
                    given += 1
                    kept = LEVELS[record.level] >= LEVELS[level] and (not slow or record.event == SLOW)
                    if kept and (trace is None or record.trace == trace):
                        yield record
                await anyio.sleep(0.01)

        return records()

    async def settings(self, node: str | None = None) -> list[Setting]:
        await self.change("settings")
        return self.cluster_.settings

    async def alerts(self) -> AlertsReport:
        await self._answer()
        if self.cluster_.refusing is not None:
            raise self.cluster_.refusing
        return self._report()

    def _report(self) -> AlertsReport:
        held = self.cluster_
        return AlertsReport(held.alerts, [], list(held.rules.values()), held.silences, held.routes)

    async def acknowledge_alert(self, alert: str) -> AlertsReport:
        await self.change("acknowledge", alert)
        return self._report()

    async def resolve_alert(self, alert: str) -> AlertsReport:
        await self.change("resolve", alert)
        return self._report()

    async def silence_alerts(self, target: str, for_s: float) -> AlertsReport:
        await self.change("silence", target, for_s)
        return self._report()

    async def set_alert_rule(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        threshold: float | None = None,
        for_s: float | None = None,
        severity: str | None = None,
    ) -> AlertsReport:
        await self.change("rule", name, enabled, threshold, for_s, severity)
        changes = {"enabled": enabled, "threshold": threshold, "for_s": for_s, "severity": severity}
        set_ = {key: value for key, value in changes.items() if value is not None}
        self.cluster_.rules[name] = dataclasses.replace(self.cluster_.rules[name], **set_, changed=True)  # type: ignore[arg-type]
        return self._report()

    async def change(self, name: str, *arguments: Any) -> None:
        """A call that is recorded, unless it is refused."""
        await self._answer()
        if self.cluster_.refusing is not None:
            raise self.cluster_.refusing
        self.cluster_.changes.append((name, *arguments))

    async def create_collection(
        self, name: str, *, dimension: int, metric: str = "cosine", shards: int | None = None, replicas: int = 3
    ) -> None:
        await self.change("create", name, dimension, metric, shards, replicas)
        self.cluster_.infos = [*self.cluster_.infos, collection(name, dimension=dimension, metric=metric, count=0)]

    async def delete_collection(self, name: str) -> None:
        await self.change("delete", name)
        self.cluster_.infos = [info for info in self.cluster_.infos if info.name != name]

    async def set_replicas(self, name: str, replicas: int) -> CollectionInfo:
        await self.change("replicas", name, replicas)
        return collection(name, replicas=replicas)

    async def drain(self, node: str, *, wait: bool = True, cancel: bool = False) -> MovesReport:
        await self.change("drain", node, wait, cancel)
        return MovesReport([], node=node, state="active" if cancel else "draining", shards=12)

    async def remove(self, node: str, *, wait: bool = True) -> MovesReport:
        await self.change("remove", node, wait)
        return MovesReport([], wanted=12, node=node, state="removed")

    async def repair(
        self, node: str | None = None, *, on_progress: Callable[[RepairReport], None] | None = None
    ) -> RepairReport:
        await self.change("repair", node)
        if on_progress is not None:
            on_progress(RepairReport([NodeRepair(node or "", running=True, shards=12, compared=4, pulled=1)]))
        await self.cluster_.repaired.wait()
        return RepairReport([NodeRepair(node or "", shards=12, compared=12, pulled=3)])

    def collection(self, name: str) -> FakePoints:
        return FakePoints(self, name)


@dataclasses.dataclass
class FakePoints:
    """The points of one collection, in the order in which they were written."""

    source: FakeSource
    name: str

    @property
    def _held(self) -> dict[PointId, Point]:
        return self.source.cluster_.points.setdefault(self.name, {})

    async def fields(self) -> PayloadFields:
        await self.source._answer()
        if self.source.cluster_.counting is not None:
            raise self.source.cluster_.counting
        return self.source.cluster_.fields.get(self.name, PayloadFields(self.name))

    async def search(
        self,
        vector: Any = None,
        *,
        id: PointId | None = None,
        k: int = 10,
        filter: dict[str, Any] | None = None,
        explain: bool = False,
    ) -> SearchResult:
        await self.source.change("search", self.name, vector, id, k, filter)
        found = [Hit(each.id, 1.0, each.payload, None, each.version) for each in self._held.values() if each.id != id]
        return SearchResult(found[:k], took_ms=1.5, plan=[{"shard": 0, "plan": "graph"}] if explain else None)

    async def get(self, ids: Sequence[PointId], *, with_vector: bool = False) -> list[Point | None]:
        await self.source.change("get", self.name, ids)
        return [self._held.get(each) for each in ids]

    async def scroll(
        self, *, filter: dict[str, Any] | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page:
        await self.source.change("scroll", self.name, filter, cursor)
        held = list(self._held.values())
        begin = int(cursor or 0)
        end = begin + limit
        return Page(held[begin:end], str(end) if end < len(held) else None)

    async def upsert(self, points: Any = None, *, if_version: str | None = None) -> WriteResult:
        await self.source.change("upsert", self.name, points, if_version)
        for each in points:
            vector = np.asarray(each["vector"], dtype=np.float32)
            self._held[each["id"]] = Point(each["id"], vector, each["payload"], f"v{len(self.source.cluster_.changes)}")
        return WriteResult(len(points), "op")

    async def delete(self, *, ids: Sequence[PointId] | None = None) -> WriteResult:
        await self.source.change("delete-points", self.name, ids)
        for each in ids or ():
            self._held.pop(each, None)
        return WriteResult(len(ids or ()), "op")
