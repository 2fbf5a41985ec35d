"""The graph of the points that one filter keeps, following the layer's graph.

Must not know whether it is worth its memory. Invariant: a live point that passes the filter and whose slot lies below
`reach` is in it, by the label that it has in the layer's graph; whoever searches it scans those behind.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.index.copies import live_slots

if TYPE_CHECKING:
    import threading

    from vectron_p2p.index.gate import Gate
    from vectron_p2p.index.hnsw import Graph, Labels
    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.slots import Mask
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.runtime import Crew

WINDOW = 4  # times the points wanted: slots looked at for them, as equal vectors bring one label


class Subgraph:
    """Of one filter, known by `key`."""

    def __init__(self, filter: Filter, key: str, graph: Graph) -> None:
        self.filter = filter
        self.key = key
        self.graph = graph
        self.reach = 0
        self.asked = False
        """Since it was given points last. One that nobody asks need not follow, however busy its node is."""
        self.worn = False
        """Whether most of it is dead."""
        self._members: Mask = np.zeros(0, dtype=np.bool_)
        """By label."""

    def link(
        self, layer: Layer, mutex: threading.Lock, points: int, at_once: int, crew: Crew, *, searched: bool
    ) -> bool | None:
        """Link up to `points` of what it lacks; whether it lacks nothing now. None: the payload index cannot tell.

        `searched`: searches may hold it. One that comes waits for as long as `at_once` points take.
        """
        with mutex:
            view, linked_to = layer.table.view(), layer.linked_to
            label_of = layer.label_of(linked_to)
        masks = layer.payloads.masks(self.filter, linked_to, self.key)
        if not masks.exact:
            return None
        slots = live_slots(view, masks.sure, self.reach)
        end = linked_to
        if len(slots) > WINDOW * points:
            end, slots = int(slots[WINDOW * points]), slots[: WINDOW * points]
        self._reserve(linked_to)
        labels = label_of[slots].astype(np.int64)
        fresh = np.sort(np.unique(labels, return_index=True)[1])  # one slot of each label
        fresh = fresh[~self._members[labels[fresh]]]
        if len(fresh) > points:
            end, fresh = int(slots[fresh[points]]), fresh[:points]
        slots, labels = slots[fresh], labels[fresh]
        rows = view.rows[slots]  # not those of the labels: after a start the slots of dead ones are empty
        if self.graph.projection is not None:
            rows = self.graph.projection.copy(rows, layer.options.metric)
        with layer.gate.alone() if searched else nullcontext():
            added = self._add(labels, rows, max(1, at_once // crew.size), crew, layer.gate if searched else None)
            self.reach = end if added == len(labels) else int(slots[added])
        return self.reach == linked_to

    def _add(self, labels: Labels, rows: Matrix, portion: int, crew: Crew, gate: Gate | None) -> int:
        """How many were; fewer than all if somebody waits at the gate."""
        if not len(labels):
            return 0
        if self.graph.needs_growth(len(labels)):
            self.graph.grow(len(labels))
        added = self.graph.add_while(labels, rows, crew, portion, lambda: gate is None or not gate.wanted)
        self._members[labels[:added]] = True
        return added

    def _reserve(self, labels: int) -> None:
        lacking = labels - len(self._members)
        if lacking > 0:
            self._members = np.concatenate([self._members, np.zeros(lacking, dtype=np.bool_)])
