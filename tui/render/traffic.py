"""Traffic: what is asked of the cluster, how long it takes, who asks, and how nodes get on with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render.panels import Chart
from tui.render.table import Cell, Column, Row, Sort, Table, cell
from tui.render.text import Line, Tone, line
from tui.store import on_points
from vectron_p2p.model.statistics import CLIENT, WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tui.store import Store
    from vectron_p2p.model.statistics import NodeStatistics, OperationStatistics

ERRORS_WARN, ERRORS_BAD = 0.01, 0.05  # shares of requests: one in a hundred is looked at, one in twenty is an outage
P99_WARN_MS, P99_BAD_MS = 100.0, 1000.0  # a person feels the one, and gives up at the other
WINDOW_NAMES = {60: "1 m", 300: "5 m", 3600: "1 h"}

OPERATION_COLUMNS = (
    Column("operation", "OPERATION", most=24),
    Column("node", "NODE", priority=3, most=18),
    Column("kind", "FROM", priority=4, help="client: from outside; peer: between nodes"),
    Column("rate", "PER S", right=True, help="requests per second over the window"),
    Column("count", "COUNT", priority=6, right=True),
    Column("errors", "ERRORS", priority=2, right=True),
    Column("share", "ERR %", priority=5, right=True, help="share of requests that failed"),
    Column("rejected", "REJECTED", priority=11, right=True, help="requests that were at fault themselves: no errors"),
    Column("p50", "P50", priority=1, right=True),
    Column("p95", "P95", priority=7, right=True),
    Column("p99", "P99", priority=1, right=True),
    Column("max", "MAX", priority=8, right=True),
    Column("in", "IN", priority=9, right=True, help="bytes of the requests"),
    Column("out", "OUT", priority=10, right=True, help="bytes of the answers"),
)
OPERATION_SORT = Sort("rate", reverse=True)


def rate(value: float) -> str:
    return fmt.UNKNOWN if value < 0 else f"{value:.2f}" if 0 < value < 9.995 else f"{value:,.0f}"


def _errors_tone(errors: int, count: int) -> Tone:
    if not errors or not count:
        return Tone.MUTED
    share = errors / count
    return Tone.BAD if share >= ERRORS_BAD else Tone.WARN if share >= ERRORS_WARN else Tone.NORMAL


def _time(value: float, count: int) -> Cell:
    if not count:
        return cell(fmt.UNKNOWN, Tone.MUTED, sort=-1.0)
    tone = Tone.BAD if value >= P99_BAD_MS else Tone.WARN if value >= P99_WARN_MS else Tone.NORMAL
    return cell(fmt.milliseconds(value), tone, sort=value)


def operations(
    by_node: Mapping[str, list[OperationStatistics]], names: Mapping[str, str], window: int, *, per_node: bool
) -> Table:
    """Of all nodes together, or a row for each node too."""
    rows = []
    for node, items in by_node.items():
        if per_node is not bool(node):
            continue
        name = names.get(node, node[:8]) if node else "all"
        rows += [_operation(node, name, each) for each in items if each.window_s == window and each.count]
    return Table(OPERATION_COLUMNS, tuple(rows))


def _operation(node: str, name: str, each: OperationStatistics) -> Row:
    share = 100 * each.errors / each.count if each.count else 0.0
    tone = _errors_tone(each.errors, each.count)
    return Row(
        f"{node}/{each.kind}/{each.operation}",
        {
            "operation": cell(each.operation, Tone.STRONG if each.kind == CLIENT else Tone.NORMAL),
            "node": cell(name, Tone.MUTED if not node else Tone.NORMAL),
            "kind": cell(each.kind, Tone.MUTED),
            "rate": cell(rate(each.rate), sort=each.rate),
            "count": cell(fmt.count(each.count), sort=float(each.count)),
            "errors": cell(fmt.count(each.errors), tone, sort=float(each.errors)),
            "share": cell(f"{share:.1f}", tone, sort=share),
            "rejected": cell(fmt.count(each.rejected), Tone.MUTED, sort=float(each.rejected)),
            "p50": _time(each.p50_ms, each.count),
            "p95": _time(each.p95_ms, each.count),
            "p99": _time(each.p99_ms, each.count),
            "max": _time(each.max_ms, each.count),
            "in": cell(fmt.size(each.bytes_in), sort=float(each.bytes_in)),
            "out": cell(fmt.size(each.bytes_out), sort=float(each.bytes_out)),
        },
    )


PEER_COLUMNS = (
    Column("from", "FROM", most=18),
    Column("to", "TO", most=18),
    Column("breaker", "BREAKER", help="open: calls are not made, others are asked first"),
    Column("rtt", "RTT", priority=1, right=True, help="smoothed round trip of the slowest kind of call"),
    Column("late_after", "LATE AFTER", priority=2, right=True, help="after this another owner is asked too"),
    Column("late", "LATE", priority=4, right=True, help="answers that were late"),
    Column("failures", "FAILURES", priority=3, right=True),
    Column("opens", "OPENED", priority=5, right=True, help="times that the breaker opened"),
    Column("refused", "NOT ASKED", priority=6, right=True, help="calls not made because it was open"),
)
PEER_SORT = Sort("from")
_BREAKER = {"closed": ("●", Tone.OK, 2.0), "half_open": ("◐", Tone.WARN, 1.0), "open": ("✕", Tone.BAD, 0.0)}


def peers(statistics: Iterable[NodeStatistics], names: Mapping[str, str]) -> Table:
    """Each node's opinion of each other one."""
    rows = []
    for node in statistics:
        for peer in node.traffic.peers if node.answered else []:
            sign, tone, rank = _BREAKER.get(peer.breaker, ("?", Tone.WARN, 1.0))
            slowest = max(peer.round_trips.values(), key=lambda trip: trip.rtt_ms, default=None)
            word = f"{sign} {peer.breaker.replace('_', ' ')}" + (" slow" if peer.slow else "")
            rows.append(
                Row(
                    f"{node.node}/{peer.node}",
                    {
                        "from": cell(node.name, Tone.STRONG),
                        "to": cell(names.get(peer.node, peer.node[:8]), Tone.STRONG),
                        "breaker": cell(word, Tone.WARN if peer.slow and tone is Tone.OK else tone, sort=rank),
                        "rtt": _trip(slowest.rtt_ms if slowest is not None else -1.0),
                        "late_after": _trip(slowest.timeout_ms if slowest is not None else -1.0),
                        "late": cell(fmt.count(peer.late), sort=float(peer.late)),
                        "failures": cell(fmt.count(peer.failures), sort=float(peer.failures)),
                        "opens": cell(fmt.count(peer.opens), sort=float(peer.opens)),
                        "refused": cell(fmt.count(peer.refused), sort=float(peer.refused)),
                    },
                )
            )
    return Table(PEER_COLUMNS, tuple(rows))


