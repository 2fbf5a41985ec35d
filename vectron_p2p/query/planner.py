"""How a search of one shard is carried out: exact scan, graph, or graph with over-fetch; which way counts and pages go.

Owns the default `ef` and every threshold between the ways. Must not know how a graph or a scan works, only what each
costs: a graph search with a beam of `ef` computes about 12 * ef distances (M = 16), a scan one per row.
"""

from __future__ import annotations

import math
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
HOP_COST = 384  # what a distance of a graph search costs besides its own dimensions: reaching the row
WIDEST_SHARE = (
    4  # beams beyond 1/4 of the points: unreachable points show (inner product is no metric) and a scan is faster
)

# A row of a scan, in distances of a graph search (0.45 µs at 384 dimensions and 100,000 points): picking it from among
# the others, reading it, both once for all queries of a batch, and its product with each of them.
GATHER, READ, PRODUCT = 0.6, 0.3, 0.06
SCAN_AT_MOST = 2_000  # matches scanned whatever a graph costs: 1 ms, and exact; see GRAPH_FROM

FILTER_MARGIN = 1.65  # a beam for matches is this much wider than their share asks: near a query there may be fewer
# In a graph of the matches alone, for the same recall: it has no more than there are, but those of a part of all points
# lie farther from queries that are not meant for it.
SUBGRAPH_MARGIN = 1.85
# Matches in the beam for one that is wanted, and of those that it was made for: the last of a beam are the least sure.
ENOUGH_TIMES, ENOUGH_SHARE = 3, 0.55

# Of what it takes to link one (a beam of `ef_construction` for each): it is done when there is time, and a filter that
# was asked a thousand times will be asked a hundred thousand times. Among 100,000 points one that keeps 0.7 of them
# needs 2,800 queries, one that keeps 0.2 of them 70.
SUBGRAPH_EARLY = 0.005

KEY_US, ROW_US = 0.5, 10.0  # making the key of an id and comparing it; reading, checking and unpacking a row
CHECK_AT_ONCE = 256  # rows read before a search is planned, where the index cannot tell whether they pass: 2 ms
OVERFETCH_MARGIN = 1.5  # a filter's matches are not spread evenly around a query
OVERFETCH_GROWTH = 2  # per round, so that all rounds cost twice the last; most that were too narrow were so by little


@dataclass(frozen=True, slots=True)
class Plan:
    """`kind`: "exact" or "graph". `fetch`: the beam and number of labels asked of the graph at first."""

    kind: str
    ef: int
    fetch: int


def effective_ef(k: int, ef: int | None) -> int:
    """The beam for `k` hits: as asked, or max(64, 4k) up to 500; never less than k."""
    return max(k, min(max(MIN_EF, EF_PER_K * k), MAX_DEFAULT_EF) if ef is None else ef)


def distance_cost(dimension: int) -> int:
    """What one distance of a graph search costs, in dimensions."""
    return dimension + HOP_COST


def weight(*, k: int, ef: int | None, exact: bool, points: int, dimension: int) -> int:
    """What one query costs in ordinary ones (the default beam at 384 dimensions); at least 1."""
    beam = effective_ef(k, ef)
    distances = points * PRODUCT if exact or points < GRAPH_FROM else min(DISTANCES_PER_EF * beam, points)
    return max(1, round(distances * distance_cost(dimension) / (DISTANCES_PER_EF * MIN_EF * distance_cost(384))))


def choose(*, k: int, ef: int | None, exact: bool, labels: int, live_labels: int, least: int = 0) -> Plan:
    """The plan over a graph of `labels` labels, of which `live_labels` stand for live points.

    Dead labels take places in the beam, so it is widened by their share. `least`: a beam must hold so many, whatever
    was asked, as their order in the graph is a guess.
    """
    beam = max(effective_ef(k, ef), least)
    if exact or live_labels <= 0:
        return Plan("exact", beam, 0)
    fetch = -(-beam * labels // live_labels)
    if fetch * DISTANCES_PER_EF >= labels or fetch * WIDEST_SHARE >= labels:
        return Plan("exact", beam, 0)
    return Plan("graph", beam, fetch)


def choose_filtered(
    *,
    k: int,
    ef: int | None,
    exact: bool,
    labels: int,
    live_labels: int,
    points: int,
    matches: int,
    queries: int,
    copied: float | None = None,
    least: int = 0,
    margin: float = FILTER_MARGIN,
) -> Plan:
    """The plan for `queries` with one filter that `matches` of `points` live points pass, or at most that many.

    `copied`: as for `crossover`. `least`: as for `choose`. For a graph of the matches alone `points` are these, and
    `margin` is its own.
    """
    beam = max(effective_ef(k, ef), least)
    if not matches:
        return Plan("empty", beam, 0)
    if exact or live_labels <= 0 or matches <= crossover(beam, points, queries, copied=copied):
        return Plan("exact", beam, 0)
    share = matches / points
    fetch = math.ceil(beam / share * margin * labels / live_labels)
    return Plan("exact" if fetch * WIDEST_SHARE >= labels else "graph", beam, fetch)


def wasted(beam: int, points: int, matches: int) -> float:
    """Places in the beam of one query that a graph of the matches alone would save."""
    return max(0.0, beam * (FILTER_MARGIN * points / max(1, matches) - SUBGRAPH_MARGIN))


def subgraph_price(ef_construction: int) -> float:
    """Places that have to be wasted, for each match, before such a graph is worth linking."""
    return SUBGRAPH_EARLY * ef_construction


def enough(k: int, ef: int) -> int:
    """Matches that a beam for `ef` of them should hold for `k` hits: fewer say that they lie at its edge."""
    return min(ENOUGH_TIMES * k, max(k, int(ENOUGH_SHARE * ef)))


def worth_copying(ef: int, points: int, matches: int, part: float) -> bool:
    """Whether a filter asked again would be scanned if this part of its matches' dimensions lay together."""
    return 0 < matches <= crossover(ef, points, 1, copied=part)


def crossover(ef: int, points: int, queries: int, *, copied: float | None = None) -> int:
    """Up to how many matches a scan is cheaper than a graph search with a beam that holds `ef` of them.

    A scan of m costs m * (product + (gather + read) / queries), the graph 12 * ef * points / m.

    `copied`: the part of their dimensions in which the matches lie together, so that none has to be gathered; None:
    they do not.
    """
    queries = max(1, queries)
    row = PRODUCT + (READ + GATHER) / queries if copied is None else copied * (PRODUCT + READ / queries)
    return max(SCAN_AT_MOST, int(math.sqrt(DISTANCES_PER_EF * ef * points / row)))


def sorted_by_id(*, limit: int, matches: int, points: int) -> bool:
    """Whether the next `limit` matches in the order of ids are found faster among all matches than by reading rows.

    All matches are looked at for every page, so that is for filters that keep few.
    """
    found = min(limit, matches)
    rows = points if found < limit else limit * points / matches
    return matches * KEY_US + found * ROW_US < rows * ROW_US


def worth_checking(*, undecided: int, points: int) -> bool:
    """Whether a count reads `undecided` rows by id, at four times the cost of one in their order, or all `points`."""
    return undecided <= CHECK_AT_ONCE or undecided * 4 <= points


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
