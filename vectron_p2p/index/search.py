"""Searches of one layer, unfiltered and filtered, with what a graph leaves short made up by scans.

A filter is a callback on ids, asked best candidates first and only until k have passed: it may read the disk. Never
fewer than min(k, matches) hits: what the graph does not yield in a few widening rounds, a scan does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from vectron_p2p.index.candidates import Found, collect, everything, ordered, rank_slots, scores
from vectron_p2p.index.hnsw import NONE
from vectron_p2p.index.scan import BLOCK_FLOATS, margins, ranks_of
from vectron_p2p.query import planner
from vectron_p2p.query.scoring import meets

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.scan import Slots
    from vectron_p2p.index.slots import Ints, Mask, View
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.query.scoring import Matrix

    Keep: TypeAlias = Callable[[list[PointId]], list[bool]]

FIRST_KEEP, LAST_KEEP = 32, 1024  # ids asked of a filter at a time: more and more, as it proves to keep few


class Hits(NamedTuple):
    """Hits of one query, best first: parallel columns; `scores` float32."""

    ids: list[PointId]
    scores: Matrix
    versions: list[bytes]


class Request(NamedTuple):
    """What is asked, the same for every query of a batch."""

    k: int
    ef: int | None = None
    exact: bool = False
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
        self._kept: dict[int, bool] = {}  # slots are one version of one point, so a verdict on one stands
        self._plan: dict[str, Any] = {}

    def run(self) -> tuple[list[Hits], dict[str, Any]]:
        """Hits of each query, and the plan as `explain` shows it."""
        request, layer = self._request, self._layer
        with self._mutex:
            labels, dead, live = layer.labels, layer.dead_labels, layer.table.live
        plan = planner.choose(k=request.k, ef=request.ef, exact=request.exact, labels=labels, live_labels=labels - dead)
        self._plan = {
            "plan": plan.kind,
            "ef": plan.ef,
            "fetch": plan.fetch,
            "points": live,
            "scanned": live,
            "rounds": 1,
        }
        if request.keep is None:
            self._unfiltered(plan)
        else:
            self._filtered(plan, labels)
        return [hits for hits in self._hits if hits is not None], self._plan

    # --- without a filter ---------------------------------------------------------------------------------------------

    def _unfiltered(self, plan: planner.Plan) -> None:
        k = self._request.k
        rows = np.arange(len(self._queries))
        for attempt in (plan, planner.Plan("exact", plan.ef, 0)):
            found = collect(self._layer, self._mutex, self._queries[rows], attempt, depth=k)
            if attempt is plan:
                self._plan["scanned"] = found.scanned
            want = min(k, found.live)
            if attempt.kind == "exact" or not want:
                enough = np.ones(len(rows), dtype=np.bool_)  # a scan has all there is
            elif found.slots.shape[1] < want:
                enough = np.zeros(len(rows), dtype=np.bool_)
            else:
                enough = (found.slots[:, want - 1] != NONE) & (found.ranks[:, want - 1] >= found.bound)
            self._finish_many(found, rows, enough)
            rows = rows[~enough]
            if not len(rows):
                return
            self._plan["rescanned"] = len(rows)  # dead labels, or points that the graph does not reach

    def _finish_many(self, found: Found, rows: Ints, enough: Mask) -> None:
        """`_finish` for all rows of `found` that have `enough`; in one go for those without ties and empty places."""
        k = min(self._request.k, found.slots.shape[1])
        slots, ranks, view = found.slots[:, :k], found.ranks[:, :k], found.view
        plain = enough if self._request.score_threshold is None and k else np.zeros_like(enough)
        if k:
            ties = (found.ranks[:, 1 : k + 1] == found.ranks[:, : found.ranks[:, 1 : k + 1].shape[1]]).any(axis=1)
            plain = plain & (slots[:, -1] != NONE) & ~ties
        for at in np.flatnonzero(enough & ~plain).tolist():
            self._finish(int(rows[at]), view, *ordered(view, found.slots[at], found.ranks[at], self._request.k))
        chosen = np.flatnonzero(plain)
        if len(chosen):
            flat = slots[chosen].ravel()
            ids, versions = [view.ids[slot] for slot in flat.tolist()], view.versions_of(flat)
            found_scores = scores(ranks[chosen], self._metric)
            for place, at in enumerate(chosen.tolist()):
                part = slice(place * k, place * k + k)
                self._hits[int(rows[at])] = Hits(ids[part], found_scores[place], versions[part])

    # --- with one -----------------------------------------------------------------------------------------------------

    def _filtered(self, plan: planner.Plan, labels: int) -> None:
        rows = list(range(len(self._queries)))
        while plan.kind == "graph" and rows:
            found = collect(self._layer, self._mutex, self._queries[rows], plan, depth=plan.fetch)
            self._plan.update(scanned=found.scanned, fetch=plan.fetch)
            seen = [self._walk(found, at) for at in range(len(rows))]
            for at, row in enumerate(rows):
                slots, _, done = seen[at]
                if done:
                    self._finish(row, found.view, *ordered(found.view, *self._of(found, at, slots), self._request.k))
            open_rows = [at for at in range(len(rows)) if not seen[at][2]]
            scarcest = min((len(seen[at][0]) for at in open_rows), default=0)
            rows = [rows[at] for at in open_rows]
            fetch = planner.wider(fetch=plan.fetch, wanted=self._request.k, found=scarcest, labels=labels)
            plan = planner.Plan("graph" if fetch else "exact", plan.ef, fetch)
            self._plan["rounds"] += bool(rows)
        for row in rows:
            self._plan["plan"] = "exact"
            self._scan_filtered(row)
        self._plan["filtered"] = len(self._kept)

    def _walk(self, found: Found, at: int) -> tuple[list[int], int, bool]:
        """Places of the candidates of one query that pass; how many were looked at; whether that is final."""
        request = self._request
        sure = int(np.count_nonzero((found.ranks[at] >= found.bound[at]) & (found.slots[at] != NONE)))
        passed: list[int] = []
        place, chunk = 0, FIRST_KEEP
        while place < sure and len(passed) < request.k:
            end = min(sure, place + chunk)
            verdicts = self._keep(found.view, found.slots[at, place:end].tolist())
            passed.extend(place + i for i, verdict in enumerate(verdicts) if verdict)
            place, chunk = end, min(chunk * 2, LAST_KEEP)
        done = len(passed) >= request.k or bool(found.bound[at] == -np.inf)
        if not done and request.score_threshold is not None and sure:
            worst = scores(found.ranks[at, sure - 1 : sure], self._metric)
            done = not meets(self._metric, float(worst[0]), request.score_threshold)  # no better one can come
        return passed, place, done

    def _of(self, found: Found, at: int, places: list[int]) -> tuple[Slots, Matrix]:
        return found.slots[at, places], found.ranks[at, places]

    def _scan_filtered(self, row: int) -> None:
        """All points by rank, best first, until k have passed."""
        request, query = self._request, self._queries[row : row + 1]
        view, slots = everything(self._layer, self._mutex)
        rough, margin = self._rough(view, slots, query)
        order = np.argsort(-rough, kind="stable")
        passed: list[int] = []
        place, chunk, floor = 0, FIRST_KEEP, -np.inf
        if request.score_threshold is not None:
            floor = self._rough_floor(query, request.score_threshold) - margin
        while place < len(order) and rough[order[place]] >= floor:
            part = order[place : place + chunk]
            for position, verdict in zip(part.tolist(), self._keep(view, slots[part].tolist()), strict=True):
                if verdict:
                    passed.append(position)
                    if len(passed) == request.k:  # those so close behind that the order may turn are looked at too
                        floor = max(floor, float(rough[position]) - margin)
            place, chunk = place + len(part), min(chunk * 2, LAST_KEEP)
        chosen = slots[passed]
        ranks = rank_slots(view, self._queries[row], chosen, self._metric)
        best = np.argsort(-ranks, kind="stable")
        self._finish(row, view, *ordered(view, chosen[best], ranks[best], request.k))

    def _rough(self, view: View, slots: Slots, query: Matrix) -> tuple[Matrix, float]:
        """Ranks of `slots` as products give them, and how far they may be off."""
        parts, largest = [np.empty(0, dtype=np.float32)], 0.0
        for rows in self._blocks(view, slots):
            parts.append(ranks_of(query, rows, self._metric)[0])
            largest = max(largest, float(np.einsum("ij,ij->i", rows, rows).max()))
        return np.concatenate(parts), float(margins(query, largest, self._metric)[0])

    def _rough_floor(self, query: Matrix, threshold: float) -> float:
        """`score_threshold` on the scale of `ranks_of`."""
        if self._metric != "l2":
            return threshold
        return float(np.einsum("ij,ij->", query, query)) - max(threshold, 0.0) ** 2

    def _blocks(self, view: View, slots: Slots) -> Iterator[Matrix]:
        step = max(1, BLOCK_FLOATS // self._queries.shape[1])
        for start in range(0, len(slots), step):
            yield view.rows[slots[start : start + step]]

    def _keep(self, view: View, slots: list[int]) -> list[bool]:
        """Whether the points in `slots` pass the filter; each is asked once."""
        keep = self._request.keep
        unknown = [slot for slot in slots if slot not in self._kept]
        if unknown and keep is not None:
            verdicts = keep([view.ids[slot] for slot in unknown])
            self._kept.update(zip(unknown, verdicts, strict=True))
        return [self._kept[slot] for slot in slots]

    # --- both ---------------------------------------------------------------------------------------------------------

    def _finish(self, row: int, view: View, slots: Slots, ranks: Matrix) -> None:
        threshold = self._request.score_threshold
        found = scores(ranks, self._metric)
        if threshold is not None:
            exact = found.astype(np.float64)  # numpy would round the threshold to float32
            passing = exact <= threshold if self._metric == "l2" else exact >= threshold
            slots, found = slots[passing], found[passing]
        self._hits[row] = Hits([view.ids[slot] for slot in slots.tolist()], found, view.versions_of(slots))
