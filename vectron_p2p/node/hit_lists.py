"""Hits in the forms that they have on their way: columns of the index, columns on the wire, and one by one.

A score is that of `query.scoring` in all of them. Must not know where hits come from or go.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.model.points import unpack_payload
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import Filter, matches
from vectron_p2p.query.merge import Scored
from vectron_p2p.query.scoring import WIRE, meets, score_rows, vectors_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.index.search import Hits
    from vectron_p2p.query.scoring import Matrix
    from vectron_p2p.storage.records import Row


def columns_of(hits: Hits) -> m.HitList:
    """The columns of the index as those of the wire."""
    return m.HitList(hits.ids, hits.scores.astype(WIRE, copy=False).tobytes(), hits.versions, [], b"")


def scored_of(hits: Hits) -> list[Scored]:
    """The columns of the index one by one."""
    return [Scored(*hit) for hit in zip(hits.ids, hits.scores.tolist(), hits.versions, strict=True)]


def score_row(
    query: Matrix, row: Row, metric: str, *, filter: Filter | None, score_threshold: float | None
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


def together(reply: m.SearchReply) -> m.SearchReply:
    """The lists of all queries as one: it takes a third of the time to write and to read, on both sides."""
    lists = reply.results
    whole = m.HitList(
        ids=list(chain.from_iterable([hits.ids for hits in lists])),
        scores=b"".join([hits.scores for hits in lists]),
        versions=list(chain.from_iterable([hits.versions for hits in lists])),
        payloads=list(chain.from_iterable([hits.payloads for hits in lists])),
        vectors=b"".join([hits.vectors for hits in lists]),
    )
    sizes = [len(hits.ids) for hits in lists]
    return m.SearchReply([whole], reply.missing_shards, reply.took_ms, reply.plan, [], sizes)
