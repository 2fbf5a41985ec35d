"""`vectron cluster traffic`: what nodes know of each other from their calls, hedges, and refused requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options

if TYPE_CHECKING:
    from vectron_p2p.model.traffic import PeerFigures

KINDS = ("search", "read", "write", "other")


@click.command()
@client_options
def traffic(connect: str, as_json: bool) -> None:
    """Circuit breakers, round trips, hedges and limits of every node.

    A row per node and peer, as the node sees it from its own calls since its start. Times are milliseconds, the usual
    round trip and after a slash the one from which on an answer is late.
    """
    with client(connect) as db:
        found = [node for node in db.statistics(replicas=False).nodes if node.answered]
    if as_json:
        output.document({node.node: node.traffic for node in found})
        return
    names = {node.node: node.name for node in found}
    output.table(
        ("NODE", "PEER", "BREAKER", "SLOW", "FAILURES", "OPENS", "LATE", "REFUSED", *map(str.upper, KINDS)),
        [
            (
                node.name,
                names.get(peer.node, peer.node),
                peer.breaker,
                "yes" if peer.slow else "-",
                *map(output.figure, (peer.failures, peer.opens, peer.late, peer.refused)),
                *(_round_trip(peer, kind) for kind in KINDS),
            )
            for node in found
            for peer in node.traffic.peers
        ],
        numbers=("FAILURES", "OPENS", "LATE", "REFUSED", *map(str.upper, KINDS)),
    )
    if (known := sum(node.traffic.peer_count for node in found)) > (told := sum(len(n.traffic.peers) for n in found)):
        output.text(
            f"{told:,} of {known:,} peers shown, the worst of each node; "
            f"{sum(node.traffic.open_breakers for node in found)} breakers of all are not closed"
        )
    for node in found:
        hedges, limits = node.traffic.hedges, node.traffic.limits
        output.text(
            f"{node.name}: {output.figure(hedges.requests)} searches and reads sent to owners, {hedges.sent} hedged, "
            f"{hedges.won} of them won, {hedges.denied} denied; {limits.under_way} requests under way, refused "
            f"{limits.refused} as too many at once, {limits.limited} by the node's rate, "
            f"{limits.limited_by_connection} by that of a connection"
        )


def _round_trip(peer: PeerFigures, kind: str) -> str:
    figures = peer.round_trips.get(kind)
    return f"{figures.rtt_ms:.1f}/{figures.timeout_ms:.1f}" if figures is not None and figures.samples else "-"
