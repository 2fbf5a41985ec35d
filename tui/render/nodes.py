"""Nodes: the table of all, and one in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render import marks
from tui.render.collections import INDEXED
from tui.render.panels import Chart
from tui.render.table import Cell, Column, Row, Sort, Table, cell
from tui.render.text import Line, Span, Tone, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tui.store import Store
    from vectron_p2p.model.moves import MoveInfo
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, NodeStatus

CPU_WARN = 85.0  # percent of one core: the event loop runs on one
FREE_WARN_BYTES = 1024**3  # four times the floor at which a node turns read-only

COLUMNS = (
    Column("name", "NODE", help="its name; * marks the node that answers this console"),
    Column("liveness", "LIVE", help="whether it answers, as the answering node sees it"),
    Column("state", "STATE", priority=6, help="membership, as the catalog says"),
    Column("zone", "ZONE", priority=11, most=16),
    Column("address", "ADDRESS", priority=1, most=28),
    Column("cpu", "CPU", priority=2, right=True, help="percent of one core"),
    Column("memory", "MEMORY", priority=3, right=True, help="resident memory"),
    Column("data", "DATA", priority=8, right=True, help="bytes in its data folder"),
    Column("free", "FREE", priority=9, right=True, help="free space on its disk"),
    Column("shards", "SHARDS", priority=5, right=True, help="replicas it holds"),
    Column("points", "POINTS", priority=4, right=True, help="points in these replicas"),
    Column(
        "waiting", "TO INDEX", priority=12, right=True, help="points that are searched exactly until a graph has them"
    ),
    Column("hints", "HINTS", priority=10, right=True, help="writes kept for nodes that were away"),
    Column("lag", "LAG", priority=3, right=True, help="p99 of the event-loop lag over a minute"),
    Column("connections", "CONN", priority=13, right=True, help="open connections"),
    Column("epoch", "EPOCH", priority=14, right=True, help="catalog epoch it has reached"),
    Column("uptime", "UPTIME", priority=7, right=True),
    Column("version", "VERSION", priority=15, most=16),
)
DEFAULT_SORT = Sort("name")


def _figure(node: NodeStatus, value: float, show: Callable[[float], str], tone: Tone = Tone.NORMAL) -> Cell:
    """A figure that only a node that answered has."""
    if not node.answered:
        return cell(fmt.UNKNOWN, Tone.MUTED, sort=-1.0)
    return cell(show(value), tone, sort=value)


def _waiting_tone(number: int) -> Tone:
    return Tone.ACCENT if number else Tone.MUTED


def _row(node: NodeStatus, status: ClusterStatus) -> Row:
    sign, tone = marks.liveness(node.liveness)
    here = node.id == status.answered_by
    name: Line = (Span(node.name, Tone.STRONG), Span("*", Tone.ACCENT)) if here else (Span(node.name, Tone.STRONG),)
    word = "read-only" if node.read_only and node.liveness == "alive" else node.liveness
    cells = {
        "name": Cell(name, node.name.casefold()),
        "liveness": Cell(
            line((f"{sign} ", tone), (word, Tone.WARN if word == "read-only" else tone)),
            float(list(marks.LIVENESS).index(node.liveness)) if node.liveness in marks.LIVENESS else 9.0,
        ),
        "state": cell(node.state, marks.state(node.state)),
        "zone": cell(node.zone or fmt.UNKNOWN, Tone.NORMAL if node.zone else Tone.MUTED),
        "address": cell(node.address, Tone.MUTED),
        "cpu": _figure(node, node.cpu_percent, fmt.percent, Tone.WARN if node.cpu_percent >= CPU_WARN else Tone.NORMAL),
        "memory": _figure(node, node.rss_bytes, fmt.size),
        "data": _figure(node, node.data_bytes, fmt.size),
        "free": _figure(
            node, node.disk_free_bytes, fmt.size, Tone.WARN if node.disk_free_bytes < FREE_WARN_BYTES else Tone.NORMAL
        ),
        "shards": _figure(node, node.shards, fmt.count),
        "points": _figure(node, node.points, fmt.count),
        "waiting": _figure(node, node.unindexed, fmt.count, _waiting_tone(node.unindexed)),
        "hints": _figure(node, node.hints, fmt.count, _waiting_tone(node.hints)),
        "lag": _figure(node, node.loop_lag_ms, fmt.milliseconds, marks.lag(node.loop_lag_ms)),
        "connections": _figure(node, node.connections, fmt.count),
        "epoch": _figure(node, node.epoch, fmt.count, Tone.WARN if node.epoch < status.epoch else Tone.MUTED),
        "uptime": _figure(node, node.uptime_s, fmt.duration),
        "version": cell(node.version or fmt.UNKNOWN, Tone.MUTED),
    }
    return Row(node.id, cells)


def table(status: ClusterStatus) -> Table:
    return Table(COLUMNS, tuple(_row(node, status) for node in status.nodes))


def title(status: ClusterStatus, moves: Iterable[MoveInfo] = (), progress: Mapping[str, str] | None = None) -> str:
    """With what is under way: nodes that drain, those that rebuild what a removed one had, repairs of this console."""
    alive = sum(node.liveness == "alive" for node in status.nodes)
    parts = [f"Nodes · {alive} of {len(status.nodes)} alive"]
    moving = list(moves)
    for node in status.nodes:
        if node.state == "draining":
            mine = [move for move in moving if move.leaving == node.name]
            moving = [move for move in moving if move.leaving != node.name]
            parts.append(f"{node.name} drains: {fmt.plural(node.shards, 'shard')} left{_copied(mine)}")
    if moving:
        parts.append(f"{fmt.plural(len(moving), 'shard')} being moved{_copied(moving)}")
    return " · ".join([*parts, *(progress or {}).values()])


def _copied(moves: list[MoveInfo]) -> str:
    total = sum(max(0, move.total) for move in moves)
    return f", {fmt.share(sum(move.rows for move in moves), total)} copied" if total else ""


def find(status: ClusterStatus | None, node_id: str) -> NodeStatus | None:
    return next((node for node in status.nodes if node.id == node_id), None) if status is not None else None


REPLICA_COLUMNS = (
    Column("collection", "COLLECTION", most=32),
    Column("shard", "SHARD", right=True),
    Column("state", "STATE", priority=1),
    Column("points", "POINTS", priority=2, right=True),
    INDEXED,
    Column("tombstones", "DELETED", priority=5, right=True, help="tombstones kept"),
    Column("bytes", "SIZE", priority=4, right=True),
    Column("root", "MERKLE ROOT", priority=6, most=16, help="equal roots: equal replicas"),
)
REPLICA_SORT = Sort("collection")


def replicas(info: ClusterInfo, node: str) -> Table:
    """The replicas that the placement gives to `node`."""
    rows = []
    for shard in info.shards:
        for replica in shard.replicas:
            if replica.node != node:
                continue
            sign, tone = marks.replica(replica.state)
            rows.append(
                Row(
                    f"{shard.collection}/{shard.shard}",
                    {
                        "collection": cell(shard.collection, Tone.STRONG),
                        "shard": cell(str(shard.shard), sort=float(shard.shard)),
                        "state": cell(f"{sign} {replica.state}", tone),
                        "points": cell(fmt.count(replica.points), sort=float(replica.points)),
                        "indexed": cell(fmt.share(replica.indexed, replica.points), sort=float(replica.indexed)),
                        "tombstones": cell(fmt.count(replica.tombstones), Tone.MUTED, sort=float(replica.tombstones)),
                        "bytes": cell(fmt.size(replica.bytes), sort=float(replica.bytes)),
                        "root": cell(replica.merkle_root[:12] or fmt.UNKNOWN, Tone.MUTED),
                    },
                )
            )
    return Table(REPLICA_COLUMNS, tuple(rows))


def facts(node: NodeStatus, status: ClusterStatus) -> list[tuple[str, Line]]:
    """Label and value, most telling first."""
    sign, tone = marks.liveness(node.liveness)
    alive = node.answered

    def known(text: str, tone: Tone = Tone.NORMAL) -> Line:
        return line((text, tone)) if alive else line((fmt.UNKNOWN, Tone.MUTED))

    behind = status.epoch - node.epoch
    epoch = f"{node.epoch} ({behind} behind)" if behind > 0 else f"{node.epoch}"
    return [
        ("Liveness", line((f"{sign} {node.liveness}", tone))),
        (
            "Membership",
            line((node.state, marks.state(node.state)), (", voter" if node.id in status.voters else "", Tone.MUTED)),
        ),
        ("Address", line(node.address)),
        ("Zone", line(node.zone or fmt.UNKNOWN)),
        ("Uptime", known(fmt.duration(node.uptime_s))),
        ("Version", known(node.version)),
        ("Epoch", known(epoch, Tone.WARN if behind > 0 else Tone.NORMAL)),
        ("Points", known(f"{fmt.count(node.points)} in {fmt.plural(node.shards, 'replica')}")),
        ("To index", known(fmt.count(node.unindexed))),
        ("Hints held", known(fmt.count(node.hints))),
        ("Writes", known("read-only", Tone.BAD) if node.read_only else known("accepted")),
        ("Data", known(f"{fmt.size(node.data_bytes)}, {fmt.size(node.disk_free_bytes)} free")),
    ]


def charts(store: Store, node: NodeStatus) -> list[Chart]:
    alive, last = node.answered, store.history(node.id, "network").last(1)
    figures = (
        ("CPU", "cpu", fmt.percent(node.cpu_percent), 100.0),
        ("Memory", "memory", fmt.size(node.rss_bytes), 1.0),
        (
            "Loop lag p99",
            "lag",
            f"{fmt.milliseconds(node.loop_lag_ms)}, max {fmt.milliseconds(node.loop_lag_max_ms)}",
            10.0,
        ),
        ("Network", "network", fmt.speed(last[0] if last and last[0] is not None else -1.0), 1024.0),
    )
    return [
        Chart(label, text if alive else fmt.UNKNOWN, tuple(store.history(node.id, key).values), floor)
        for label, key, text, floor in figures
    ]
