"""A search on this node's own replicas: each shard asked, merged if wanted, payloads and vectors read for what is left.

Invariant: a hit carries the payload and vector of the very version that it was scored by; when the row has changed
between search and read, the new row is judged and scored again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.node.replica import fetch_from
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import Filter, matches, parse_filter
from vectron_p2p.query.merge import Scored, merge_hits, sort_hits
from vectron_p2p.query.scoring import WIRE, meets, score_rows, vectors_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.model.ids import PointId
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.storage.records import Row

Queries = npt.NDArray[np.float32]


class ShardSearch:
    """One `SearchShards` request; `replica(index)` finds the replica or raises."""

    def __init__(self, message: m.SearchShards, replica: Callable[[int], Replica]) -> None:
        self._message = message
        self._replica = replica
        self._filter: Filter | None = parse_filter(message.filter) if message.filter else None
        self._lists: dict[int, list[list[Scored]]] = {}
        self._refused: dict[int, VectronError] = {}
        self._plans: dict[int, dict[str, Any]] = {}

    async def run(self) -> m.ShardsReply:
        message = self._message
        if len(message.shards) == 1:
            await self._search_one(message.shards[0])
        else:
            async with trio.open_nursery() as nursery:
                for shard in message.shards:
                    nursery.start_soon(self._search_one, shard)
        answered = [shard for shard in message.shards if shard in self._lists]
        groups = (
            [[self._merged(q, answered) for q in range(message.count)]]
            if message.merge
            else [self._lists.get(shard, []) for shard in message.shards]
        )
        if message.with_payload or message.with_vector:
            groups = await self._read_rows(groups)
        return m.ShardsReply(
            results=[[to_hit_list(hits, message) for hits in group] for group in groups],
            refused=[self._refused[shard].to_wire() if shard in self._refused else None for shard in message.shards],
            plan=[{"shard": shard, **self._plans[shard]} for shard in answered] if message.explain else None,
        )

    async def _search_one(self, shard: int) -> None:
        message = self._message
        try:
            replica = self._replica(shard)
            found, plan = await replica.search(
                vectors_from_bytes(message.vectors, replica.options.dimension),
                k=message.k,
                ef=message.ef,
                exact=message.exact,
                filter=self._filter,
                score_threshold=message.score_threshold,
            )
        except VectronError as error:
            self._refused[shard] = error
            return
        self._plans[shard] = plan
        self._lists[shard] = [
            [Scored(*hit) for hit in zip(hits.ids, hits.scores.tolist(), hits.versions, strict=True)] for hits in found
        ]

    def _merged(self, query: int, answered: Sequence[int]) -> list[Scored]:
        if not answered:
            return []
        metric = self._replica(answered[0]).options.metric
        return merge_hits([self._lists[shard][query] for shard in answered], self._message.k, metric)

    async def _read_rows(self, groups: list[list[list[Scored]]]) -> list[list[list[Scored]]]:
        """The hits with their rows: one read per replica for all queries together."""
        wanted: defaultdict[int, dict[PointId, None]] = defaultdict(dict)
        shards = next((self._replica(shard).options.shards for shard in self._lists), None)
        for group in groups:
            for hits in group:
                for hit in hits:
                    wanted[shard_of(hit.id, shards or 1)][hit.id] = None
        rows = await fetch_from([(self._replica(shard), list(ids)) for shard, ids in wanted.items()])
        return [[self._with_rows(q, hits, rows) for q, hits in enumerate(group)] for group in groups]

    def _with_rows(self, query: int, hits: list[Scored], rows: dict[PointId, Row | None]) -> list[Scored]:
        complete: list[Scored] = []
        changed = False
        for hit in hits:
            row = rows[hit.id]
            if row is None or row.vector is None:
                changed = True
            elif row.version == hit.version:
                complete.append(hit._replace(payload=row.payload, vector=row.vector))
            else:
                changed = True
                complete.extend(self._again(query, row))
        if not changed or not self._lists:
            return complete
        return sort_hits(complete, self._replica(next(iter(self._lists))).options.metric)

    def _again(self, query: int, row: Row) -> list[Scored]:
        message = self._message
        options = self._replica(next(iter(self._lists))).options
        queries = vectors_from_bytes(message.vectors, options.dimension)
        scored = score_row(
            queries[query], row, options.metric, filter=self._filter, score_threshold=message.score_threshold
        )
        return [] if scored is None else [scored]


def score_row(
    query: Queries, row: Row, metric: str, *, filter: Filter | None, score_threshold: float | None
) -> Scored | None:
    """A row as a hit of `query`; None when it is a tombstone or does not pass filter or threshold."""
    if row.vector is None or row.payload is None:
        return None
    if filter is not None and not matches(filter, unpack_payload(row.payload)):
        return None
    score = float(score_rows(query, vectors_from_bytes(row.vector, len(query)), metric)[0])
    if not meets(metric, score, score_threshold):
        return None
    return Scored(row.id, score, row.version, row.payload, row.vector)


def to_hit_list(hits: Sequence[Scored], asked: m.SearchShards | m.Search) -> m.HitList:
    """Hits in their columns on the wire, with what was asked for."""
    return m.HitList(
        ids=[hit.id for hit in hits],
        scores=np.array([hit.score for hit in hits], dtype=WIRE).tobytes(),
        versions=[hit.version for hit in hits],
        payloads=[hit.payload or b"\x80" for hit in hits] if asked.with_payload else [],
        vectors=b"".join(hit.vector or b"" for hit in hits) if asked.with_vector else b"",
    )


def from_hit_list(hits: m.HitList) -> list[Scored]:
    """Inverse of `to_hit_list`."""
    count = len(hits.ids)
    size = len(hits.vectors) // count if count else 0
    scores = np.frombuffer(hits.scores, dtype=WIRE).tolist()
    return [
        Scored(
            hits.ids[i],
            scores[i],
            hits.versions[i],
            hits.payloads[i] if hits.payloads else None,
            hits.vectors[i * size : (i + 1) * size] if size else None,
        )
        for i in range(count)
    ]
