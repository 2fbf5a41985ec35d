"""Whether a graph still finds its own points: asked with the very vector of one, it has to answer with that point.

Nothing known makes a graph of fresh labels lose points, and hnswlib would not tell: what a loss costs is recall, in
silence. So a sample is looked up now and then, and a graph that found its points once and does not any more is built
anew. Owns what is looked up and what follows from it; must not know when. Invariant: only a graph that has passed a
look can drop, so data that no graph serves well (products of vectors of very different lengths, where a point is not
nearest to itself) never calls for one rebuild after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import threading

    from vectron_p2p.index.layer import Layer

SAMPLE = (
    256  # points: about 40 ms of one thread among 100,000 x 384, shared with searches; a loss of 5 % misses 13 of them
)
BEAM = 64  # with it, sound graphs of 2,000 to 100,000 sentences, clusters or random vectors find 0.996 to 1 of them
PASSED, DROPPED = 0.99, 0.95  # of the sample: a graph is sound from here on, and has lost points from there
GROWTH = 0.1  # of the labels, after which a look may find something new: what is not linked to does not change
GROWTH_FLOOR = 1_000


class Canary:
    """What the looks at one graph have found."""

    def __init__(self, *, passed: bool = False) -> None:
        self.passed = passed
        """Whether it has found its points once."""
        self.found = 1.0
        """The share of the sample that the last look found."""
        self._labels = 0

    @property
    def dropped(self) -> bool:
        """Whether the graph has lost points that one built anew would find."""
        return self.passed and self.found < DROPPED

    def due(self, labels: int) -> bool:
        """Whether a graph of so many labels has grown enough since the last look."""
        return labels - self._labels >= GROWTH * self._labels + GROWTH_FLOOR

    def saw(self, found: float, labels: int) -> None:
        self.found, self._labels = found, labels
        self.passed = self.passed or found >= PASSED


def look(layer: Layer, mutex: threading.Lock) -> bool:
    """Look up points from everywhere in the graph; whether it has lost some. Nobody links meanwhile; searches go on."""
    graph = layer.graph
    if graph is None:
        return False
    with mutex:
        label_of = layer.label_of(layer.linked_to)
        alive = layer.table.alive_between(0, layer.linked_to)
    slots = np.flatnonzero(alive & (label_of >= 0))
    if not len(slots):
        return False
    chosen = slots[np.linspace(0, len(slots) - 1, min(len(slots), SAMPLE)).astype(np.int64)]
    rows = layer.table.rows[chosen]  # they stay as they were written, also if they die now
    with layer.gate.shared():
        labels = graph.search(rows, BEAM)
    layer.canary.saw(float(np.mean((labels == label_of[chosen][:, np.newaxis]).any(axis=1))), graph.count)
    return layer.canary.dropped