def peers_shown(statistics: Iterable[NodeStatistics]) -> str:
    """How many of all peers nodes tell of: in a large cluster the worst ones."""
    traffic = [node.traffic for node in statistics if node.answered]
    told, known = sum(len(each.peers) for each in traffic), sum(each.peer_count for each in traffic)
    return f"{told:,} of {known:,} peers shown, the worst of each node" if told < known else f"{told:,}"


def _trip(value: float) -> Cell:
    return cell(fmt.milliseconds(value), Tone.MUTED if value < 0 else Tone.NORMAL, sort=value)


CALLER_COLUMNS = (
    Column("address", "ADDRESS", most=40),
    Column("node", "NODE", help="the node that serves it"),
    Column("kind", "KIND", priority=1),
    Column("age", "OPEN FOR", priority=3, right=True),
    Column("requests", "REQUESTS", priority=2, right=True),
    Column("in_flight", "IN FLIGHT", priority=2, right=True),
    Column("in", "IN", priority=4, right=True),
    Column("out", "OUT", priority=5, right=True),
)
CALLER_SORT = Sort("requests", reverse=True)


def callers(statistics: Iterable[NodeStatistics]) -> Table:
    """Open connections, the busiest of each node."""
    rows = []
    for node in statistics:
        for each in node.callers if node.answered else []:
            age = max(0.0, node.at - each.since)
            rows.append(
                Row(
                    f"{node.node}/{each.address}",
                    {
                        "address": cell(each.address, Tone.STRONG),
                        "node": cell(node.name),
                        "kind": cell(each.kind or "greeting", Tone.NORMAL if each.kind == CLIENT else Tone.MUTED),
                        "age": cell(fmt.duration(age), sort=age),
                        "requests": cell(fmt.count(each.requests), sort=float(each.requests)),
                        "in_flight": cell(fmt.count(each.in_flight), sort=float(each.in_flight)),
                        "in": cell(fmt.size(each.bytes_in), sort=float(each.bytes_in)),
                        "out": cell(fmt.size(each.bytes_out), sort=float(each.bytes_out)),
                    },
                )
            )
    return Table(CALLER_COLUMNS, tuple(rows))


