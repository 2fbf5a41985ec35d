"""A slot table with its payloads and its graph: which slots are linked, under which label, and which labels stand for a
live point.

Slots are linked in order, so the unlinked ones are a tail: `linked_to`..count. Equal vectors share one label, as copies
of one vector never prune each other and become a sink that spoils the search for everything else; a label is the number
of the first slot that brought it. Dead slots on the way are never linked.

Locking: changes of the table, `died`, `plan_link` and `finish_link` under the owner's mutex; whoever asks the graph or
reads postings shares the gate, whoever changes them has it alone. One thread links at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import xxhash

from vectron_p2p.index.canary import Canary
from vectron_p2p.index.copies import Copies
from vectron_p2p.index.gate import Gate
from vectron_p2p.index.hnsw import Graph, Labels
from vectron_p2p.index.passing import KeptPassing
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.index.projection import fit, sample_size
from vectron_p2p.index.slots import SlotTable
from vectron_p2p.index.subgraphs import Subgraphs
from vectron_p2p.index.twins import Twins
from vectron_p2p.query import planner

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from vectron_p2p.index.projection import Projection
    from vectron_p2p.index.slots import Ints
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.runtime import Crew

Int32s: TypeAlias = npt.NDArray[np.int32]

UNLINKED = -1
PRUNE_FROM = 8  # dead slots in one posting before it is worth a pass


class IndexOptions(NamedTuple):
    """What a collection fixed for its shards."""

    dimension: int
    metric: str
    m: int = 16
    ef_construction: int = 100


class Batch(NamedTuple):
    """One turn: slots that bring a new label, those that join one (slot, label), and where the tail begins next."""

    labels: Labels
    rows: Matrix
    hashes: list[int]
    joins: list[tuple[int, int]]
    end: int

    def first(self, labels: int) -> Batch:
        """What of it needs no more than its first labels."""
        if labels == len(self.labels):
            return self
        end = int(self.labels[labels])
        joins = [(slot, label) for slot, label in self.joins if slot < end]  # a label is older than what joins it
        return Batch(self.labels[:labels], self.rows[:labels], self.hashes[:labels], joins, end)


class Layer:
    """One generation of a shard's index; a rebuild makes the next one."""

    def __init__(self, options: IndexOptions, folder: Path | None, payloads: PayloadIndex | None = None) -> None:
        self.options = options
        self.table = SlotTable(options.dimension, folder)
        self.payloads = payloads or PayloadIndex()
        """Of all slots that are filled, before any view shows them."""
        self.copies = Copies(options.metric)
        self.passing = KeptPassing()
        self.subgraphs = Subgraphs()
        self.graph: Graph | None = None
        self.canary = Canary()
        self.gate = Gate()
        self.linked_to = 0
        self.linked_live = 0
        """Live slots that the graph answers for."""
        self.dead_labels = 0
        self.postings: dict[int, list[int]] = {}
        """Slots of a label that has had more than one."""
        self.has_posting = np.zeros(0, dtype=np.bool_)
        """By label, for a quick look at many."""
        self._twins = Twins()
        self._restored: Ints | None = None
        """Slots of a restored graph that are not among the twins yet: only linking needs them, an answer does not."""
        self._label_of: Int32s = np.zeros(0, dtype=np.int32)
        self._live_in: Int32s = np.zeros(0, dtype=np.int32)

    # --- what is linked -----------------------------------------------------------------------------------------------

    @property
    def labels(self) -> int:
        return self.graph.count if self.graph is not None else 0

    @property
    def projection(self) -> Projection | None:
        """Of the graph."""
        return None if self.graph is None else self.graph.projection

    @property
    def dimensions(self) -> int:
        """Of what the graph compares."""
        return self.options.dimension if self.graph is None else self.graph.width

    @property
    def unlinked(self) -> int:
        """Slots waiting to be linked; 0 while the shard is too small for a graph."""
        graph_wanted = self.graph is not None or self.table.live >= planner.GRAPH_FROM
        return self.table.count - self.linked_to if graph_wanted else 0

    @property
    def payload_bytes(self) -> int:
        """Memory of the payload index, and of what is kept for filters asked before."""
        return self.payloads.nbytes + self.copies.nbytes + self.passing.nbytes + self.subgraphs.nbytes

    def label_of(self, count: int) -> Int32s:
        """The labels of the first `count` slots (-1: not linked), copied."""
        self._reserve(count)
        return self._label_of[:count].copy()

    def died(self, slot: int) -> None:
        """A slot died in the table: its label may now stand for nothing."""
        if slot >= len(self._label_of):
            return
        label = int(self._label_of[slot])
        if label != UNLINKED:
            self.linked_live -= 1
            self._live_in[label] -= 1
            if not self._live_in[label]:
                self.dead_labels += 1

    def _reserve(self, slots: int) -> None:
        held = len(self._label_of)
        if slots > held:
            capacity = max(slots, 64, held * 3 // 2)
            self._label_of = np.concatenate([self._label_of, np.full(capacity - held, UNLINKED, dtype=np.int32)])
            self._live_in = np.concatenate([self._live_in, np.zeros(capacity - held, dtype=np.int32)])
            self.has_posting = np.concatenate([self.has_posting, np.zeros(capacity - held, dtype=np.bool_)])

    # --- linking ------------------------------------------------------------------------------------------------------

    @property
    def strained(self) -> bool:
        """Whether the graph's projection has become one for other vectors than those it holds."""
        return self.projection is not None and self.projection.strained

    def settle(self) -> None:
        """All is linked that the projection was made for."""
        if self.projection is not None:
            self.projection.settle()

    def open_graph(self) -> Graph:
        if self.graph is None:
            options = self.options
            projection = fit(self._sample(), options.metric)
            self.graph = Graph(options.dimension, options.metric, options.m, options.ef_construction, projection)
        return self.graph

    def _sample(self) -> Matrix:
        """Vectors from everywhere among the live ones. Rows stay as they were written, so no lock is needed."""
        table = self.table
        alive = np.flatnonzero(table.alive_between(0, table.count))
        size = min(len(alive), sample_size(self.options.dimension))
        return table.rows[alive[np.linspace(0, len(alive) - 1, size).astype(np.int64)]]

    def plan_link(self, points: int) -> Batch:
        """The next turn: up to `points` new labels, and whatever equal vectors lie between."""
        table, rows = self.table, self.table.rows
        labels: list[int] = []
        hashes: list[int] = []
        joins: list[tuple[int, int]] = []
        fresh: dict[int, int] = {}
        end = min(table.count, self.linked_to + 64 * points)  # a bound on the dead passed over
        waiting = np.flatnonzero(table.alive_between(self.linked_to, end)) + self.linked_to
        at = 0
        while at < len(waiting) and len(labels) < points:
            slots = waiting[at : at + points - len(labels)].tolist()  # equal ones among them leave room for more
            at += len(slots)
            keys = [xxhash.xxh3_64_intdigest(rows[slot]) for slot in slots]
            for slot, key, known in zip(slots, keys, self._twins.get(keys), strict=True):
                twin = fresh.get(key, known)
                if twin != UNLINKED and np.array_equal(rows[twin], rows[slot]):
                    joins.append((slot, twin if twin >= self.linked_to else int(self._label_of[twin])))
                else:
                    fresh.setdefault(key, slot)
                    labels.append(slot)
                    hashes.append(key)
        if at < len(waiting):
            end = int(waiting[at])
        chosen = np.asarray(labels, dtype=np.int64)
        return Batch(chosen, np.ascontiguousarray(rows[chosen]), hashes, joins, end)

    def finish_link(self, batch: Batch) -> None:
        """After `Graph.add` of the batch: its slots are answered for by the graph from now on."""
        self._reserve(self.table.count)
        labels = batch.labels
        alive = self.table.alive(labels)  # some may have died since the batch was planned
        count = int(np.count_nonzero(alive))
        self._label_of[labels] = labels
        self._live_in[labels] += alive
        self.linked_live += count
        self.dead_labels += len(labels) - count
        self._twins.add(batch.hashes, labels.tolist())
        for slot, label in batch.joins:
            self._join(slot, label)
        self.linked_to = batch.end

    def _join(self, slot: int, label: int) -> None:
        if not self.table.is_alive(slot):  # it died since the batch was planned
            return
        self._label_of[slot] = label
        self.dead_labels -= not self._live_in[label]
        self._live_in[label] += 1
        self.linked_live += 1
        self._post(slot, label)

    def _post(self, slot: int, label: int) -> None:
        posting = self.postings.get(label)
        if posting is None:
            posting = self.postings[label] = [label]
            self.has_posting[label] = True
        posting.append(slot)
        if len(posting) > 2 * int(self._live_in[label]) + PRUNE_FROM:  # nobody searches now, so no view needs the dead
            posting[:] = [member for member in posting if self.table.is_alive(member)]

    def link(self, points: int, at_once: int, crew: Crew, mutex: threading.Lock) -> None:
        """One turn of up to `points` points, alone at the gate. Who comes to it meanwhile waits for as long as hnswlib
        takes for `at_once` of them: the turn ends then, and what is left comes in the next one.
        """
        graph = self.open_graph()
        if self._restored is not None:
            rows, slots = self.table.rows, self._restored  # rows stay, also of slots that died since
            self._twins.fill([xxhash.xxh3_64_intdigest(rows[slot]) for slot in slots.tolist()], slots)
            self._restored = None
        self._twins.settle()
        with mutex:
            batch = self.plan_link(points)
        batch = batch._replace(rows=graph.place(batch.rows))
        with self.gate.alone():
            if graph.needs_growth(len(batch.labels)):
                graph.grow(len(batch.labels))
            if len(batch.labels):
                portion = max(1, at_once // crew.size)
                batch = batch.first(
                    graph.add_while(batch.labels, batch.rows, crew, portion, lambda: not self.gate.wanted)
                )
            with mutex:
                self.finish_link(batch)

    # --- restoring ----------------------------------------------------------------------------------------------------

    def adopt(self, graph: Graph, label_of: Int32s, canary: Canary) -> None:
        """A restored graph: slots 0..len(label_of) exist in the table already, alive where a row was found for them."""
        count = len(label_of)
        self.graph, self.canary = graph, canary
        self._reserve(max(count, self.table.count))
        self._label_of[:count] = label_of
        self.linked_to = count
        alive = self.table.alive_between(0, count)
        slots = np.flatnonzero(alive & (label_of != UNLINKED))
        labels = label_of[slots]
        self._live_in += np.bincount(labels, minlength=len(self._live_in)).astype(np.int32)
        self.linked_live = len(slots)
        self.dead_labels = graph.count - int(np.count_nonzero(self._live_in))
        self._restored = slots
        for slot, label in zip(slots[slots != labels].tolist(), labels[slots != labels].tolist(), strict=True):
            self._post(slot, label)
