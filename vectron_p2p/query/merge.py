"""Lists of hits into one: over shards, and over the owners of one shard in a QUORUM search.

Owns the order of hits (score, then the id's byte form) and the QUORUM search. Must not know how owners are asked or
rows read. Invariant of `QuorumSearchRound`: a hit in `result()` is in its newest version known to a quorum, and unless
`needs_refill`, no acknowledged row that an owner's list had room for ranks before the last hit and is left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.query.scoring import better

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Scored(NamedTuple):
    """One hit on its way to the client. `payload` and `vector` are the stored bytes, None where not asked for."""

    id: PointId
    score: float
    version: bytes
    payload: bytes | None = None
    vector: bytes | None = None


def sort_hits(hits: Iterable[Scored], metric: str) -> list[Scored]:
    """Best first; equal scores by the id's byte form, so that every node orders alike."""
    sign = 1.0 if metric == "l2" else -1.0
    return sorted(hits, key=lambda hit: (sign * hit.score, encode_point_id(hit.id)))


def merge_hits(lists: Sequence[Sequence[Scored]], k: int, metric: str, *, offset: int = 0) -> list[Scored]:
    """Hits `offset`..`offset + k` of all lists together; of one id in several versions the newest counts."""
    if len(lists) == 1:
        return list(lists[0][offset : offset + k])
    newest: dict[PointId, Scored] = {}
    for hits in lists:
        for hit in hits:
            known = newest.get(hit.id)
            if known is None or hit.version > known.version:
                newest[hit.id] = hit
    return sort_hits(newest.values(), metric)[offset : offset + k]


class QuorumSearchRound:
    """One query on one shard, asked of a quorum of owners.

    Steps: `record` each owner's list; read the rows of `to_verify()` from a quorum and hand the newest of each to
    `verified`; then `result()`, and if `needs_refill`, another round asks the owners for `next_k` hits.
    """

    def __init__(self, k: int, metric: str, required: int, *, asked: int | None = None) -> None:
        """`asked`: hits requested of each owner, k or more (a refill); a list that long may have been cut there."""
        self._k = k
        self._metric = metric
        self._required = required
        self._asked = k if asked is None else asked
        self._lists: dict[NodeId, Sequence[Scored]] = {}
        self._rows: dict[PointId, Scored] = {}
        self._open: set[PointId] = set()

    def record(self, owner: NodeId, hits: Sequence[Scored]) -> None:
        """An owner's list, best first; of `required` owners all count."""
        self._lists[owner] = hits
        if self.ready:
            self._unite()

    @property
    def ready(self) -> bool:
        """Whether enough owners have answered."""
        return len(self._lists) >= self._required

    def _unite(self) -> None:
        seen: dict[PointId, list[Scored]] = {}
        for hits in self._lists.values():
            for hit in hits:
                seen.setdefault(hit.id, []).append(hit)
        self._rows = {point: max(found, key=lambda hit: hit.version) for point, found in seen.items()}
        self._open = {
            point
            for point, found in seen.items()
            if len(found) < len(self._lists) or any(hit.version != found[0].version for hit in found)
        }

    def to_verify(self) -> list[PointId]:
        """Ids that not every owner returned in one version, in the order of their byte form."""
        return sorted(self._open, key=encode_point_id)

    def verified(self, rows: Mapping[PointId, Scored | None]) -> None:
        """The newest row of each id asked, as read from a quorum, scored anew; None where it is deleted or no longer
        passes the filter or threshold.
        """
        for point, row in rows.items():
            if point in self._open:
                self._open.discard(point)
                if row is None:
                    del self._rows[point]
                else:
                    self._rows[point] = row

    def result(self) -> list[Scored]:
        """The best k of what is confirmed."""
        confirmed = [row for point, row in self._rows.items() if point not in self._open]
        return sort_hits(confirmed, self._metric)[: self._k]

    @property
    def needs_refill(self) -> bool:
        """Whether a row that some owner cut off could belong among the k best.

        Only one of the owners asked need hold the newest version of a row, and rows worse than the end of its list do
        not show. Hits are safe down to the best such end.
        """
        worst = math.inf if self._metric == "l2" else -math.inf
        ends = [hits[-1].score for hits in self._lists.values() if len(hits) >= self._asked]
        if not ends:
            return False
        bound = worst
        for end in ends:
            if better(self._metric, end, bound):
                bound = end
        hits = self.result()
        return len(hits) < self._k or better(self._metric, bound, hits[-1].score)

    @property
    def next_k(self) -> int:
        """What to ask of each owner in a refill: twice as many, so that a few rounds reach any depth."""
        return self._asked * 2
