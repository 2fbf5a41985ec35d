"""A search of one layer with a filter. Never fewer than min(k, matches) hits.

The payload index says which slots pass. Usually it is sure of all, or of all but a few, which are then looked up: the
matches are scanned, or picked from a wider beam of the graph, and scanned after all if that leaves a query short.
Where it leaves many open, `keep` is asked, best candidates first and only until k have passed: it reads the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vectron_p2p.index.candidates import Found, collect, collect_from, ordered, rank_slots, scores
from vectron_p2p.index.copies import Copy, live_slots, worth_projecting
from vectron_p2p.index.hnsw import NONE
from vectron_p2p.index.passing import Passing, passing
from vectron_p2p.index.payload.fields import Masks
from vectron_p2p.index.payload.payload_index import key_of
from vectron_p2p.index.scan import blocks_of_copy, blocks_of_slots, margins, ranks_of, scan, squares_of
from vectron_p2p.index.search import Hits, Searcher
from vectron_p2p.query import planner
from vectron_p2p.query.scoring import meets

if TYPE_CHECKING:
    import threading

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.scan import Slots
    from vectron_p2p.index.search import Request
    from vectron_p2p.index.slots import Ints, Mask, View
    from vectron_p2p.index.subgraph import Subgraph
    from vectron_p2p.query.scoring import Matrix

FIRST_KEEP, LAST_KEEP = 32, 1024  # ids asked of `keep` at a time: more and more, as it proves to keep few


class FilteredSearcher(Searcher):
    """One batch of prepared queries with one filter on one layer; used once."""

    def __init__(self, layer: Layer, mutex: threading.Lock, queries: Matrix, request: Request) -> None:
        super().__init__(layer, mutex, queries, request)
        self._seen: Masks | None = None
        self._copy: Copy | None = None
        self._subgraph: Subgraph | None = None
        self._key = "" if request.filter is None else key_of(request.filter)
        self._found: tuple[View, Passing] | None = None
        self._kept: dict[int, bool] = {}  # what `keep` said: slots are one version of one point, so that stands

    def run(self) -> tuple[list[Hits], dict[str, Any]]:
        """Hits of each query, and the plan as `explain` shows it."""
        layer = self._layer
        with self._mutex:
            labels, dead, live = layer.labels, layer.dead_labels, layer.table.live
            view = layer.table.view()
        masks = self._masks(view)
        matches = self._possible(view, live).points
        open_slots = 0 if masks.exact else matches - passing(view, live, masks.sure).points
        decided = open_slots <= planner.CHECK_AT_ONCE
        if decided and open_slots:
            matches = self._decided(view, live).points
        if masks.exact:
            self._find_kept(view, masks.sure, matches, live)
        plan, labels = self._choose(labels, dead, live, matches)
        self._plan = {
            "plan": plan.kind,
            "ef": plan.ef,
            "fetch": plan.fetch,
            "points": live,
            "matches": matches,
            "scanned": 0,
            "rounds": 1,
        }
        if not decided:
            self._plan["undecided"] = open_slots  # of `matches`, which are then those that may match
        if layer.payloads.opaque.count:
            self._plan["unindexed"] = layer.payloads.opaque.count  # dead ones too
        self._note_dimensions(plan)
        if plan.kind == "graph" and (self._subgraph is not None or layer.subgraphs.linking(self._key)):
            self._plan["subgraph"] = 0 if self._subgraph is None else labels
        if plan.kind == "empty":
            nothing = Hits([], np.empty(0, dtype=np.float32), [])
            return [nothing] * len(self._queries), self._plan
        if decided:
            self._search_decided(plan, labels)
        else:
            self._search_open(plan, labels)
        if self._kept:
            self._plan["checked"] = len(self._kept)
        return [hits for hits in self._hits if hits is not None], self._plan

    def _find_kept(self, view: View, mask: Mask, matches: int, live: int) -> None:
        """What is kept of the `matches` points in `mask`, for a filter that was asked before."""
        request, layer = self._request, self._layer
        if request.filter is None:
            return
        beam = planner.effective_ef(request.k, request.ef)
        projection = layer.projection if worth_projecting(matches) and not request.exact else None
        if planner.worth_copying(beam, live, matches, 1.0 if projection is None else projection.part):
            self._copy = layer.copies.get(self._key, view, mask, matches, projection)
        elif not request.exact and layer.graph is not None:
            self._subgraph = layer.subgraphs.ask(
                self._key,
                request.filter,
                beam=beam,
                points=live,
                matches=matches,
                linked_to=layer.linked_to,
                queries=len(self._queries),
            )

    def _choose(self, labels: int, dead: int, live: int, matches: int) -> tuple[planner.Plan, int]:
        """The plan, and the labels of the graph that it is for: the layer's has `labels`, of which `dead` are so."""
        request, points, margin = self._request, live, planner.FILTER_MARGIN
        live_labels = labels - dead
        if self._subgraph is not None:
            labels, points, margin = self._subgraph.graph.count, matches, planner.SUBGRAPH_MARGIN
            live_labels = min(labels, matches)
        plan = planner.choose_filtered(
            k=request.k,
            ef=request.ef,
            exact=request.exact,
            labels=labels,
            live_labels=live_labels,
            points=points,
            matches=matches,
            queries=len(self._queries),
            copied=self._copied(matches),
            least=self._least_beam(),
            margin=margin,
        )
        return plan, labels

    def _copied(self, matches: int) -> float | None:
        """See `planner.crossover`; a copy that holds not even half of the matches yet is none."""
        return None if self._copy is None or 2 * len(self._copy.slots) < matches else self._copy.part

    # --- which slots pass ---------------------------------------------------------------------------------------------

    def _masks(self, view: View) -> Masks:
        filter = self._request.filter
        if filter is None:
            return Masks(np.zeros(view.end, dtype=np.bool_), np.ones(view.end, dtype=np.bool_))
        if self._seen is None or len(self._seen.sure) != view.end:
            self._seen = self._layer.payloads.masks(filter, view.end, self._key)
        return self._seen

    def _possible(self, view: View, live: int) -> Passing:
        """The live slots that may pass."""
        if self._found is None or self._found[0][:2] != view[:2]:  # another end or moment
            self._found = view, self._layer.passing.get(self._key, view, live, self._masks(view).possible)
        return self._found[1]

    def _decided(self, view: View, live: int) -> Passing:
        """Exactly the live slots that pass."""
        if self._masks(view).exact:
            return self._possible(view, live)
        return passing(view, live, self._sure(view))

    def _sure(self, view: View) -> Mask:
        """Exactly the slots that pass, and some dead ones; what the index leaves open is asked."""
        masks = self._masks(view)
        if masks.exact:
            return masks.sure
        mask = masks.sure.copy()
        undecided = np.flatnonzero(masks.possible & ~masks.sure & view.alive_between(0, view.end))
        mask[undecided] = self._ask(view, undecided.tolist())
        return mask

    def _pass(self, view: View, slots: Slots) -> list[bool]:
        """Whether the points in `slots` pass; only those that the index leaves open are asked about."""
        masks = self._masks(view)
        verdicts: Mask = masks.sure[slots]
        undecided = np.flatnonzero(masks.possible[slots] & ~verdicts)
        if len(undecided):
            verdicts[undecided] = self._ask(view, slots[undecided].tolist())
        result: list[bool] = verdicts.tolist()
        return result

    def _ask(self, view: View, slots: list[int]) -> list[bool]:
        """What `keep` says of the points in `slots`; each is asked once."""
        unknown = [slot for slot in slots if slot not in self._kept]
        if unknown:
            keep = self._request.keep
            if keep is None:
                raise ValueError("a filter that the index cannot decide, and nothing to ask")
            verdicts = keep([view.ids[slot] for slot in unknown])
            self._kept.update(zip(unknown, verdicts, strict=True))
        return [self._kept[slot] for slot in slots]

    # --- all decided --------------------------------------------------------------------------------------------------

    def _search_decided(self, plan: planner.Plan, labels: int) -> None:
        k = self._request.k
        rows = np.arange(len(self._queries))
        while plan.kind == "graph" and len(rows):
            rows = np.concatenate([self._pick(plan, part) for part in self._turns(rows, plan)])
            if len(rows):
                fetch = planner.wider(fetch=plan.fetch, wanted=k, found=0, labels=labels)
                plan = planner.Plan("graph" if fetch else "exact", plan.ef, fetch)
                self._plan["rounds"] += 1
        if len(rows):
            self._plan["plan"] = "exact"
            with self._mutex:
                view = self._layer.table.view()
            found = self._scan_decided(view, self._queries[rows])
            self._plan["scanned"] = found.scanned
            self._finish_many(found, rows, np.ones(len(rows), dtype=np.bool_))

    def _pick(self, plan: planner.Plan, rows: Ints) -> Ints:
        """Finishes those of `rows` whose beam holds enough matches; returns the others."""
        k = self._request.k
        queries = self._queries if len(rows) == len(self._queries) else self._queries[rows]
        found = collect(self._layer, self._mutex, queries, plan, depth=k, wanted=self._decided, subgraph=self._subgraph)
        self._plan.update(scanned=found.scanned, fetch=plan.fetch)
        want, need = min(k, found.live), min(planner.enough(k, plan.ef), found.live)
        if not want:
            enough = np.ones(len(rows), dtype=np.bool_)
        elif found.slots.shape[1] < want:
            enough = np.zeros(len(rows), dtype=np.bool_)
        else:
            enough = (found.held >= need) & (found.ranks[:, want - 1] >= found.bound)
        return self._finish_many(found, rows, enough)

    def _scan_decided(self, view: View, queries: Matrix) -> Found:
        """Of the rows that pass: those below the copy's end as they lie together there, and the others one by one."""
        copy, k, metric = self._copy, self._request.k, self._metric
        rest = live_slots(view, self._sure(view), 0 if copy is None else copy.end)
        lists = scan(queries, blocks_of_slots(view.rows, rest), k, metric) if len(rest) or copy is None else []
        points = len(rest)
        if copy is not None:
            alive = copy.alive(view)
            points += len(copy.slots) if alive is None else int(np.count_nonzero(alive))
            if copy.projection is not None:
                self._plan["dimensions"] = copy.projection.width
            near = scan(copy.placed(queries), blocks_of_copy(copy.slots, copy.rows, alive), copy.reach(k), metric)
            lists = [np.concatenate(both) for both in zip(near, lists, strict=True)] if lists else near
        return collect_from(view, queries, lists, points, metric)

    # --- much left open -----------------------------------------------------------------------------------------------

    def _search_open(self, plan: planner.Plan, labels: int) -> None:
        rows = list(range(len(self._queries)))
        while plan.kind == "graph" and rows:
            found = collect(
                self._layer, self._mutex, self._queries[rows], plan, depth=plan.fetch, wanted=self._possible
            )
            self._plan.update(scanned=found.scanned, fetch=plan.fetch)
            seen = [self._walk(found, at) for at in range(len(rows))]
            for at, row in enumerate(rows):
                places, done = seen[at]
                if done:
                    slots, ranks = found.slots[at, places], found.ranks[at, places]
                    self._finish(row, found.view, *ordered(found.view, slots, ranks, self._request.k))
            open_rows = [at for at in range(len(rows)) if not seen[at][1]]
            scarcest = min((len(seen[at][0]) for at in open_rows), default=0)
            rows = [rows[at] for at in open_rows]
            fetch = planner.wider(fetch=plan.fetch, wanted=self._request.k, found=scarcest, labels=labels)
            plan = planner.Plan("graph" if fetch else "exact", plan.ef, fetch)
            self._plan["rounds"] += bool(rows)
        for row in rows:
            self._plan["plan"] = "exact"
            self._scan_open(row)

    def _walk(self, found: Found, at: int) -> tuple[list[int], bool]:
        """Places of the candidates of one query that pass, and whether that is final."""
        request = self._request
        sure = int(np.count_nonzero((found.ranks[at] >= found.bound[at]) & (found.slots[at] != NONE)))
        passed: list[int] = []
        place, chunk = 0, FIRST_KEEP
        while place < sure and len(passed) < request.k:
            end = min(sure, place + chunk)
            verdicts = self._pass(found.view, found.slots[at, place:end])
            passed.extend(place + i for i, verdict in enumerate(verdicts) if verdict)
            place, chunk = end, min(chunk * 2, LAST_KEEP)
        done = len(passed) >= request.k or bool(found.bound[at] == -np.inf)
        if not done and request.score_threshold is not None and sure:
            worst = scores(found.ranks[at, sure - 1 : sure], self._metric)
            done = not meets(self._metric, float(worst[0]), request.score_threshold)  # no better one can come
        return passed, done

    def _scan_open(self, row: int) -> None:
        """All points that may pass by rank, best first, until k have passed."""
        request, query = self._request, self._queries[row : row + 1]
        with self._mutex:
            view = self._layer.table.view()
        slots = live_slots(view, self._masks(view).possible)
        rough, margin = self._rough(view, slots, query)
        self._plan["scanned"] = len(slots)
        order = np.argsort(-rough, kind="stable")
        passed: list[int] = []
        place, chunk, floor = 0, FIRST_KEEP, -np.inf
        if request.score_threshold is not None:
            floor = self._rough_floor(query, request.score_threshold) - margin
        while place < len(order) and rough[order[place]] >= floor:
            part = order[place : place + chunk]
            for position, verdict in zip(part.tolist(), self._pass(view, slots[part]), strict=True):
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
        for block in blocks_of_slots(view.rows, slots):
            squares = squares_of(block.rows, self._metric)
            parts.append(ranks_of(query, block.rows, squares, self._metric)[:, 0])
            largest = max(largest, 1.0 if squares is None else float(squares.max()))
        return np.concatenate(parts), float(margins(query, largest, self._metric)[0])

    def _rough_floor(self, query: Matrix, threshold: float) -> float:
        """`score_threshold` on the scale of `ranks_of`."""
        if self._metric != "l2":
            return threshold
        return float(np.einsum("ij,ij->", query, query)) - max(threshold, 0.0) ** 2
