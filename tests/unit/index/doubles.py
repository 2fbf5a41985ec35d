"""Rows, data, executors and a clock for the tests of the index."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
import trio

from vectron_p2p.index import copies
from vectron_p2p.index.hnsw import Graph
from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId, encode_point_id
from vectron_p2p.query.scoring import Matrix, score_rows
from vectron_p2p.runtime.crew import ThreadCrew
from vectron_p2p.testing.executor import StartsTasks


class Row(NamedTuple):
    id: PointId
    version: bytes
    vector: bytes | None
    payload: bytes | None


def version(stamp: int) -> bytes:
    return stamp.to_bytes(8, "big") + bytes(32)


def row(point: PointId, stamp: int, vector: Any, payload: dict[str, Any] | None = None) -> Row:
    if vector is None:
        return Row(point, version(stamp), None, None)
    return Row(point, version(stamp), np.asarray(vector, dtype="<f4").tobytes(), msgpack.packb(payload or {}))


def rows(matrix: Matrix, *, stamp: int = 1, first: int = 0) -> list[Row]:
    return [row(first + i, stamp, vector) for i, vector in enumerate(matrix)]


def clustered(count: int, dimension: int, *, seed: int = 7, clusters: int = 40) -> Matrix:
    """Vectors as embeddings are: in clusters. Equal for equal arguments."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dimension))
    points = centres[rng.integers(0, clusters, count)] + 0.6 * rng.normal(size=(count, dimension))
    return points.astype(np.float32)


def make(dimension: int, metric: str = "cosine", folder: Any = None, **options: int) -> ShardIndex:
    return ShardIndex(IndexOptions(dimension, metric, **options), folder, link_threads=ThreadCrew(1))


def link_all(index: ShardIndex) -> None:
    while index.link_turn(256):
        pass


def forbid_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter asked again is searched as it is the first time."""
    monkeypatch.setattr(copies, "LEAST_BYTES", 0)
    monkeypatch.setattr(copies, "SHARE", 1 << 40)


def spoil(index: ShardIndex, share: float) -> None:
    """Puts a graph in place that has other vectors under some of its labels, so that their points are not found."""
    layer = index._layer
    graph = Graph(layer.options.dimension, layer.options.metric, layer.options.m, layer.options.ef_construction)
    labels = np.unique(layer.label_of(layer.linked_to))
    wanted = layer.table.rows[labels].copy()
    wrong = np.linspace(0, len(labels) - 1, int(share * len(labels))).astype(np.int64)
    wanted[wrong] = wanted[wrong[::-1]]
    graph.grow(len(labels))
    graph.add(labels.astype(np.int64), wanted, 1)
    layer.graph = graph


def rebuild_all(index: ShardIndex) -> None:
    while not index.rebuild_turn():
        pass


def brute(points: dict[PointId, Matrix], query: Matrix, k: int, metric: str) -> list[PointId]:
    """The k best ids by the scores of the metric, ties by the ids' byte form."""
    if not points:
        return []
    ids = list(points)
    scores = score_rows(query, np.stack([points[point] for point in ids]), metric)
    sign = 1.0 if metric == "l2" else -1.0
    order = sorted(range(len(ids)), key=lambda i: (sign * scores[i], encode_point_id(ids[i])))
    return [ids[i] for i in order[:k]]


class ThreadExecutor(StartsTasks):
    """Real threads."""

    async def run(self, lane: str, fn: Any, *args: object) -> Any:
        return await trio.to_thread.run_sync(fn, *args, abandon_on_cancel=True)


class SteppedExecutor(StartsTasks):
    """Runs a job when the test lets it."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Any]] = []
        self.gate = trio.Event()

    async def run(self, lane: str, fn: Any, *args: object) -> Any:
        self.jobs.append((lane, args))
        await self.gate.wait()
        return fn(*args)


class InlineExecutor(StartsTasks):
    """At once, after a checkpoint."""

    def __init__(self) -> None:
        self.lanes: list[str] = []

    async def run(self, lane: str, fn: Any, *args: object) -> Any:
        self.lanes.append(lane)
        await trio.lowlevel.checkpoint()
        return fn(*args)


class TrioClock:
    """trio's own time, which a test may mock."""

    def now(self) -> float:
        return trio.current_time()

    def ticks(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def sleep_until(self, at: float) -> None:
        await trio.sleep_until(at)

    def move_on_after(self, seconds: float) -> trio.CancelScope:
        return trio.move_on_after(seconds)

    def fail_after(self, seconds: float) -> AbstractContextManager[trio.CancelScope]:
        return trio.fail_after(seconds)
