"""The index of one shard replica: what writes tell, what searches ask, and the upkeep in between.

Invariants: a row given to `apply` is in every search that starts after `apply` returned, and what it replaced is in
none; no search waits for more than one exclusive turn (`link_turn`, a graph's growth, the moment of a fork). Every
method may be called from any thread and may block: not from an event loop. `load` comes first and alone.

Locks, in the order they are taken: upkeep, the backlog's, a layer's gate, mutex. The mutex is held for copying a batch
at most.
"""

from __future__ import annotations

import itertools
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vectron_p2p.index import canary, snapshot, wear
from vectron_p2p.index.filtered import FilteredSearcher
from vectron_p2p.index.layer import IndexOptions, Layer
from vectron_p2p.index.locality import like_by_like
from vectron_p2p.index.matches import Matches
from vectron_p2p.index.payload.backlog import Backlog
from vectron_p2p.index.payload.census import census
from vectron_p2p.index.payload.extract import extract
from vectron_p2p.index.payload.order import next_in_order
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.index.rebuild import Rebuild
from vectron_p2p.index.restore import LoadReport, Restore
from vectron_p2p.index.search import Hits, Request, Searcher
from vectron_p2p.index.turns import CALM_TURN, Turns
from vectron_p2p.query.scoring import prepare, stack_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vectron_p2p.index.payload.budget import Budget
    from vectron_p2p.index.payload.order import InOrder
    from vectron_p2p.index.payload.payload_index import Wanted
    from vectron_p2p.index.search import Keep
    from vectron_p2p.index.slots import RowLike, View
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.query.ordering import Order, Position
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.runtime import Crew

QUERY_CHUNK = 64  # queries planned and scored together; more save little and take memory

_lives = itertools.count(1)


