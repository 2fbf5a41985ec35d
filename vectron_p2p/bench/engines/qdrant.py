"""Qdrant Edge: the engine of Qdrant inside the process that asks, with no server between.

Indexing is the caller's to start (`optimize`), so points are acknowledged without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.engines.engine import values_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.jobs import Ask

FULL_SCAN_KB = 10_000  # the server's default: a filter that keeps fewer KB of vectors is answered by a scan


class QdrantEdge:
    insert_batch = 1000
    server: int | None = None

    def __init__(self, folder: Path, shape: Shape) -> None:
        import qdrant_edge as qdrant

        self._qdrant = qdrant
        path = folder / "shard"
        path.mkdir()
        config = qdrant.EdgeConfig(
            vectors=qdrant.EdgeVectorParams(size=shape.dimension, distance=qdrant.Distance.Cosine),
            hnsw_config=qdrant.HnswIndexConfig(
                m=shape.m, ef_construct=shape.ef_construction, full_scan_threshold=FULL_SCAN_KB
            ),
        )
        self._shard = qdrant.EdgeShard.create(str(path), config)
        kinds = {int: qdrant.PayloadSchemaType.Integer, str: qdrant.PayloadSchemaType.Keyword}
        for name, kind in shape.filtered.items():  # before the points, as its guides say: the graph knows them then
            self._shard.update(qdrant.UpdateOperation.create_field_index(name, kinds[kind]))

    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        make = self._qdrant.Point
        pairs = enumerate(zip(vectors.tolist(), payloads, strict=True), first)
        points = [make(id=row, vector=vector, payload=payload) for row, (vector, payload) in pairs]
        self._shard.update(self._qdrant.UpdateOperation.upsert_points(points))

    def index(self) -> None:
        self._shard.flush()
        self._shard.optimize()

    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        request = self._requests(ask)

        def search(vector: Any) -> list[int]:
            return [point.id for point in self._shard.query(request(vector.tolist()))]

        return search

    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]]:
        request, together = self._requests(ask), self._qdrant.QueryBatchRequest

        def search(vectors: Matrix) -> list[list[int]]:
            found = self._shard.query_batch(together([request(vector) for vector in vectors.tolist()]))
            return [[point.id for point in points] for points in found]

        return search

    def _requests(self, ask: Ask) -> Callable[[list[float]], Any]:
        make, nearest = self._qdrant.QueryRequest, self._qdrant.Query.Nearest
        keywords = {
            "limit": ask.k,
            "filter": None if ask.filter is None else self._where(ask.filter),
            "params": self._qdrant.SearchParams(hnsw_ef=ask.ef),
            "with_payload": False,
            "with_vector": False,
        }
        return lambda vector: make(query=nearest(vector), **keywords)

    def _where(self, condition: dict[str, Any]) -> Any:
        name, values = values_of(condition)
        match = self._qdrant.MatchAny(values) if len(values) > 1 else self._qdrant.MatchValue(values[0])
        return self._qdrant.Filter(must=[self._qdrant.FieldCondition(key=name, match=match)])

    def close(self) -> None:
        self._shard.close()
