"""Searches: each shard asked of one owner, or of a quorum, and the answers put together.

Invariant: a shard that did not answer as the consistency asks is named in `missing_shards`; a list is never silently
short.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.consistency import Consistency, parse_consistency
from vectron_p2p.model.errors import (
    ConsistencyError,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unavailable,
    VectronError,
    from_wire,
)
from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.node.coordinator.groups import Answer, GroupSearch
from vectron_p2p.node.hit_lists import from_hit_list, score_row, to_hit_list
from vectron_p2p.node.peers import KINDS
from vectron_p2p.node.scatter import Scatter, scatter
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.merge import QuorumSearchRound, Scored, merge_hits
from vectron_p2p.query.recommend import recommend
from vectron_p2p.query.scoring import vectors_from_bytes
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.node.coordinator.reads import Reads
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.node.scatter import AskAt
    from vectron_p2p.runtime import Clock

MAX_REPLY_BYTES = 24 * 1024 * 1024  # of payloads and vectors in one reply: a message has at most 32 MiB
MAX_REFILLS = 4  # each doubles the depth: 16 x k rows deleted or changed in the newest owners' view and in no others'
MERGED_AT_ONCE = 128  # queries of which the answers are merged before others get the loop: some milliseconds
SEARCH = KINDS[m.SearchShards]


class Searches:
    """Searches of a coordinator."""

    def __init__(self, peers: Peers, clock: Clock, routes: Routes, reads: Reads, hedging: Hedging) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._reads = reads
        self._hedging = hedging

    async def search(self, collection: Collection, asked: m.Search, *, timeout: float) -> m.SearchReply:
        """The reply to an admitted request."""
        began = self._clock.now()
        deadline = began + timeout
        level = parse_consistency(asked.consistency)
        asked, examples = await self._from_examples(collection, asked, timeout)
        message = m.SearchShards(
            collection=collection.id,
            shards=[],
            epoch=0,
            merge=True,
            vectors=asked.vectors,
            count=asked.count,
            k=asked.k + asked.offset,
            filter=asked.filter,
            ef=asked.ef,
            exact=asked.exact,
            score_threshold=asked.score_threshold,
            with_payload=asked.with_payload,
            with_vector=asked.with_vector,
            explain=asked.explain,
        )

        async def ask(message: m.SearchShards) -> Answer:
            return await self._lists(collection, message, level, examples, deadline)

        groups: list[list[m.Group]] = []
        if asked.group_by is None:
            lists, missing, plan = await ask(message)
            lists = [hits[asked.offset : asked.offset + asked.k] for hits in lists]
        else:
            search = GroupSearch(ask, message, asked.group_by, asked.k, asked.group_size, collection)
            found, missing, plan = await search.run()
            lists = [[hit for group in each for hit in group.hits] for each in found]
            groups = [[m.Group(group.value, len(group.hits)) for group in each] for each in found]
        _check_size(lists)
        took = (self._clock.now() - began) * 1000
        return m.SearchReply(
            [to_hit_list(hits, asked) for hits in lists], missing, took, plan if asked.explain else None, groups
        )

    async def _from_examples(
        self, collection: Collection, asked: m.Search, timeout: float
    ) -> tuple[m.Search, set[PointId]]:
        """The search with its query, and the points that it was made from, which are left out of the hits."""
        named = "id" if asked.id is not None else "positive"
        positive = [asked.id] if asked.id is not None else asked.positive
        if not positive:
            return asked, set()
        ids = list(dict.fromkeys([*positive, *asked.negative]))
        level = parse_consistency(asked.consistency)
        rows = await self._reads.get(collection, ids, level, with_vector=True, with_payload=False, timeout=timeout)
        vectors = {row.id: row.vector for row in rows if row is not None and row.live and row.vector is not None}
        absent = [point for point in ids if point not in vectors]
        if absent:
            shown = ", ".join(f"{point!r:.60}" for point in absent[:10]) + (" ..." if len(absent) > 10 else "")
            named = named if set(absent) & set(positive) else "negative"
            raise NotFound(f"there is no point {shown} in {collection.name!r}", field=named, failed=absent[:100])
        options = collection.options
        if asked.id is not None:
            query = vectors[asked.id]
        else:
            examples = [
                vectors_from_bytes(b"".join(vectors[point] for point in points), options.dimension)
                for points in (asked.positive, asked.negative)
            ]
            query = recommend(examples[0], examples[1], options.metric)
        return replace(asked, vectors=query, count=1, dimension=options.dimension), set(ids)

    async def _lists(
        self,
        collection: Collection,
        message: m.SearchShards,
        level: Consistency,
        left_out: set[PointId],
        deadline: float,
    ) -> Answer:
        """The `message.k` best hits of each query that are none of `left_out`."""
        k = message.k
        message = replace(message, k=k + len(left_out))
        if level is Consistency.ONE:
            timeout = max(0.0, deadline - self._clock.now())
            lists, missing, plan = await self._ask_one(collection, message, timeout)
        else:
            lists, missing, plan = await self._ask_quorum(collection, message, level, deadline)
        if left_out:
            lists = [[hit for hit in hits if hit.id not in left_out][:k] for hits in lists]
        return Answer(lists, missing, plan)

    async def _scatter(
        self, collection: Collection, shards: Iterable[int], ask: AskAt, level: Consistency, timeout: float
    ) -> Scatter:
        """Raises why, if no shard has answered."""
        asked = await scatter(
            self._peers,
            self._clock,
            self._routes,
            collection.id,
            shards,
            ask,
            level=level,
            hedging=self._hedging,
            kind=SEARCH,
            timeout=timeout,
        )
        asked.raise_if_nothing()
        return asked

    async def _ask_one(
        self, collection: Collection, message: m.SearchShards, timeout: float
    ) -> tuple[list[list[Scored]], list[int], list[dict[str, Any]]]:
        replies: list[m.ShardsReply] = []
        plan: list[dict[str, Any]] = []

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            began = self._clock.now()
            reply = await self._peers.call(node, replace(message, shards=shards, epoch=epoch), timeout=timeout)
            replies.append(reply)
            plan.extend(self._explained(node, reply, began))
            return [None if why is None else from_wire(why) for why in reply.refused]

        asked = await self._scatter(collection, range(collection.shards), ask, Consistency.ONE, timeout)
        lists: list[list[Scored]] = []
        for q in range(message.count):
            found = [from_hit_list(reply.results[0][q]) for reply in replies]
            lists.append(merge_hits(found, message.k, collection.options.metric))
            if q % MERGED_AT_ONCE == MERGED_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
        return lists, asked.missing, plan

    def _explained(self, node: NodeId, reply: m.ShardsReply, began: float) -> list[dict[str, Any]]:
        """What `node` says of its part, who that is, and how long the whole of it took from here."""
        if not reply.plan:
            return []
        member = self._routes.state.members.get(node)
        answer_ms = round((self._clock.now() - began) * 1000, 3)
        by = {"node": node, "name": member.name if member is not None else "", "answer_ms": answer_ms}
        return [{**entry, **by} for entry in reply.plan]

    async def _ask_quorum(
        self, collection: Collection, message: m.SearchShards, level: Consistency, deadline: float
    ) -> tuple[list[list[Scored]], list[int], list[dict[str, Any]]]:
        """PROTOCOLS §3.6."""
        plan: list[dict[str, Any]] = []
        missing: list[int] = []
        done: dict[int, list[list[Scored]]] = {}
        unconfirmed: VectronError | None = None
        todo, asked = list(range(collection.shards)), message.k
        for _ in range(MAX_REFILLS):
            try:
                answers, failed, plans = await self._gather(
                    collection, replace(message, k=asked), level, todo, deadline
                )
            except (Unavailable, DeadlineExceeded):
                if not done:
                    raise
                break  # no shard that is left could be asked deeper: what is known of them is named as incomplete
            plan += plans
            missing += failed
            again = []
            for shard in [shard for shard in todo if shard not in failed]:
                try:
                    rounds = await self._verified(collection, message, level, shard, answers[shard], asked, deadline)
                except (ConsistencyError, DeadlineExceeded, Unavailable) as error:
                    missing.append(shard)
                    unconfirmed = error
                    continue
                done[shard] = [round_.result() for round_ in rounds]
                if any(round_.needs_refill for round_ in rounds):
                    again.append(shard)
            todo, asked = again, asked * 2
            if not todo:
                break
        if not done and unconfirmed is not None:
            raise unconfirmed
        # What still could be incomplete after so many refills is said, not hidden.
        missing += todo
        metric = collection.options.metric
        lists = [merge_hits([done[s][q] for s in sorted(done)], message.k, metric) for q in range(message.count)]
        return lists, sorted(set(missing)), plan

    async def _gather(
        self, collection: Collection, message: m.SearchShards, level: Consistency, shards: list[int], deadline: float
    ) -> tuple[dict[int, dict[NodeId, list[m.HitList]]], list[int], list[dict[str, Any]]]:
        answers: defaultdict[int, dict[NodeId, list[m.HitList]]] = defaultdict(dict)
        plans: list[dict[str, Any]] = []
        timeout = max(0.0, deadline - self._clock.now())

        async def ask(node: NodeId, part: list[int], epoch: int) -> list[VectronError | None]:
            to = replace(message, shards=part, epoch=epoch, merge=False)
            began = self._clock.now()
            reply = await self._peers.call(node, to, timeout=timeout)
            plans.extend(self._explained(node, reply, began))
            for shard, hits, why in zip(part, reply.results, reply.refused, strict=True):
                if why is None:
                    answers[shard][node] = hits
            return [None if why is None else from_wire(why) for why in reply.refused]

        asked = await self._scatter(collection, shards, ask, level, timeout)
        return answers, asked.missing, plans

    async def _verified(
        self,
        collection: Collection,
        message: m.SearchShards,
        level: Consistency,
        shard: int,
        answers: dict[NodeId, list[m.HitList]],
        asked: int,
        deadline: float,
    ) -> list[QuorumSearchRound]:
        """One round per query, with every doubtful id read from a quorum and judged anew."""
        rounds: list[QuorumSearchRound] = []
        for q in range(message.count):
            round_ = QuorumSearchRound(message.k, collection.options.metric, len(answers), asked=asked)
            for node in sorted(answers):
                round_.record(node, from_hit_list(answers[node][q]))
            rounds.append(round_)
        doubtful = sorted({point for round_ in rounds for point in round_.to_verify()}, key=encode_point_id)
        if not doubtful:
            return rounds
        rows = await self._reads.get(
            collection,
            doubtful,
            level,
            with_vector=True,
            with_payload=True,
            timeout=max(0.0, deadline - self._clock.now()),
        )
        newest = dict(zip(doubtful, rows, strict=True))
        filter = parse_filter(message.filter, between_nodes=True) if message.filter else None
        queries = vectors_from_bytes(message.vectors, collection.options.dimension)
        for q, round_ in enumerate(rounds):
            judged: dict[PointId, Scored | None] = {}
            for point in round_.to_verify():
                row = newest[point]
                judged[point] = (
                    None
                    if row is None or not row.live
                    else score_row(
                        queries[q],
                        Row(row.id, row.version, row.vector, row.payload),
                        collection.options.metric,
                        filter=filter,
                        score_threshold=message.score_threshold,
                    )
                )
            round_.verified(judged)
        return rounds


def _check_size(lists: Sequence[Sequence[Scored]]) -> None:
    size = sum(len(hit.payload or b"") + len(hit.vector or b"") for hits in lists for hit in hits)
    if size > MAX_REPLY_BYTES:
        raise InvalidArgument(
            f"the hits have {size} bytes of payloads and vectors, a reply at most {MAX_REPLY_BYTES}: ask for a "
            "smaller k, for fewer queries at once, or without payloads",
            field="k",
        )
