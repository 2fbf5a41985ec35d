"""The services of the cluster: how each one does, and how long it takes to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render import marks
from tui.render.text import Line, Tone, clip, line, pad
from tui.render.traffic import WINDOW_NAMES
from vectron_p2p.model.statistics import WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vectron_p2p.model.nodes import ClusterStatus, NodeStatus
    from vectron_p2p.model.statistics import NodeStatistics, OperationStatistics

LABEL = 15  # columns of the names
RESPONSE = 31  # columns of the response times: "p50 99.9 ms  p99 1,000 ms  5 m"
MEMBERSHIP = "Membership"

OPERATIONS: dict[str, frozenset[str]] = {
    "Catalog quorum": frozenset(
        {
            "create_collection", "delete_collection", "set_replicas", "drain_node", "remove_node", "join_cluster",
            "set_alert_rule", "set_alert_route", "handle_alert", "silence_alerts",
        }
    ),
    "Replication": frozenset({"apply_rows", "prepare"}),
    "Repair": frozenset({"merkle_roots", "merkle_leaves", "leaf_versions", "repair_pass"}),
    "Index": frozenset({"search", "search_batch", "search_shards"}),
}  # fmt: skip
"""What is asked of each service, by clients and between nodes."""


@dataclass(frozen=True, slots=True)
class Service:
    label: str
    tone: Tone
    text: str
    more: str = ""

    @property
    def head(self) -> Line:
        sign = {Tone.OK: "●", Tone.WARN: "◐", Tone.BAD: "✕"}.get(self.tone, "·")
        return line((f"{sign} ", self.tone), (self.label.ljust(LABEL), Tone.STRONG))

    @property
    def line(self) -> Line:
        return (*self.head, *line(self.text, (f"  {self.more}" if self.more else "", Tone.MUTED)))


def services_of(status: ClusterStatus) -> list[Service]:
    return [
        _membership(status),
        _quorum(status),
        _replication(status),
        _repair(status),
        _index(status),
        _nodes_health(status),
    ]


def alive_of(status: ClusterStatus) -> list[NodeStatus]:
    return [node for node in status.nodes if node.answered]


def _membership(status: ClusterStatus) -> Service:
    groups = {word: [node.name for node in status.nodes if node.liveness == word] for word in ("suspect", "dead")}
    if not any(groups.values()):
        return Service(MEMBERSHIP, Tone.OK, "every node answers")
    tone = Tone.BAD if groups["dead"] else Tone.WARN
    words = [f"{word}: {', '.join(sorted(names))}" for word, names in groups.items() if names]
    return Service(MEMBERSHIP, tone, "; ".join(words))


def _quorum(status: ClusterStatus) -> Service:
    alive = {node.id for node in alive_of(status)}
    voters, answering = len(status.voters), sum(voter in alive for voter in status.voters)
    needed = voters // 2 + 1
    text = f"{answering} of {fmt.plural(voters, 'voter')} alive, {needed} needed"
    tone = Tone.BAD if answering < needed else Tone.OK if answering == voters else Tone.WARN
    return Service("Catalog quorum", tone, text, f"epoch {status.epoch}")


def _replication(status: ClusterStatus) -> Service:
    if status.under_replicated:
        text = f"{fmt.plural(status.under_replicated, 'shard')} with fewer replicas than asked"
        return Service("Replication", Tone.WARN, text)
    return Service("Replication", Tone.OK, "every shard has its owners")


def _repair(status: ClusterStatus) -> Service:
    hints = sum(node.hints for node in alive_of(status))
    if hints:
        word = "hint waits" if hints == 1 else "hints wait"
        return Service("Repair", Tone.WARN, f"{fmt.count(hints)} {word} for nodes that are away")
    return Service("Repair", Tone.OK, "no hints wait")


def _index(status: ClusterStatus) -> Service:
    waiting = sum(node.unindexed for node in alive_of(status))
    text = f"{fmt.plural(waiting, 'point')} to be linked" if waiting else "nothing waits to be linked"
    return Service("Index", Tone.OK, text)


def _nodes_health(status: ClusterStatus) -> Service:
    alive = alive_of(status)
    full = sorted(node.name for node in alive if node.read_only)
    if full:
        return Service("Node health", Tone.BAD, f"read-only: {', '.join(full)}")
    slowest = max(alive, key=lambda node: node.loop_lag_ms, default=None)
    if slowest is None:
        return Service("Node health", Tone.BAD, "no node answers")
    worst = marks.lag(slowest.loop_lag_ms)
    tone = Tone.OK if worst is Tone.NORMAL else worst
    return Service(
        "Node health", tone, f"loop lag ≤ {fmt.milliseconds(slowest.loop_lag_ms)}", f"most at {slowest.name}"
    )


def with_times(
    status: ClusterStatus,
    operations: Iterable[OperationStatistics],
    statistics: Mapping[str, NodeStatistics],
    width: int,
) -> list[Line]:
    """A line for each service with its response times."""
    asked = list(operations)
    return [
        clip((*each.head, *pad(_time(each.label, asked, statistics), RESPONSE), *line(each.text)), width)
        for each in services_of(status)
    ]


def _time(label: str, operations: list[OperationStatistics], statistics: Mapping[str, NodeStatistics]) -> Line:
    if label == MEMBERSHIP:
        return _round_trip(statistics)
    if label not in OPERATIONS:
        lags = [each for each in statistics.values() if each.answered]
        return line(f"lag p50 {fmt.milliseconds(max((each.loop_lag_p50_ms for each in lags), default=-1.0))}")
    for window in WINDOWS_S:
        mine = [each for each in operations if each.window_s == window and each.operation in OPERATIONS[label]]
        slowest = max((each for each in mine if each.count), key=lambda each: each.p99_ms, default=None)
        if slowest is not None:
            p50, p99 = fmt.milliseconds(slowest.p50_ms), fmt.milliseconds(slowest.p99_ms)
            return line(f"p50 {p50}  p99 {p99}", (f"  {WINDOW_NAMES[window]}", Tone.MUTED))
    return line(("not asked for an hour", Tone.MUTED))


def _round_trip(statistics: Mapping[str, NodeStatistics]) -> Line:
    """The slowest way between two nodes, of the calls that are made all the time."""
    trips = [
        (trip.rtt_ms, node.name, peer.node)
        for node in statistics.values()
        for peer in node.traffic.peers
        for kind, trip in peer.round_trips.items()
        if node.answered and trip.samples and kind == "other"
    ]
    if not trips:
        return line(("no round trip yet", Tone.MUTED))
    rtt, one, other = max(trips)
    name = statistics[other].name if other in statistics else other[:8]
    return line(f"round trip ≤ {fmt.milliseconds(rtt)}", (f"  {one} → {name}", Tone.MUTED))
