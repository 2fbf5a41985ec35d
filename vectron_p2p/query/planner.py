"""How a search of one shard is carried out: exact scan, graph, or graph with over-fetch.

Owns the default `ef` and every threshold between the ways. Must not know how a graph or a scan works, only what each
costs: a graph search with a beam of `ef` computes about 12 * ef distances (M = 16), a scan one per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# A default beam: recall@10 >= 0.95 on real embeddings at 64; wider for larger k, but 500 is where the returns end.
MIN_EF = 64
EF_PER_K = 4
MAX_DEFAULT_EF = 500

# Below this many live points a scan (3 MB at 384 dimensions, about 0.3 ms) is as fast as a graph, exact, and costs no
# memory for links.
GRAPH_FROM = 2_000

DISTANCES_PER_EF = 12  # measured for M = 16; M moves it little
WIDEST_SHARE = (
    4  # beams beyond 1/4 of the points: unreachable points show (inner product is no metric) and a scan is faster
)

OVERFETCH_MARGIN = 1.5  # a filter's matches are not spread evenly around a query
OVERFETCH_GROWTH = 4  # per round: a too narrow guess costs at most a third more than the right one


@dataclass(frozen=True, slots=True)
class Plan:
    """`kind`: "exact" or "graph". `fetch`: the beam and number of labels asked of the graph at first."""

    kind: str
    ef: int
    fetch: int


def effective_ef(k: int, ef: int | None) -> int:
    """The beam for `k` hits: as asked, or max(64, 4k) up to 500; never less than k."""
    return max(k, min(max(MIN_EF, EF_PER_K * k), MAX_DEFAULT_EF) if ef is None else ef)


def choose(*, k: int, ef: int | None, exact: bool, labels: int, live_labels: int) -> Plan:
    """The plan over a graph of `labels` labels, of which `live_labels` stand for live points.

    Dead labels take places in the beam, so it is widened by their share.
    """
    beam = effective_ef(k, ef)
    if exact or live_labels <= 0:
        return Plan("exact", beam, 0)
    fetch = -(-beam * labels // live_labels)
    if fetch * DISTANCES_PER_EF >= labels or fetch * WIDEST_SHARE >= labels:
        return Plan("exact", beam, 0)
    return Plan("graph", beam, fetch)


def wider(*, fetch: int, wanted: int, found: int, labels: int) -> int:
    """The next beam when a beam of `fetch` labels held only `found` of `wanted` usable ones; 0: a scan is better.

    Guided by the share seen, at least `OVERFETCH_GROWTH` times as wide.
    """
    by_share = int(fetch * wanted / found * OVERFETCH_MARGIN) if found else 0
    fetch = max(by_share, fetch * OVERFETCH_GROWTH)
    return fetch if fetch * WIDEST_SHARE < labels else 0


def describe(plan: Plan, **seen: Any) -> dict[str, Any]:
    """A plan as `explain` shows it, with what happened when it was carried out."""
    return {"plan": plan.kind, "ef": plan.ef, "fetch": plan.fetch, **seen}
