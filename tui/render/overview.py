"""The overview: cards, the state of each service, charts and recent changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render import marks
from tui.render.alerts import worst as worst_alerts
from tui.render.panels import Chart
from tui.render.text import Line, Span, Tone, clip, line
from tui.render.traffic import rate
from tui.store import Store, total_points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.events import Event
    from vectron_p2p.model.alerts import Alert
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ClusterStatus, NodeStatus

LABEL = 14  # width of the first column of the services; the longest label is "Catalog quorum"
ALERTS = 4  # alerts on the overview: the screen of alerts has all
STRIP = 16  # signs of nodes that fit on a card


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    lines: tuple[Line, ...]


def _alive(status: ClusterStatus) -> list[NodeStatus]:
    return [node for node in status.nodes if node.answered]


def _nodes_card(status: ClusterStatus) -> Card:
    alive, total = len(_alive(status)), len(status.nodes)
    strip = tuple(Span(*marks.liveness(node.liveness)) for node in status.nodes[:STRIP])
    return Card(
        "Nodes",
        (
            line((f"{alive}", Tone.STRONG), f" of {total} alive"),
            (*strip, Span("…")) if total > STRIP else strip,
        ),
    )


def _points_card(collections: list[CollectionInfo] | None) -> Card:
    if collections is None:
        return Card("Points", (line((fmt.UNKNOWN, Tone.MUTED)), ()))
    points = total_points(collections)
    if points is None:
        known = sum(info.count for info in collections if info.count >= 0)
        first = line((f"≥ {fmt.count(known)}", Tone.STRONG))
        return Card("Points", (first, line(("some shards silent", Tone.WARN))))
    indexed = sum(max(0, info.indexed) for info in collections)
    return Card(
        "Points",
        (line((fmt.count(points), Tone.STRONG)), line((f"{fmt.share(indexed, points)} in graphs", Tone.MUTED))),
    )


def _collections_card(status: ClusterStatus, collections: list[CollectionInfo] | None) -> Card:
    shards = sum(info.shards for info in collections) if collections is not None else -1
    second = line((fmt.plural(shards, "shard") if shards >= 0 else fmt.UNKNOWN, Tone.MUTED))
    return Card("Collections", (line((fmt.count(status.collections), Tone.STRONG)), second))


def _storage_card(status: ClusterStatus) -> Card:
    alive = _alive(status)
    used = sum(node.data_bytes for node in alive)
    free = min((node.disk_free_bytes for node in alive), default=-1)
    return Card(
        "Storage",
        (line((fmt.size(used), Tone.STRONG), " used"), line((f"≥ {fmt.size(free)} free", Tone.MUTED))),
    )


def cards(status: ClusterStatus, collections: list[CollectionInfo] | None) -> list[Card]:
    return [
        _nodes_card(status),
        _points_card(collections),
        _collections_card(status, collections),
        _storage_card(status),
    ]


def _service(label: str, tone: Tone, text: str, more: str = "") -> Line:
    sign = {Tone.OK: "●", Tone.WARN: "◐", Tone.BAD: "✕"}.get(tone, "·")
    return line(
        (f"{sign} ", tone), (label.ljust(LABEL + 1), Tone.STRONG), text, (f"  {more}" if more else "", Tone.MUTED)
    )


def _membership(status: ClusterStatus) -> Line:
    groups = {word: [node.name for node in status.nodes if node.liveness == word] for word in ("suspect", "dead")}
    if not any(groups.values()):
        return _service("Membership", Tone.OK, "every node answers")
    tone = Tone.BAD if groups["dead"] else Tone.WARN
    words = [f"{word}: {', '.join(sorted(names))}" for word, names in groups.items() if names]
    return _service("Membership", tone, "; ".join(words))


def _quorum(status: ClusterStatus) -> Line:
    alive = {node.id for node in _alive(status)}
    voters, answering = len(status.voters), sum(voter in alive for voter in status.voters)
    needed = voters // 2 + 1
    text = f"{answering} of {fmt.plural(voters, 'voter')} alive, {needed} needed"
    tone = Tone.BAD if answering < needed else Tone.OK if answering == voters else Tone.WARN
    return _service("Catalog quorum", tone, text, f"epoch {status.epoch}")


def _replication(status: ClusterStatus) -> Line:
    if status.under_replicated:
        text = f"{fmt.plural(status.under_replicated, 'shard')} with fewer replicas than asked"
        return _service("Replication", Tone.WARN, text)
    return _service("Replication", Tone.OK, "every shard has its owners")


def _repair(status: ClusterStatus) -> Line:
    hints = sum(node.hints for node in _alive(status))
    if hints:
        return _service("Repair", Tone.WARN, f"{fmt.count(hints)} hints wait for nodes that are away")
    return _service("Repair", Tone.OK, "no hints wait")


def _index(status: ClusterStatus) -> Line:
    waiting = sum(node.unindexed for node in _alive(status))
    text = f"{fmt.count(waiting)} points to be linked" if waiting else "nothing waits to be linked"
    return _service("Index", Tone.OK, text)


def _nodes_health(status: ClusterStatus) -> Line:
    alive = _alive(status)
    full = sorted(node.name for node in alive if node.read_only)
    if full:
        return _service("Node health", Tone.BAD, f"read-only: {', '.join(full)}")
    slowest = max(alive, key=lambda node: node.loop_lag_ms, default=None)
    if slowest is None:
        return _service("Node health", Tone.BAD, "no node answers")
    worst = marks.lag(slowest.loop_lag_ms)
    tone = Tone.OK if worst is Tone.NORMAL else worst
    return _service(
        "Node health", tone, f"loop lag ≤ {fmt.milliseconds(slowest.loop_lag_ms)}", f"most at {slowest.name}"
    )


def services(status: ClusterStatus, active: Iterable[Alert] = ()) -> list[Line]:
    """Each service on a line, then the alerts that are active, and what the cluster itself warns of."""
    lines = [
        _membership(status),
        _quorum(status),
        _replication(status),
        _repair(status),
        _index(status),
        _nodes_health(status),
    ]
    lines += worst_alerts(active, ALERTS)
    return lines + [line(("▲ ", Tone.WARN), text) for text in status.warnings]


def _last(store: Store, name: str) -> float:
    values = store.totals[name].last(1)
    return values[0] if values and values[0] is not None else -1.0


def charts(store: Store, status: ClusterStatus) -> list[Chart]:
    alive = _alive(status)
    cpu = sum(node.cpu_percent for node in alive) / len(alive) if alive else -1.0
    memory = sum(node.rss_bytes for node in alive) if alive else -1
    lag = max((node.loop_lag_ms for node in alive), default=-1.0)
    requests, p99, network = (_last(store, name) for name in ("requests", "p99", "network"))
    figures = (
        ("CPU, mean", "cpu", fmt.percent(cpu), 100.0),
        ("Requests/s", "requests", rate(requests), 1.0),
        ("P99, slowest", "p99", fmt.milliseconds(p99), 10.0),
        ("Loop lag, max", "lag", fmt.milliseconds(lag), 10.0),
        ("Memory, sum", "memory", fmt.size(memory), 1.0),
        ("Network", "network", fmt.speed(network), 1024.0),
    )
    return [Chart(label, text, tuple(store.totals[key].values), floor) for label, key, text, floor in figures]


def events(items: Iterable[Event], now: float, width: int, height: int) -> list[Line]:
    """The newest changes first, with their age."""
    newest = list(items)[::-1][: max(0, height)]
    if not newest:
        return [line(("No change seen yet.", Tone.MUTED))]
    lines = []
    for item in newest:
        sign, tone = marks.SEVERITY[item.severity]
        lines.append(clip(line((f"{fmt.age(now - item.at):>4} ", Tone.MUTED), (f"{sign} ", tone), item.text), width))
    return lines
