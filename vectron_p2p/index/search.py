"""A search of one layer without a filter, what a graph leaves short made up by a scan; and what all searches share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from vectron_p2p.index.candidates import Found, collect, ordered, scores
from vectron_p2p.index.hnsw import NONE
from vectron_p2p.query import planner

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.scan import Slots
    from vectron_p2p.index.slots import Ints, Mask, View
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.query.scoring import Matrix

    Keep: TypeAlias = Callable[[list[PointId]], list[bool]]

TURN_COST = 64 * 64 * planner.distance_cost(384)  # 64 queries with the default beam: 13 ms, which a linking turn waits


class Hits(NamedTuple):
    """Hits of one query, best first: parallel columns; `scores` float32."""

    ids: list[PointId]
    scores: Matrix
    versions: list[bytes]


class Request(NamedTuple):
    """What is asked, the same for every query of a batch.

    `keep` says which of some ids pass the filter, where `filter` and the payload index leave that open; it may read the
    disk and is called outside of all locks.
    """

    k: int
    ef: int | None = None
    exact: bool = False
    filter: Filter | None = None
    keep: Keep | None = None
    score_threshold: float | None = None


class Searcher:
    """One batch of prepared queries on one layer; used once."""

    def __init__(self, layer: Layer, mutex: threading.Lock, queries: Matrix, request: Request) -> None:
        self._layer = layer
        self._mutex = mutex
        self._queries = queries
        self._request = request
        self._metric = layer.options.metric
        self._hits: list[Hits | None] = [None] * len(queries)
        self._plan: dict[str, Any] = {}

    def run(self) -> tuple[list[Hits], dict[str, Any]]:
        """Hits of each query, and the plan as `explain` shows it."""
        request, layer = self._request, self._layer
        with self._mutex:
            labels, dead, live = layer.labels, layer.dead_labels, layer.table.live
        plan = planner.choose(
            k=request.k,
            ef=request.ef,
            exact=request.exact,
            labels=labels,
            live_labels=labels - dead,
            least=self._least_beam(),
        )
        self._plan = {
            "plan": plan.kind,
            "ef": plan.ef,
            "fetch": plan.fetch,
            "points": live,
            "scanned": live,
            "rounds": 1,
        }
        self._note_dimensions(plan)
        self._search(plan)
        return [hits for hits in self._hits if hits is not None], self._plan

    def _least_beam(self) -> int:
        graph = self._layer.graph
        return 0 if graph is None or graph.projection is None else graph.reach(self._request.k)

    def _note_dimensions(self, plan: planner.Plan) -> None:
        if plan.kind == "graph":
            self._plan["dimensions"] = self._layer.dimensions  # fewer than vectors have, under a projection

    def _search(self, plan: planner.Plan) -> None:
        left = self._attempts(plan, np.arange(len(self._queries)), plan)
        if len(left):  # dead labels, or points that the graph does not reach
            self._plan["rescanned"] = len(left)
            self._attempts(planner.Plan("exact", plan.ef, 0), left, plan)

    def _attempts(self, attempt: planner.Plan, rows: Ints, plan: planner.Plan) -> Ints:
        left = [self._attempt(attempt, part, plan) for part in self._turns(rows, attempt)]
        return left[0] if len(left) == 1 else np.concatenate(left)

    def _turns(self, rows: Ints, plan: planner.Plan) -> list[Ints]:
        """`rows` in as many parts as turns at the gate, so that none is long, however wide the beam is."""
        if plan.kind != "graph":
            return [rows]
        step = max(1, TURN_COST // (plan.fetch * planner.distance_cost(self._queries.shape[1])))
        return [rows[at : at + step] for at in range(0, len(rows), step)]

    def _attempt(self, attempt: planner.Plan, rows: Ints, plan: planner.Plan) -> Ints:
        """Finishes those of `rows` for which `attempt` finds enough; returns the others."""
        k = self._request.k
        queries = self._queries if len(rows) == len(self._queries) else self._queries[rows]
        found = collect(self._layer, self._mutex, queries, attempt, depth=k)
        if attempt is plan:
            self._plan["scanned"] = found.scanned
        want = min(k, found.live)
        if attempt.kind == "exact" or not want:
            enough = np.ones(len(rows), dtype=np.bool_)  # a scan has all there is
        elif found.slots.shape[1] < want:
            enough = np.zeros(len(rows), dtype=np.bool_)
        else:
            enough = found.ranks[:, want - 1] >= found.bound  # an empty place is below any bound
        return self._finish_many(found, rows, enough)

    def _finish_many(self, found: Found, rows: Ints, enough: Mask) -> Ints:
        """`_finish` for all rows of `found` that have `enough`, in one go for those without ties and empty places;
        returns the others.
        """
        width = found.slots.shape[1]
        k = min(self._request.k, width)
        view, slots, ranks = found.view, found.slots, found.ranks
        simple = self._request.score_threshold is None and k > 0
        if simple and found.distinct and k < width and False not in enough.tolist():
            self._finish_plain(rows, view, slots[:, :k], ranks[:, :k])
            return rows[:0]
        if simple:
            ties = (ranks[:, 1 : k + 1] == ranks[:, : ranks[:, 1 : k + 1].shape[1]]).any(axis=1)
            plain = enough & (slots[:, k - 1] != NONE) & ~ties
        else:
            plain = np.zeros_like(enough)
        for at in (enough & ~plain).nonzero()[0].tolist():
            self._finish(int(rows[at]), view, *ordered(view, slots[at], ranks[at], self._request.k))
        chosen = plain.nonzero()[0]
        if len(chosen):
            self._finish_plain(rows[chosen], view, slots[chosen, :k], ranks[chosen, :k])
        left: Ints = rows[~enough]
        return left

    def _finish_plain(self, rows: Ints, view: View, slots: Slots, ranks: Matrix) -> None:
        """The hits of several rows, all as they are."""
        k = slots.shape[1]
        flat = slots.ravel()
        ids, versions = view.ids_of(flat), view.versions_of(flat)
        for row, first, found in zip(rows.tolist(), range(0, len(flat), k), scores(ranks, self._metric), strict=True):
            self._hits[row] = Hits(ids[first : first + k], found, versions[first : first + k])

    def _finish(self, row: int, view: View, slots: Slots, ranks: Matrix) -> None:
        threshold = self._request.score_threshold
        found = scores(ranks, self._metric)
        if threshold is not None:
            exact = found.astype(np.float64)  # numpy would round the threshold to float32
            passing = exact <= threshold if self._metric == "l2" else exact >= threshold
            slots, found = slots[passing], found[passing]
        self._hits[row] = Hits(view.ids_of(slots), found, view.versions_of(slots))
