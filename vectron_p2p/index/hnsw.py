"""The HNSW graph: the one file that knows hnswlib, and what is unsafe in it.

Rules it keeps (each was measured): every label is new, labels are never deleted or reused; the beam of a query is its
`k`, as `ef` is global; queries run on one thread of theirs; a query that cannot fill its answer raises there, which
never leaves here; an index without elements is never asked. It may hold a projection of the vectors instead of them.
Callers see to it that nothing else runs during `add`, `grow` and `save` (`Gate`), that vectors are finite, and that a
file to load was written by `save` and checked.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeAlias

import hnswlib
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vectron_p2p.index.projection import Projection
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.runtime import Crew

Labels: TypeAlias = npt.NDArray[np.int64]

SEED = 100  # of the level generator: with one thread, equal inserts give equal graphs
LEAST_PORTION = 4  # points: a millisecond; the interpreter lock is asked for after each
FIRST_CAPACITY = 4_096  # an element not yet used costs about 50 bytes
ELEMENT_BYTES = 120  # beside vector and links: label, lock, level, lists of visits, upper links, place in a hash table
NONE = -1
SLACK = 2  # labels beyond the wanted ones: sums are rounded differently here


class Graph:
    """Labels and vectors (prepared: normalised under cosine). Cosine and dot are both searched as inner product."""

    def __init__(
        self,
        dimension: int,
        metric: str,
        m: int,
        ef_construction: int,
        projection: Projection | None = None,
        capacity: int = FIRST_CAPACITY,
    ) -> None:
        """`capacity`: labels that it has room for before it grows."""
        self.projection = projection
        self.width = dimension if projection is None else projection.width
        """Dimensions of what is compared."""
        self._metric = metric
        self._m = m
        self._space = "l2" if metric == "l2" else "ip"
        self._index = hnswlib.Index(space=self._space, dim=self.width)
        self._index.init_index(capacity, M=m, ef_construction=ef_construction, random_seed=SEED)
        self._index.set_ef(1)
        self.count = 0

    @classmethod
    def load(
        cls,
        path: Path,
        dimension: int,
        metric: str,
        m: int,
        ef_construction: int,
        count: int,
        projection: Projection | None = None,
    ) -> Graph:
        """The graph that `save` wrote, with room to grow."""
        graph = cls(dimension, metric, m, ef_construction, projection)
        graph._index = hnswlib.Index(space=graph._space, dim=graph.width)
        graph._index.load_index(str(path), max_elements=max(FIRST_CAPACITY, count * 3 // 2))
        graph._index.set_ef(1)  # loading sets it anew
        graph._recount()
        return graph

    @property
    def capacity(self) -> int:
        return int(self._index.get_max_elements())

    @property
    def element_bytes(self) -> int:
        """Memory that one label takes: vector, links, and what hnswlib and the allocator keep about it."""
        return 4 * self.width + 8 * self._m + ELEMENT_BYTES

    @property
    def nbytes(self) -> int:
        """Memory, once it is full."""
        return self.capacity * self.element_bytes

    def needs_growth(self, more: int) -> bool:
        return self.count + more > self.capacity

    def grow(self, more: int) -> None:
        """Room for `more` labels. Exclusive."""
        self._index.resize_index(max(self.count + more, self.capacity * 3 // 2))

    def place(self, rows: Matrix) -> Matrix:
        """`rows` as `add` takes them. Not exclusive: searches need not wait for it."""
        return rows if self.projection is None else self.projection.place(rows, self._metric)

    def add(self, labels: Labels, rows: Matrix, threads: int) -> None:
        """Insert new labels; there is room for them. Exclusive. After a failure the same may be tried again."""
        try:
            self._index.add_items(rows, labels, num_threads=threads)
        finally:
            self._recount()

    def add_while(self, labels: Labels, rows: Matrix, crew: Crew, portion: int, go_on: Callable[[], bool]) -> int:
        """As `add`, in portions of at most `portion`, as long as `go_on`, which is asked before each but every thread's
        first; how many of `labels`, from the first on, were inserted.

        Inserts may run side by side while their labels differ; the first of all is made under the interpreter lock.
        """
        if len(labels) <= portion * crew.size:
            self.add(labels, rows, crew.size)
            return len(labels)
        portions = iter(_portions(len(labels), portion, crew.size))  # each taken by one thread, in order
        ends: list[int] = []

        def work() -> None:
            for start, end in portions:
                self._index.add_items(rows[start:end], labels[start:end], num_threads=1)
                ends.append(end)
                if not go_on():
                    return

        try:
            crew.run(work)
        finally:
            self._recount()
        return max(ends)  # all before was taken earlier, and who takes a portion ends it

    def _recount(self) -> None:
        """Also of what was inserted before a failure: it takes room."""
        self.count = int(self._index.get_current_count())

    def search(self, queries: Matrix, fetch: int) -> Labels:
        """The `fetch` labels found nearest to each query with a beam of `fetch`, best first; -1 in unfilled places.

        Without their distances, which are rounded in other ways than scores are, or those of projections.
        """
        if self.projection is not None:
            queries = self.projection.of(queries)
        if self.count and len(queries):
            try:
                return self._query(queries, min(fetch, self.count))
            except RuntimeError:  # one query could not be filled, and the whole batch is lost
                pass
        labels = np.full((len(queries), fetch), NONE, dtype=np.int64)
        for row in range(len(queries) if self.count else 0):
            found = self._query_one(queries[row : row + 1], min(fetch, self.count))
            if found is not None:
                labels[row, : found.shape[1]] = found[0]
        return labels

    def _query_one(self, query: Matrix, fetch: int) -> Labels | None:
        for attempt in (fetch, max(1, fetch // 2)):
            try:
                return self._query(query, attempt)
            except RuntimeError:
                continue  # too few reachable from where this beam went; the caller scans if half does not do either
        return None

    def _query(self, queries: Matrix, fetch: int) -> Labels:
        labels: Labels = self._index.knn_query(queries, k=fetch, num_threads=1)[0].view(np.int64)
        return labels

    def reach(self, depth: int) -> int:
        """How many of the labels found have to be ranked by whole vectors to know the best `depth`."""
        return depth + SLACK if self.projection is None else self.projection.reach(depth)

    def save(self, path: Path) -> None:
        """Write to `path`; not synced. Holds the interpreter lock throughout: for a forked child. Exclusive."""
        self._index.save_index(str(path))


def _portions(count: int, most: int, threads: int) -> list[tuple[int, int]]:
    """`count` labels cut up: smaller ones towards the end, so that no thread waits long for another's last."""
    cuts = [0]
    while cuts[-1] < count:
        left = count - cuts[-1]
        cuts.append(cuts[-1] + min(left, most, max(LEAST_PORTION, left // (2 * threads))))
    return list(itertools.pairwise(cuts))
