"""A search on this node's own replicas: each shard asked, merged if wanted, payloads and vectors read for what is left.

All of it is one job on a search thread, for all requests with the same parameters that wait at that moment: every hop
between threads is a chance to be held up, and a batch makes as many as a single query. Queries are checked there too,
many at a time.

Invariant: a hit carries the payload and vector of the very version that it was scored by; when the row has changed
between search and read, the new row is judged and scored again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.index.executor import MAX_BATCH
from vectron_p2p.index.locality import like_by_like
from vectron_p2p.model.errors import InvalidArgument, Unavailable, VectronError
from vectron_p2p.node.hit_lists import columns_of, score_row, scored_of, to_hit_list
from vectron_p2p.node.search_cache import options_of
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.query import planner
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.merge import Scored, merge_hits, sort_hits
from vectron_p2p.query.scoring import FLOAT_BYTES, check_vectors, vectors_from_bytes
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from vectron_p2p.index.search import Hits
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.runtime.callbacks import Done, TakeBack
    from vectron_p2p.storage.records import Row

log = get_logger(__name__)

Queries = npt.NDArray[np.float32]
ON_LOOP_S = 0.002  # a query that took no longer the last time may be answered by the loop, which nothing holds for 5 ms
# Weight of one job: a larger request is cut, so that all threads share it and others get between; towards its end into
# smaller pieces, as one thread then waits for the other. Smaller ones than that cost more than they save.
SLICE = MAX_BATCH // 2
LEAST_SLICE = 16
MOST_ORDERED = 2 << 20  # bytes of queries that are put in order, on the loop: a millisecond
PARTS_AT_ONCE = 4  # of one request: one for each search thread and as many waiting, so that none is ever without work

FROM_DISK = {"undecided", "checked"}  # said of a plan when payloads decide, and not the index alone
NOTHING = m.HitList([], b"", [], [], b"")


@dataclass(frozen=True, slots=True)
class Part:
    """Some queries of one request, on their way to a thread."""

    vectors: bytes
    count: int
    asked: float


@dataclass(slots=True)
class Answer:
    """What became of a part: lists of hits by shard (one entry if merged) and query."""

    results: list[list[m.HitList]]
    refused: dict[int, VectronError] = field(default_factory=dict)
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    queue_ms: float = 0.0


def reply_of(
    message: m.SearchShards,
    answers: list[Answer],
    refused: dict[int, VectronError],
    places: list[int] | None = None,
) -> m.ShardsReply:
    """The parts of one request put together; `places`: where among them each query is, if not in their order."""
    refused = refused | {shard: error for answer in answers for shard, error in answer.refused.items()}
    results = [[hits for part in parts for hits in part] for parts in zip(*(a.results for a in answers), strict=True)]
    return m.ShardsReply(
        results=results if places is None else [[group[place] for place in places] for group in results],
        refused=[refused[shard].to_wire() if shard in refused else None for shard in message.shards],
        plan=_explained(answers[0]) if message.explain else None,
    )


def _explained(answer: Answer) -> list[dict[str, Any]]:
    shown = [{"shard": shard, **plan, "queue_ms": answer.queue_ms} for shard, plan in answer.plans.items()]
    return [
        {name: round(each, 3) if isinstance(each, float) else each for name, each in plan.items()} for plan in shown
    ]


class SearchJob:
    """Searches that have all but the queries in common, on the same replicas of this node."""

    def __init__(self, message: m.SearchShards, replicas: dict[int, Replica], owner: Replicas) -> None:
        """`message`: its `vectors` and `count` are of no account."""
        self._message = message
        self._owner = owner
        self.ticks = owner.ticks
        self._replicas = replicas
        self.replicas = list(replicas.values())
        options = self.replicas[0].options
        self.dimension = options.dimension
        self._metric = options.metric
        self._shards = options.shards or 1
        self._filter = parse_filter(message.filter, between_nodes=True) if message.filter else None
        self._rows = message.with_payload or message.with_vector
        self._took = math.inf
        """Seconds for a query the last time; inf: not known, or it may have to wait for the disk."""
        self._weighed: tuple[list[int], int] = [], 0
        """What a query costs, and of how many points in each replica."""
        self._none_refused: list[dict[str, Any] | None] = [None] * len(message.shards)
        self._options = options_of(message)
        # What requests must have in common. Equal filters share one look at the index and one scan of the matches.
        self.key = (*self.replicas, self._options)

    def begin(self, vector: bytes, deadline: float, done: Done, *, lone: Hashable = None) -> TakeBack:
        """Gives `done` the reply for one query, or an error.

        Args:
            lone: The caller, if it asks nothing else meanwhile.
        """
        key = None if self._message.explain else (self._options, vector)
        return self._owner.cache.begin(key, self.replicas, partial(self._search_one, vector, deadline, lone), done)

    def _search_one(self, vector: bytes, deadline: float, lone: Hashable, done: Done) -> TakeBack:
        if self._took > ON_LOOP_S:
            lone = None
        return self._owner.searcher.begin(
            self._message.collection,
            self.key,
            self.run,
            Part(vector, 1, self.ticks()),
            self._weight(),
            deadline,
            partial(self._answered, done),
            lone=lone,
            calm=self._calm,
        )

    def _calm(self) -> bool:
        return all(each.index.calm for each in self.replicas)

    def _answered(self, done: Done, answer: Answer | Exception) -> None:
        try:
            if isinstance(answer, Exception):
                done(answer)
            elif answer.refused or self._message.explain:
                done(reply_of(self._message, [answer], {}))
            else:
                done(m.ShardsReply(answer.results, self._none_refused, None))
        except Exception:  # a defect of ours on the way back to one caller: others wait for their answers behind it
            log.exception("answer_lost", collection=self._message.collection)

    async def reply(self, vectors: bytes, deadline: float, refused: dict[int, VectronError]) -> m.ShardsReply:
        """To many queries; `refused`: replicas that were left out.

        Raises:
            VectronError: Of one of the parts that it was answered in.
        """
        places: list[int] | None = None
        if len(vectors) <= MOST_ORDERED:
            queries = vectors_from_bytes(vectors, self.dimension)
            order = like_by_like(queries)
            if order is not None:
                vectors, places = queries[order].tobytes(), np.argsort(order).tolist()
        return reply_of(self._message, await self._answers(vectors, deadline), refused, places)

    async def _answers(self, vectors: bytes, deadline: float) -> list[Answer]:
        row = self.dimension * FLOAT_BYTES
        left, weight = len(vectors) // row, self._weight()
        answers: list[Answer | None] = []

        def cut() -> Part:
            """The next part."""
            nonlocal left
            share = self._owner.searcher.share(left * weight)
            count = min(left, max(1, min(SLICE, max(LEAST_SLICE, share)) // weight))
            at, left = len(vectors) - left * row, left - count
            return Part(vectors[at : at + count * row], count, self.ticks())

        async def some() -> None:
            while left:
                number = len(answers)
                answers.append(None)
                answers[number] = await self._submit(cut(), deadline)

        if left * weight <= LEAST_SLICE:
            await some()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(PARTS_AT_ONCE):
                    nursery.start_soon(some)
        return [answer for answer in answers if answer is not None]

    async def _submit(self, part: Part, deadline: float) -> Answer:
        answer: Answer = await self._owner.searcher.submit(
            self._message.collection, self.key, self.run, part, self._weight() * part.count, deadline
        )
        return answer

    def _weight(self) -> int:
        """Of one query."""
        points = [each.index.live for each in self.replicas]
        if points != self._weighed[0]:
            message, dimension = self._message, self.dimension
            each = [
                planner.weight(k=message.k, ef=message.ef, exact=message.exact, points=live, dimension=dimension)
                for live in points
            ]
            self._weighed = points, sum(each)
        return self._weighed[1]

    def run(self, parts: list[Part]) -> Sequence[Answer | VectronError]:
        """The answers to `parts`, in their order. On a search thread, or the loop for a lone query."""
        try:
            queries = self._queries(parts)
        except InvalidArgument:
            return [self._refused(part) or self.run([part])[0] for part in parts]
        refused: dict[int, VectronError] = {}
        plans: dict[int, dict[str, Any]] = {}
        found: dict[int, list[Hits]] = {}
        began = turn = self.ticks()
        for shard, replica in self._replicas.items():
            try:
                found[shard], plan = self._search(replica, queries)
                before, turn = turn, self.ticks()
                plans[shard] = {**plan, "together": len(queries), "search_ms": _ms(before, turn)}
            except StorageError as error:
                log.error("search_failed", shard=str(replica.shard), error=str(error))
                refused[shard] = Unavailable(f"this owner's disk failed: {error}; ask another")
        try:
            lists = self._lists(found, queries)
        except StorageError as error:
            log.error("rows_of_hits_not_read", error=str(error))
            return [Unavailable(f"this owner's disk failed: {error}; ask another") for _ in parts]
        ended = self.ticks()
        rows_ms = _ms(turn, ended)
        asked_disk = self._rows or any(plan.keys() & FROM_DISK for plan in plans.values())
        self._took = math.inf if asked_disk else (ended - began) / len(queries)
        for plan in plans.values():
            plan["rows_ms"] = rows_ms  # of all shards together
        answers, at = [], 0
        for part in parts:
            answers.append(
                Answer([group[at : at + part.count] for group in lists], refused, plans, _ms(part.asked, began))
            )
            at += part.count
        return answers

    def _queries(self, parts: Sequence[Part]) -> Queries:
        """Checked: whoever routed them here may have left that to us."""
        queries = vectors_from_bytes(b"".join([part.vectors for part in parts]), self.dimension)
        return check_vectors(queries, self.dimension, self._metric)

    def _refused(self, part: Part) -> VectronError | None:
        try:
            self._queries([part])
        except InvalidArgument as error:
            return error
        return None

    def _search(self, replica: Replica, queries: Queries) -> tuple[list[Hits], dict[str, Any]]:
        message = self._message
        return replica.index.search(
            queries,
            k=message.k,
            ef=message.ef,
            exact=message.exact,
            filter=self._filter,
            keep=None if self._filter is None else replica.keep(self._filter),
            score_threshold=message.score_threshold,
        )

    def _lists(self, found: dict[int, list[Hits]], queries: Queries) -> list[list[m.HitList]]:
        """By shard asked and query; merged: one group of all shards. Columns of the index stay columns if they can."""
        message, count = self._message, len(queries)
        if not self._rows and (not message.merge or len(found) == 1):
            columns = {shard: [columns_of(hits) for hits in lists] for shard, lists in found.items()}
            if message.merge:
                return list(columns.values())
            return [columns.get(shard, [NOTHING] * count) for shard in message.shards]
        groups = self._grouped({shard: [scored_of(hits) for hits in lists] for shard, lists in found.items()}, count)
        if self._rows:
            groups = self._read_rows(groups, queries)
        return [[to_hit_list(hits, message) for hits in group] for group in groups]

    def _grouped(self, found: dict[int, list[list[Scored]]], count: int) -> list[list[list[Scored]]]:
        message = self._message
        if not message.merge:
            return [found.get(shard, [[]] * count) for shard in message.shards]
        return [
            [merge_hits([lists[query] for lists in found.values()], message.k, self._metric) for query in range(count)]
        ]

    def _read_rows(self, groups: list[list[list[Scored]]], queries: Queries) -> list[list[list[Scored]]]:
        """The hits with their rows: one read per replica for all queries together."""
        wanted: defaultdict[int, dict[PointId, None]] = defaultdict(dict)
        for group in groups:
            for hits in group:
                for hit in hits:
                    wanted[shard_of(hit.id, self._shards) if self._shards > 1 else 0][hit.id] = None
        rows: dict[PointId, Row | None] = {}
        for shard, ids in wanted.items():
            rows.update(zip(ids, self._replicas[shard].store.get(list(ids)), strict=True))
        return [[self._with_rows(queries[q], hits, rows) for q, hits in enumerate(group)] for group in groups]

    def _with_rows(self, query: Queries, hits: list[Scored], rows: dict[PointId, Row | None]) -> list[Scored]:
        complete: list[Scored] = []
        changed = False
        for hit in hits:
            row = rows[hit.id]
            if row is not None and row.version == hit.version:
                complete.append(Scored(hit.id, hit.score, hit.version, row.payload, row.vector))
                continue
            changed = True
            again = (
                None
                if row is None
                else score_row(
                    query, row, self._metric, filter=self._filter, score_threshold=self._message.score_threshold
                )
            )
            if again is not None:
                complete.append(again)
        return sort_hits(complete, self._metric) if changed else complete


def _ms(before: float, after: float) -> float:
    return (after - before) * 1000  # rounded when it is shown: few ever are
