"""Raw hnswlib in this process: the measure of all speeds. Never used by a node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hnswlib
import numpy as np

if TYPE_CHECKING:
    from vectron_p2p.bench.data import Data, Matrix, Rows

SEED = 100  # of the level generator, as hnswlib's own default


class Raw:
    """A graph of all points, built with one `add_items` on `threads` threads."""

    def __init__(self, data: Data, *, m: int, ef_construction: int, threads: int) -> None:
        self._threads = threads
        self._graph = hnswlib.Index("cosine", data.dimension)
        self._graph.init_index(len(data.vectors), M=m, ef_construction=ef_construction, random_seed=SEED)
        started = time.perf_counter()
        self._graph.add_items(data.vectors, np.arange(len(data.vectors)), num_threads=threads)
        self.build_rate = len(data.vectors) / (time.perf_counter() - started)
        """Points per second."""
        self.cpu_us = 0.0
        """CPU time of the last batch, per query."""

    def batch(self, queries: Matrix, k: int, ef: int) -> tuple[float, Rows]:
        """Queries per second of one call for all of them, and what it found."""
        self._graph.set_ef(ef)
        started, spent = time.perf_counter(), time.process_time()
        labels, _ = self._graph.knn_query(queries, k=k, num_threads=self._threads)
        self.cpu_us = (time.process_time() - spent) * 1e6 / len(queries)
        return len(queries) / (time.perf_counter() - started), labels.astype(np.int32)

    def serial(self, queries: Matrix, k: int, ef: int, seconds: float) -> list[float]:
        """Seconds of each call, one query after another, while there is time."""
        self._graph.set_ef(ef)
        end = time.perf_counter() + seconds
        taken = []
        for row in range(len(queries)):
            before = time.perf_counter()
            self._graph.knn_query(queries[row : row + 1], k=k, num_threads=1)
            after = time.perf_counter()
            taken.append(after - before)
            if after > end:
                break
        return taken