class ShardIndex:
    """See the module."""

    def __init__(
        self,
        options: IndexOptions,
        folder: Path | None,
        *,
        link_threads: Crew,
        payload_index: Wanted = True,
        budget: Budget | None = None,
    ) -> None:
        """`folder` holds mapped vectors and the graph snapshot; None keeps all in memory and saves nothing.

        `payload_index`: the payload fields that are indexed, within `budget`.
        """
        self.options = options
        self._fresh_payloads = partial(PayloadIndex, payload_index, budget)
        self._folder = folder
        self._crew = link_threads
        self._mutex = threading.Lock()
        self._upkeep = threading.Lock()
        self._layer = Layer(options, folder, self._fresh_payloads())
        self._backlog = Backlog()
        self._rebuild: Rebuild | None = None
        self._saved_to = 0
        self._closed = False
        self.revision = (next(_lives), 0)
        """Which index this is of all in the process, and how often `apply` has changed it: equal means equal rows."""
        self._turns = Turns(options)

    # --- figures ------------------------------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """Points."""
        return self._layer.table.live

    @property
    def linked(self) -> int:
        """Points that the graph answers for."""
        return self._layer.linked_live

    @property
    def unlinked(self) -> int:
        """Slots waiting to be linked; 0 while the shard is too small for a graph."""
        return 0 if self._closed else self._layer.unlinked

    @property
    def traffic(self) -> tuple[int, int]:
        """Slots filled and searches begun, so far."""
        return self._layer.table.count, self._layer.gate.shared_entries

    @property
    def garbage(self) -> int:
        """Labels in the graph that stand for no point any more."""
        return self._layer.dead_labels

    @property
    def payload_bytes(self) -> int:
        """Memory of the payload index, and of what is kept for filters asked before."""
        return self._layer.payload_bytes

    @property
    def payload_unindexed(self) -> int:
        """Points that the payload index had no room for: filters read them."""
        layer, view, _ = self._now()
        slots = layer.payloads.opaque.between(0, view.end)[0]
        return int(np.count_nonzero(view.alive(slots.astype(np.int64))))

    def census(self) -> PayloadFields | None:
        """Of the payload fields; None until payloads are indexed after a start."""
        if not self._backlog.done:
            return None
        layer, view, points = self._now()
        return census(layer.payloads, view, points)

    def _now(self) -> tuple[Layer, View, int]:
        """What answers at present, its slots and how many points they are."""
        with self._mutex:
            return self._layer, self._layer.table.view(), self._layer.table.live

    @property
    def unsaved(self) -> int:
        """Slots linked since the last snapshot."""
        return self._layer.linked_to - self._saved_to

    @property
    def calm(self) -> bool:
        """Whether a search would wait for no lock now, and for a while, as nothing is to be linked or rebuilt."""
        return not (self.unlinked or self._rebuild or self._mutex.locked()) and self._layer.gate.open

    @property
    def needs_rebuild(self) -> bool:
        """Whether a rebuild is worth its work, or under way."""
        return not self._closed and (self._rebuild is not None or wear.is_worn(self._layer))

    @property
    def look_due(self) -> bool:
        """Whether the graph has changed so much that `look` may find something."""
        return self._layer.canary.due(self._layer.labels) and not self._closed

    @property
    def subgraphs_due(self) -> bool:
        """Whether a filter's own graph lacks points, or one has been earned and nothing else has to be linked."""
        layer = self._layer
        return not self._closed and layer.subgraphs.due(layer, follow=self._busy)

    @property
    def _busy(self) -> bool:
        return self.unlinked > 0 or self.needs_rebuild

    @property
    def rebuild_urgent(self) -> bool:
        """Whether there is so much garbage that a rebuild cannot wait for calm."""
        return not self._closed and wear.is_urgent(self._layer)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[RowLike]) -> LoadReport:
        """Fill an empty index with all rows of the store, restoring the graph from its snapshot where they match.

        Payloads are indexed later: see `index_payloads`.
        """
        restore = Restore(self._layer, self._backlog, self._folder, partial(self._fill, loading=True), self._matrix)
        report = restore.run(rows)
        self._saved_to = self._layer.linked_to
        return report

    def _matrix(self, rows: Sequence[RowLike]) -> Matrix:
        vectors = [row.vector for row in rows if row.vector is not None]
        return prepare(stack_bytes(vectors, self.options.dimension), self.options.metric)

    def apply(self, rows: Sequence[RowLike]) -> None:
        """Take over rows that the store has just made current, in the store's order; tombstones (vector None) remove.

        A row not newer than the live one held is left out, so a repeat does no harm. `revision` is raised before this
        returns, also when it fails.

        Raises:
            OSError: No room for the mapped vectors; nothing was applied.
        """
        try:
            self._fill(rows)
        finally:
            with self._mutex:  # two that end together are two
                life, changes = self.revision
                self.revision = life, changes + 1

    def _fill(self, rows: Sequence[RowLike], *, loading: bool = False) -> None:
        """`loading`: payloads are indexed after the start."""
        filled = [row for row in rows if row.vector is not None]
        matrix = self._matrix(filled)
        order = like_by_like(matrix)
        if order is not None:  # versions decide between rows of one point, wherever they stand
            filled, matrix = [filled[place] for place in order.tolist()], matrix[order]
            rows = [*(row for row in rows if row.vector is None), *filled]
        places = {id(row): place for place, row in enumerate(filled)}
        packed = [row.payload for row in filled]
        terms = None if loading else extract(packed)
        with self._mutex:
            layer, table = self._layer, self._layer.table
            current: dict[PointId, RowLike] = {}
            for row in rows:
                before = current.get(row.id)
                held = before.version if before is not None else table.version_of(row.id)
                if held is None or row.version > held:
                    current[row.id] = row
            table.reserve(len(current))
            table.next_moment()
            for point in current:
                slot = table.remove(point)
                if slot is not None:
                    layer.died(slot)
            first = table.count
            written = [row for row in current.values() if row.vector is not None]
            table.append(
                [row.id for row in written],
                [row.version for row in written],
                matrix if len(written) == len(filled) == len(rows) else matrix[[places[id(row)] for row in written]],
            )
            slots = np.full(len(filled), -1, dtype=np.int32)
            slots[[places[id(row)] for row in written]] = np.arange(first, first + len(written), dtype=np.int32)
            if terms is None:
                self._backlog.put(layer.payloads, slots, packed)
            else:
                layer.payloads.add(terms, slots)
            if self._rebuild is not None:
                self._rebuild.touch(current)

    # --- searches -----------------------------------------------------------------------------------------------------

    def search(
        self,
        queries: Matrix,
        *,
        k: int,
        ef: int | None = None,
        exact: bool = False,
        filter: Filter | None = None,
        keep: Keep | None = None,
        score_threshold: float | None = None,
    ) -> tuple[list[Hits], dict[str, Any]]:
        """The k best points for each query (checked, as written), and the plan of the first of them for `explain`.

        `keep` says for each of some ids whether it passes `filter` (or any other), where the index leaves that open;
        it is asked in chunks, outside of all locks.
        """
        if filter is not None or keep is not None:
            self._finish_payloads()
        prepared = prepare(np.ascontiguousarray(queries, dtype=np.float32), self.options.metric)
        request = Request(k, ef, exact, filter, keep, score_threshold)
        searcher = Searcher if filter is None and keep is None else FilteredSearcher
        hits: list[Hits] = []
        plan: dict[str, Any] = {}
        for at in range(0, len(prepared), QUERY_CHUNK):
            found, used = searcher(self._layer, self._mutex, prepared[at : at + QUERY_CHUNK], request).run()
            hits.extend(found)
            plan = plan or used
        return hits, plan

    def matches(self, filter: Filter) -> Matches:
        """The points that pass `filter`, as far as the index can tell."""
        self._finish_payloads()
        layer, view, points = self._now()
        return Matches(view, points, layer.payloads.masks(filter, view.end))

    def in_order(self, order: Order, after: Position | None, limit: int, filter: Filter) -> InOrder | None:
        """See `next_in_order`."""
        self._finish_payloads()
        layer, view, _ = self._now()
        return next_in_order(layer.payloads, view, layer.payloads.masks(filter, view.end), order, after, limit)

    def _finish_payloads(self) -> None:
        """After a start the first who asks for payloads waits until they are indexed: about 6 µs a row."""
        self._backlog.finish(self._layer.payloads, self._mutex)

    # --- upkeep -------------------------------------------------------------------------------------------------------

    @property
    def payloads_wait(self) -> bool:
        """Whether payloads that a start has read are still to be indexed."""
        return not self._backlog.done and not self._closed

    def index_payloads(self) -> None:
        """Index a portion of them; searches and writes go on meanwhile, filters wait."""
        with self._upkeep:
            if self.payloads_wait:
                self._backlog.work(self._layer.payloads, self._mutex)

    def link_turn(self, points: int | None = None) -> int:
        """Link a few points in one short exclusive turn; returns how many slots wait still."""
        with self._upkeep:
            if self._closed or not self.unlinked:
                return 0
            layer = self._layer
            self._turns.dimensions = layer.dimensions
            turn = points or self._turns.next(layer.gate.shared_entries)
            layer.link(turn, points or self._turns.aside, self._crew, self._mutex)
            return self.unlinked

    def subgraph_turn(self) -> None:
        """Link a portion of a filter's own graph. Searches go on; they wait for a short turn if it is one that they
        ask.
        """
        with self._upkeep:
            if not self._closed:
                layer, at_once = self._layer, self._turns.aside
                layer.subgraphs.work(layer, self._mutex, CALM_TURN, at_once, self._crew, follow=self._busy)

    def look(self) -> bool:
        """Ask the graph for some of its own points; whether it has lost so many that a rebuild is due."""
        with self._upkeep:
            return canary.look(self._layer, self._mutex)

    def rebuild_turn(self) -> bool:
        """Go on with building a new layer of the live points aside; the first call begins. True when it was swapped in.

        Searches and writes go on meanwhile.
        """
        with self._upkeep:
            if self._closed:
                return True
            if self._rebuild is None:
                self._finish_payloads()
                fresh = Layer(self.options, self._folder, self._fresh_payloads())
                with self._mutex:
                    self._rebuild = Rebuild(self._layer, fresh, self._mutex, self._turns.aside, self._crew)
            if not self._rebuild.step():
                return False
            with self._mutex:
                self._rebuild.finish()
                self._layer = self._rebuild.new  # searches that began on the old one end on it
                self._rebuild = None
            self._saved_to = 0
            return True

    def save(self) -> bool:
        """Write a snapshot of the graph, in a forked child where that is safe; False: nothing to save, or it failed.

        Searches and writes go on, but for the moment of the fork.

        Raises:
            OSError: The disk refused; the snapshot before is still there.
        """
        with self._upkeep:
            if self._closed or self._folder is None:
                return False
            saved_to = snapshot.save(self._layer, self._mutex, self._folder)
            self._saved_to = max(self._saved_to, saved_to)
            return saved_to > 0

    def close(self) -> None:
        """No more upkeep; waits for the turn or save that runs. Searches that run end well."""
        with self._upkeep:
            self._closed = True
