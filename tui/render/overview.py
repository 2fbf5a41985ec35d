"""The overview: cards, the state of each service, charts and recent changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render import marks
from tui.render.alerts import worst as worst_alerts
from tui.render.panels import Chart
from tui.render.services import alive_of, services_of
from tui.render.text import Line, Span, Tone, clip, line
from tui.render.traffic import rate
from tui.store import Store, total_points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.events import Event
    from vectron_p2p.model.alerts import Alert
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ClusterStatus

ALERTS = 4  # alerts on the overview: the screen of alerts has all
STRIP = 16  # signs of nodes that fit on a card


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    lines: tuple[Line, ...]


def _nodes_card(status: ClusterStatus) -> Card:
    alive, total = len(alive_of(status)), len(status.nodes)
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
    alive = alive_of(status)
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


def services(status: ClusterStatus, active: Iterable[Alert] = ()) -> list[Line]:
    """Each service on a line, then the alerts that are active, and what the cluster itself warns of."""
    lines = [each.line for each in services_of(status)]
    lines += worst_alerts(active, ALERTS)
    return lines + [line(("▲ ", Tone.WARN), text) for text in status.warnings]


def _last(store: Store, name: str) -> float:
    values = store.totals[name].last(1)
    return values[0] if values and values[0] is not None else -1.0


def charts(store: Store, status: ClusterStatus) -> list[Chart]:
    alive = alive_of(status)
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
