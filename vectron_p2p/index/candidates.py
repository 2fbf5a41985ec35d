"""Candidates of a batch of queries: collected from graph and tail at one moment, scored exactly, put in order.

The gate is shared only while the graph is asked. The `View` taken meanwhile stays true, so scoring and all else follow
outside. Matrices have a row per query; a place that holds no candidate has slot -1 and rank -inf. A rank is a score
turned so that higher is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vectron_p2p.index.hnsw import NONE
from vectron_p2p.index.scan import Slots, blocks_of_range, scan
from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.query.scoring import pair_scores

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.passing import Passing
    from vectron_p2p.index.slots import Ints, Mask, View
    from vectron_p2p.index.subgraph import Subgraph
    from vectron_p2p.query.planner import Plan
    from vectron_p2p.query.scoring import Matrix

SCORING_FLOATS = 1 << 18  # gathered at a time for scoring, 1 MB: read from the cache then, in 0.6 of the time of 16 MB


class Found(NamedTuple):
    """Live candidates at one moment, best first.

    `bound`: per query the rank down to which nothing is missing but what a graph does not reach; -inf: all is here.
    `scanned`: points that were scanned, not asked of the graph. `distinct`: no query has two candidates of one rank,
    or more than one empty place. `held`: per query how many of the wanted
    there were, also beyond the depth (of no account where all are wanted).
    """

    view: View
    slots: Slots
    ranks: Matrix
    bound: Matrix
    live: int
    scanned: int
    distinct: bool
    held: Ints


def collect(
    layer: Layer,
    mutex: threading.Lock,
    queries: Matrix,
    plan: Plan,
    *,
    depth: int,
    wanted: Callable[[View, int], Passing] | None = None,
    subgraph: Subgraph | None = None,
) -> Found:
    """The best `depth` of the graph's answer, if the plan asks it, and of the points that it leaves out.

    `wanted` says which live slots of a view (of so many) count: the others are as if they were dead. `subgraph`: of
    these, to be asked instead.
    """
    metric = layer.options.metric
    labels: Slots | None = None
    reach = depth
    with layer.gate.shared():
        with mutex:
            view, live = layer.table.view(), layer.table.live
            graph, linked = (layer.graph, layer.linked_to) if subgraph is None else (subgraph.graph, subgraph.reach)
        if plan.kind == "graph" and graph is not None:
            labels = graph.search(queries, plan.fetch)
            reach = graph.reach(depth)
            if wanted is None and live == view.end:  # every label is a hit, and those behind are never looked at
                labels = labels[:, :reach]
            if layer.postings:
                labels = _with_postings(layer, labels)
    chosen = None
    if wanted is not None:
        chosen, live = wanted(view, live)
    held = np.zeros(len(queries), dtype=np.int64)
    start = 0
    if labels is None:
        slots = np.empty((len(queries), 0), dtype=np.int64)
    else:
        start = linked
        if chosen is not None:
            passing = chosen.take(labels, mode="clip")
            if subgraph is not None:
                passing &= labels < linked  # those linked since, to a label that it has, are scanned
            slots, held = _only(labels, passing, reach)
        elif live < view.end:
            slots, held = _only(labels, view.alive(np.maximum(labels, 0)), reach)
        else:
            slots = labels[:, :reach]
    walked = slots.shape[1]
    alive = view.alive_between(start, view.end) if chosen is None else chosen[start:]
    scanned = int(np.count_nonzero(alive))
    if scanned:
        more = _padded(scan(queries, blocks_of_range(view.rows, alive, start, view.end), depth, metric))
        slots = np.concatenate([slots, more], axis=1) if walked else more
    ranks = _ranks(view, queries, slots, metric)
    bound = _last(ranks[:, :walked])
    if scanned > depth:
        bound = np.maximum(bound, -np.partition(-ranks[:, walked:], depth - 1, axis=1)[:, depth - 1])
    # A graph of whole vectors has them in order, nearly always; one of projections nearly never.
    look = not scanned and graph is not None and graph.projection is None
    slots, ranks, distinct = _sorted(slots, ranks, look=look)
    return Found(view, slots, ranks, bound, live, scanned, distinct, held + scanned)


def _last(ranks: Matrix) -> Matrix:
    """The worst rank of each row; -inf where there is none."""
    if not ranks.shape[1]:
        return np.full(len(ranks), -np.inf, dtype=np.float32)
    worst: Matrix = ranks.min(axis=1)
    if -np.inf in worst.tolist():
        worst = np.where(ranks == -np.inf, np.inf, ranks).min(axis=1).astype(np.float32, copy=False)
    return worst


def collect_from(view: View, queries: Matrix, lists: list[Slots], live: int, metric: str) -> Found:
    """What a scan of `live` points has left of them for each query."""
    slots, ranks, distinct = _sorted(found := _padded(lists), _ranks(view, queries, found, metric))
    bound = np.full(len(queries), -np.inf, dtype=np.float32)
    return Found(view, slots, ranks, bound, live, live, distinct, np.full(len(queries), live))


def _sorted(slots: Slots, ranks: Matrix, *, look: bool = False) -> tuple[Slots, Matrix, bool]:
    """Best first, and whether the ranks of each query differ from each other; `look`: perhaps they are in order."""
    if look and _falling(ranks):
        return slots, ranks, True
    count, width = ranks.shape
    places = (-ranks).argsort(axis=1, kind="stable")
    places += (np.arange(count) * width)[:, None]  # among all queries' together: half the time of two indices
    slots, ranks = slots.ravel().take(places), ranks.ravel().take(places)
    return slots, ranks, _falling(ranks)


def _falling(ranks: Matrix) -> bool:
    return bool((ranks[:, :-1] > ranks[:, 1:]).all())


def ordered(view: View, slots: Slots, ranks: Matrix, k: int) -> tuple[Slots, Matrix]:
    """The k best of one query's candidates (best first already); equal ranks by the ids' byte form."""
    valid = int(np.count_nonzero(slots != NONE))
    slots, ranks = slots[:valid], ranks[:valid]
    if valid > 1 and bool((ranks[1 : k + 1] == ranks[: min(k, valid - 1)]).any()):
        reach = int(np.searchsorted(-ranks, -ranks[min(k, valid) - 1], side="right"))  # with all that tie with the k-th
        keys = [
            (-rank, encode_point_id(view.ids[slot])) for slot, rank in zip(slots[:reach], ranks[:reach], strict=True)
        ]
        order = sorted(range(reach), key=keys.__getitem__)
        slots, ranks = slots[order], ranks[order]
    return slots[:k], ranks[:k]


def scores(ranks: Matrix, metric: str) -> Matrix:
    """Ranks as scores of the metric, or the other way round."""
    return np.negative(ranks) + np.float32(0.0) if metric == "l2" else ranks  # + 0: no negative zero


def _ranks(view: View, queries: Matrix, slots: Slots, metric: str) -> Matrix:
    """Exact ranks of `slots`, row by row for each query; empty places come last."""
    dimension = queries.shape[1]
    found = np.empty(slots.shape, dtype=np.float32)
    columns = max(1, min(slots.shape[1], SCORING_FLOATS // dimension))
    rows = max(1, SCORING_FLOATS // (columns * dimension))
    for top in range(0, slots.shape[0], rows):
        for left in range(0, slots.shape[1], columns):
            part = slice(top, top + rows), slice(left, left + columns)
            found[part] = pair_scores(queries[top : top + rows, None, :], _gathered(view, slots[part]), metric)
    ranks = scores(found, metric)
    if slots.size and slots.min() == NONE:
        ranks[slots == NONE] = -np.inf
    return ranks


def _gathered(view: View, slots: Slots) -> Matrix:
    """The rows of `slots`, any row where there is none. `take` copies whole rows: 1.7 times as fast as indexing."""
    return view.rows.take(slots, axis=0, mode="clip")


def rank_slots(view: View, query: Matrix, slots: Slots, metric: str) -> Matrix:
    """Exact ranks of `slots` for one query."""
    ranks: Matrix = _ranks(view, query.reshape(1, -1), slots.reshape(1, -1), metric)[0]
    return ranks


def _only(labels: Slots, wanted: Mask, depth: int) -> tuple[Slots, Ints]:
    """The first `depth` wanted labels of each row, in their order, -1 behind them; and how many each row has."""
    if NONE in labels[:, -1].tolist():
        wanted = wanted & (labels != NONE)
    flat: Slots = labels[wanted]
    depth = min(depth, labels.shape[1])
    if not len(flat):
        return np.full((len(labels), depth), NONE, dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    if len(labels) == 1:
        return flat[None, :depth], np.full(1, len(flat))
    held = np.count_nonzero(wanted, axis=1)
    places = np.arange(depth)
    kept: Slots = flat.take((np.cumsum(held) - held)[:, None] + places, mode="clip")
    if held.min() < depth:
        kept[places >= held[:, None]] = NONE
    return kept, held


def _padded(lists: list[Slots]) -> Slots:
    matrix = np.full((len(lists), max(map(len, lists))), NONE, dtype=np.int64)
    for row, found in enumerate(lists):
        matrix[row, : len(found)] = found
    return matrix


def _with_postings(layer: Layer, labels: Slots) -> Slots:
    """Labels that several slots share replaced by all those slots, each row still best first. The gate is shared."""
    shared = layer.has_posting[np.maximum(labels, 0)] & (labels != NONE)
    if not shared.any():
        return labels
    rows = []
    for row in range(len(labels)):
        if shared[row].any():
            expanded: list[int] = []
            for label, many in zip(labels[row].tolist(), shared[row].tolist(), strict=True):
                expanded.extend(layer.postings[label]) if many else expanded.append(label)
            rows.append(np.asarray(expanded, dtype=np.int64))
        else:
            rows.append(labels[row])
    return _padded(rows)
