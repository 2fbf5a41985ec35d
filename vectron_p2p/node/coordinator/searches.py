"""Searches, counts and scrolls: each shard asked of one owner, or of a quorum, and the answers put together.

Invariant: a shard that did not answer as the consistency asks is named in `missing_shards`; a list is never silently
short.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from vectron_p2p.model.ids import NodeId, PointId, decode_point_id, encode_point_id
from vectron_p2p.node.peers import KINDS, OTHER
from vectron_p2p.node.scatter import Scatter, scatter
from vectron_p2p.node.shard_search import from_hit_list, score_row, to_hit_list
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.merge import QuorumSearchRound, Scored, merge_hits
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
SEARCH = KINDS[m.SearchShards]


class Searches:
    """Searches of a coordinator."""

    def __init__(self, peers: Peers, clock: Clock, routes: Routes, reads: Reads, hedging: Hedging) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._reads = reads
        self._hedging = hedging

    async def _scatter(
        self,
        collection: Collection,
        shards: Iterable[int],
        ask: AskAt,
        level: Consistency,
        timeout: float,
        kind: str = OTHER,
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
            kind=kind,
            timeout=timeout,
        )
        asked.raise_if_nothing()
        return asked

    # --- search -----------------------------------------------------------------------------------------------------

    async def search(self, collection: Collection, asked: m.Search, *, timeout: float) -> m.SearchReply:
        """The reply to an admitted request."""
        began = self._clock.now()
        level = parse_consistency(asked.consistency)
        itself = asked.id
        if itself is not None:
            asked = await self._by_id(collection, asked, itself, timeout)
        depth = asked.k + asked.offset + (itself is not None)
        message = m.SearchShards(
            collection=collection.id,
            shards=[],
            epoch=0,
            merge=True,
            vectors=asked.vectors,
            count=asked.count,
            k=depth,
            filter=asked.filter,
            ef=asked.ef,
            exact=asked.exact,
            score_threshold=asked.score_threshold,
            with_payload=asked.with_payload,
            with_vector=asked.with_vector,
            explain=asked.explain,
        )
        remaining = timeout - (self._clock.now() - began)
        if level is Consistency.ONE:
            lists, missing, plan = await self._ask_one(collection, message, remaining)
        else:
            lists, missing, plan = await self._ask_quorum(collection, message, level, remaining)
        if itself is not None:
            lists = [[hit for hit in hits if hit.id != itself] for hits in lists]
        lists = [hits[asked.offset : asked.offset + asked.k] for hits in lists]
        _check_size(lists)
        took = (self._clock.now() - began) * 1000
        return m.SearchReply(
            [to_hit_list(hits, asked) for hits in lists], missing, took, plan if asked.explain else None
        )

    async def _by_id(self, collection: Collection, asked: m.Search, point: PointId, timeout: float) -> m.Search:
        rows = await self._reads.get(
            collection,
            [point],
            parse_consistency(asked.consistency),
            with_vector=True,
            with_payload=False,
            timeout=timeout,
        )
        row = rows[0]
        if row is None or not row.live or row.vector is None:
            raise NotFound(f"there is no point {point!r} in {collection.name!r}", field="id")
        return replace(asked, vectors=row.vector, count=1, dimension=collection.options.dimension)

    async def _ask_one(
        self, collection: Collection, message: m.SearchShards, timeout: float
    ) -> tuple[list[list[Scored]], list[int], list[dict[str, Any]]]:
        replies: list[m.ShardsReply] = []

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            reply = await self._peers.call(node, replace(message, shards=shards, epoch=epoch), timeout=timeout)
            replies.append(reply)
            return [None if why is None else from_wire(why) for why in reply.refused]

        asked = await self._scatter(collection, range(collection.shards), ask, Consistency.ONE, timeout, SEARCH)
        lists = [
            merge_hits([from_hit_list(reply.results[0][q]) for reply in replies], message.k, collection.options.metric)
            for q in range(message.count)
        ]
        return lists, asked.missing, [entry for reply in replies for entry in reply.plan or []]

    async def _ask_quorum(
        self, collection: Collection, message: m.SearchShards, level: Consistency, timeout: float
    ) -> tuple[list[list[Scored]], list[int], list[dict[str, Any]]]:
        """PROTOCOLS §3.6."""
        deadline = self._clock.now() + timeout
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
            reply = await self._peers.call(node, to, timeout=timeout)
            plans.extend({"node": node, **entry} for entry in reply.plan or [])
            for shard, hits, why in zip(part, reply.results, reply.refused, strict=True):
                if why is None:
                    answers[shard][node] = hits
            return [None if why is None else from_wire(why) for why in reply.refused]

        asked = await self._scatter(collection, shards, ask, level, timeout, SEARCH)
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
        filter = parse_filter(message.filter) if message.filter else None
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

    # --- count and scroll -------------------------------------------------------------------------------------------

    async def count(self, collection: Collection, filter: dict[str, Any] | None, *, timeout: float) -> int:
        """Live points that match, each shard as one owner sees it.

        Raises:
            Unavailable: Some shard has no owner that answers; a count has no partial form.
        """
        counts: dict[int, int] = {}

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            reply = await self._peers.call(node, m.CountShards(collection.id, shards, epoch, filter), timeout=timeout)
            refused: list[VectronError | None] = []
            for shard, count in zip(shards, reply.counts, strict=True):
                if count >= 0:
                    counts.setdefault(shard, count)
                refused.append(None if count >= 0 else Unavailable(f"shard {shard} is not served by {node}", node=node))
            return refused

        asked = await self._scatter(collection, range(collection.shards), ask, Consistency.ONE, timeout)
        _raise_if_missing(asked.missing)
        return sum(counts.values())

    async def scroll(self, collection: Collection, page: m.Scroll, *, timeout: float) -> m.ScrollReply:
        """A page of live points in the order of their ids' byte form, each shard as one owner sees it.

        Raises:
            Unavailable: As for `count`.
        """
        after = _cursor_to_key(page.cursor)
        pages: dict[int, m.RowsPage] = {}

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            for shard in shards:
                message = m.ScrollShard(collection.id, shard, epoch, after, page.limit, page.filter, page.with_vector)
                pages[shard] = await self._peers.call(node, message, timeout=timeout)
            return [None] * len(shards)

        asked = await self._scatter(collection, range(collection.shards), ask, Consistency.ONE, timeout)
        _raise_if_missing(asked.missing)
        rows = sorted(
            (
                (encode_point_id(row[0]), row)
                for part in pages.values()
                for row in zip(part.ids, part.versions, part.payloads, part.vectors, strict=True)
            ),
            key=lambda pair: pair[0],
        )
        # A page that an owner cut for its size ends early: what other shards have behind it belongs to the next page.
        ends = [encode_point_id(part.ids[-1]) for part in pages.values() if part.more and part.ids]
        found = [pair for pair in rows if not ends or pair[0] <= min(ends)]
        rows = _within_reply(found[: page.limit])
        more = bool(ends) or len(rows) < len(found)
        taken = [row for _, row in rows]
        return m.ScrollReply(
            ids=[row[0] for row in taken],
            versions=[row[1] for row in taken],
            payloads=[row[2] or b"\x80" for row in taken],
            vectors=b"".join(row[3] or b"" for row in taken) if page.with_vector else b"",
            cursor=_key_to_cursor(rows[-1][0]) if more and rows else None,
        )


def _check_size(lists: Sequence[Sequence[Scored]]) -> None:
    size = sum(len(hit.payload or b"") + len(hit.vector or b"") for hits in lists for hit in hits)
    if size > MAX_REPLY_BYTES:
        raise InvalidArgument(
            f"the hits have {size} bytes of payloads and vectors, a reply at most {MAX_REPLY_BYTES}: ask for a "
            "smaller k, for fewer queries at once, or without payloads",
            field="k",
        )


def _within_reply(rows: list[tuple[bytes, Any]]) -> list[tuple[bytes, Any]]:
    """As many rows as fit a reply; at least one."""
    total = 0
    for i, (_, row) in enumerate(rows):
        total += len(row[2] or b"") + len(row[3] or b"")
        if total > MAX_REPLY_BYTES and i:
            return rows[:i]
    return rows


def _raise_if_missing(missing: list[int]) -> None:
    if missing:
        raise Unavailable(
            f"{len(missing)} shard(s) have no owner that answers: retry when nodes are back", missing_shards=missing
        )


def _key_to_cursor(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def _cursor_to_key(cursor: str | None) -> bytes:
    if cursor is None:
        return b""
    try:
        key = base64.urlsafe_b64decode(cursor.encode())
        decode_point_id(key)
    except (ValueError, binascii.Error):
        raise InvalidArgument("cursor is none that a scroll returned", field="cursor") from None
    return key