def summary(
    by_node: Mapping[str, list[OperationStatistics]], statistics: Iterable[NodeStatistics], window: int
) -> list[Line]:
    """Two lines: what is asked and how it goes; limits, hedges and breakers."""
    mine = [each for each in by_node.get("", []) if on_points(each) and each.window_s == window]
    count, errors = sum(each.count for each in mine), sum(each.errors for each in mine)
    worst = max(mine, key=lambda each: each.p99_ms, default=None)
    nodes = [node for node in statistics if node.answered]
    first = line(
        (rate(sum(each.rate for each in mine)), Tone.STRONG),
        " requests/s   errors ",
        (f"{100 * errors / count:.2f}%" if count else fmt.UNKNOWN, _errors_tone(errors, count)),
        "   p99 ",
        (_slowest(worst), Tone.STRONG),
        f"   {fmt.plural(sum(node.connections for node in nodes), 'connection')}",
    )
    limits = [node.traffic.limits for node in nodes]
    turned = sum(each.limited + each.limited_by_connection + each.refused for each in limits)
    hedges = [node.traffic.hedges for node in nodes]
    bad = sum(node.traffic.open_breakers for node in nodes)
    rates = sorted({each.requests_per_second for each in limits if each.requests_per_second})
    limited = f"limit {', '.join(rate(each) for each in rates)}/s a node" if rates else "no rate limit"
    second = line(
        (f"{limited}, {fmt.count(turned)} turned away", Tone.WARN if turned else Tone.MUTED),
        (f"   hedges {fmt.count(sum(each.sent for each in hedges))}", Tone.MUTED),
        (f" ({fmt.count(sum(each.won for each in hedges))} won)", Tone.MUTED),
        ("   breakers closed", Tone.MUTED) if not bad else (f"   {fmt.plural(bad, 'breaker')} not closed", Tone.BAD),
    )
    return [first, second]


def _slowest(each: OperationStatistics | None) -> str:
    return f"{fmt.milliseconds(each.p99_ms)} {each.operation}" if each is not None and each.count else fmt.UNKNOWN


def charts(store: Store) -> list[Chart]:
    requests, p99, network = (store.totals[name].last(1) for name in ("requests", "p99", "network"))

    def last(values: list[float | None]) -> float:
        return values[0] if values and values[0] is not None else -1.0

    return [
        Chart("Requests/s", rate(last(requests)), tuple(store.totals["requests"].values), 1.0),
        Chart("P99, slowest", fmt.milliseconds(last(p99)), tuple(store.totals["p99"].values), 10.0),
        Chart("Network", fmt.speed(last(network)), tuple(store.totals["network"].values), 1024.0),
    ]


def next_window(window: int) -> int:
    return WINDOWS_S[(WINDOWS_S.index(window) + 1) % len(WINDOWS_S)]
