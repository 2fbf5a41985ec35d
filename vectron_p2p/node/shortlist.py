"""What a node tells the cluster of its peers and callers: in a large cluster the worst and the busiest only.

Each of N nodes has N-1 peers and as many callers, so that all of them grow with the square of the cluster: at 100 nodes
they would be more than one message may hold (`protocol.registry.MAX_CONTAINERS`), every second. Pure. Invariant: totals
(`TrafficFigures.peer_count`, `open_breakers`, `NodeStatistics.connections`) are those of all.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.model.statistics import NodeStatistics
    from vectron_p2p.model.traffic import PeerFigures

IN_ALL = 1_200  # of the whole cluster: so that up to 34 nodes tell of everything, more than a person pages through
LEAST = 12  # of each node, however many: a peer takes seven containers (dials, figures, round trips of four kinds), a
# caller one, so 100 nodes take 9,600, beside 15,000 replicas of 5,000 shards and 10,000 windows of operations
BREAKERS = {"closed": 0, "half_open": 1, "open": 2}


def shortlist(statistics: NodeStatistics, nodes: int) -> NodeStatistics:
    """`statistics` with as many peers and callers as one of `nodes` nodes may tell of.

    The worst peers: open breakers first, then those that fail, then the slowest. Callers come busiest first already.
    """
    most = max(LEAST, IN_ALL // max(1, nodes))
    calls = {each.node: each for each in statistics.traffic.peers}
    dials = {each.node: each.failures for each in statistics.peers}

    def badness(node: str) -> tuple[float, ...]:
        return (*_now(calls.get(node)), dials.get(node, 0), *_so_far(calls.get(node)))

    worst = set(sorted(sorted(calls.keys() | dials.keys()), key=badness, reverse=True)[:most])
    return dataclasses.replace(
        statistics,
        callers=statistics.callers[:most],
        peers=[each for each in statistics.peers if each.node in worst],
        traffic=dataclasses.replace(
            statistics.traffic, peers=[each for each in statistics.traffic.peers if each.node in worst]
        ),
    )


def _now(peer: PeerFigures | None) -> tuple[float, ...]:
    return (BREAKERS.get(peer.breaker, 1), peer.slow) if peer is not None else (0, False)


def _so_far(peer: PeerFigures | None) -> tuple[float, ...]:
    if peer is None:
        return (0, 0.0)
    return (peer.failures, max((each.rtt_ms for each in peer.round_trips.values()), default=0.0))
