"""zvec: a database inside the process that asks. It has no call for many queries, and its fields have types.

Indexing is the caller's to start (`optimize`), so points are acknowledged without it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.engines.engine import values_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.jobs import Ask

VECTOR = "vector"
REST = "payload"  # of a payload what no filter asks for, as JSON text


class Zvec:
    insert_batch = 1000
    server: int | None = None

    def __init__(self, folder: Path, shape: Shape) -> None:
        import zvec

        self._zvec = zvec
        zvec.init(log_level=zvec.LogLevel.ERROR)
        kinds = {int: zvec.DataType.INT64, str: zvec.DataType.STRING}
        self._filtered = shape.filtered
        fields = [
            zvec.FieldSchema(field(name), kinds[kind], nullable=True, index_param=zvec.InvertIndexParam())
            for name, kind in shape.filtered.items()
        ]
        graph = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.COSINE, m=shape.m, ef_construction=shape.ef_construction
        )
        schema = zvec.CollectionSchema(
            "bench",
            fields=[*fields, zvec.FieldSchema(REST, zvec.DataType.STRING, nullable=True)],
            vectors=zvec.VectorSchema(VECTOR, zvec.DataType.VECTOR_FP32, shape.dimension, index_param=graph),
        )
        self._collection = zvec.create_and_open(str(folder / "collection"), schema)

    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        docs = [
            self._zvec.Doc(id=str(row), vectors={VECTOR: vector}, fields=self._fields(payload))
            for row, (vector, payload) in enumerate(zip(vectors, payloads, strict=True), first)
        ]
        refused = [status for status in self._collection.insert(docs) if not status.ok()]
        if refused:
            raise RuntimeError(f"{len(refused)} points were refused: {refused[0].message()}")

    def _fields(self, payload: dict[str, Any]) -> dict[str, Any]:
        known = {field(name): payload[name] for name in self._filtered if name in payload}
        rest = {name: value for name, value in payload.items() if name not in self._filtered}
        return known | {REST: json.dumps(rest, ensure_ascii=False)}

    def index(self) -> None:
        self._collection.flush()
        self._collection.optimize()

    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        query, parameters = self._zvec.Query, self._zvec.HnswQueryParam(ef=ask.ef)
        condition = None if ask.filter is None else where(ask.filter)

        def search(vector: Any) -> list[int]:
            found = self._collection.query(
                query(field_name=VECTOR, vector=vector, param=parameters),
                topk=ask.k, filter=condition, output_fields=[],
            )  # fmt: skip
            return [int(doc.id) for doc in found]

        return search

    def batch(self, ask: Ask) -> None:
        return None

    def close(self) -> None:
        self._collection.close()


def field(name: str) -> str:
    """A name that is not `VECTOR` or `REST`."""
    return f"f_{name}"


def where(condition: dict[str, Any]) -> str:
    name, values = values_of(condition)
    texts = [_literal(value) for value in values]
    return f"{field(name)} in ({', '.join(texts)})" if len(texts) > 1 else f"{field(name)} = {texts[0]}"


def _literal(value: str | int) -> str:
    """Its language escapes quotes and nothing else, so a backslash before a quote cannot be said in it."""
    if isinstance(value, int):
        return str(value)
    if "\\'" in f"{value}'":
        raise ValueError(f"no filter of zvec can say {value!r}")
    escaped = value.replace("'", "\\'")
    return f"'{escaped}'"
