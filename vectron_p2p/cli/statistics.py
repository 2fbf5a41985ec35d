"""`vectron stats`: what the nodes measure of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options
from vectron_p2p.model.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from vectron_p2p.model.statistics import ClusterStatistics, NodeStatistics, OperationStatistics

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600}


@click.command()
@click.option("--node", metavar="NODE", help="Of one node (name or id) only.")
@click.option("--window", type=click.Choice(list(WINDOWS)), default="1m", show_default=True, help="How far back.")
@click.option("--peers", is_flag=True, help="Requests between nodes too.")
@client_options
def stats(node: str | None, window: str, peers: bool, connect: str, as_json: bool) -> None:
    """Resources of the nodes, and every operation: count, rate, errors, latency, bytes."""
    with client(connect) as db:
        found = db.statistics(replicas=as_json and node is None)
    chosen = None if node is None else _of(found, node)
    if as_json:
        output.document(found if chosen is None else chosen)
        return
    _show_nodes(found.nodes if chosen is None else [chosen])
    operations = found.operations if chosen is None else chosen.operations
    shown = [each for each in operations if each.window_s == WINDOWS[window] and (peers or each.kind == "client")]
    output.text("")
    if shown:
        _show_operations(shown)
    else:
        output.text(f"no requests {'' if peers else 'of clients '}in the last {window}")


def _of(found: ClusterStatistics, node: str) -> NodeStatistics:
    for each in found.nodes:
        if node in (each.name, each.node):
            if not each.answered:
                raise Unavailable(f"{each.name} gives no figures: it is {each.liveness}", node=each.node)
            return each
    raise NotFound(f"there is no node {node!r}; `vectron nodes` lists them", field="node")


def _show_nodes(nodes: list[NodeStatistics]) -> None:
    output.table(
        (
            "NAME", "LIVENESS", "UPTIME", "CPU_%", "RSS", "DISK", "FREE", "LAG_P50_MS", "LAG_P99_MS", "IN/S", "OUT/S",
            "CONNECTIONS", "IN_FLIGHT", "HINTS",
        ),
        [
            (node.name, node.liveness)
            + (
                (
                    _duration(node.uptime_s),
                    f"{node.cpu_percent:.0f}",
                    output.size(node.rss_bytes),
                    output.size(node.disk_used_bytes),
                    output.size(node.disk_free_bytes),
                    f"{node.loop_lag_p50_ms:.1f}",
                    f"{node.loop_lag_p99_ms:.1f}",
                    output.size(round(node.network.client_in_per_s + node.network.peer_in_per_s)),
                    output.size(round(node.network.client_out_per_s + node.network.peer_out_per_s)),
                    node.connections,
                    node.in_flight,
                    node.hints,
                )
                if node.answered
                else ("-",) * 12
            )
            for node in sorted(nodes, key=lambda node: node.name)
        ],
        numbers=(
            "UPTIME", "CPU_%", "RSS", "DISK", "FREE", "LAG_P50_MS", "LAG_P99_MS", "IN/S", "OUT/S", "CONNECTIONS",
            "IN_FLIGHT", "HINTS",
        ),
    )  # fmt: skip


def _show_operations(operations: list[OperationStatistics]) -> None:
    output.table(
        ("FROM", "OPERATION", "COUNT", "PER_S", "ERRORS", "P50_MS", "P95_MS", "P99_MS", "MAX_MS", "IN", "OUT"),
        [
            (
                each.kind,
                each.operation,
                output.figure(each.count),
                f"{each.rate:.1f}",
                output.figure(each.errors),
                f"{each.p50_ms:.2f}",
                f"{each.p95_ms:.2f}",
                f"{each.p99_ms:.2f}",
                f"{each.max_ms:.2f}",
                output.size(each.bytes_in),
                output.size(each.bytes_out),
            )
            for each in operations
        ],
        numbers=("COUNT", "PER_S", "ERRORS", "P50_MS", "P95_MS", "P99_MS", "MAX_MS", "IN", "OUT"),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{rest}s"
