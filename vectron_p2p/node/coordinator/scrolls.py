"""Counts and scrolls: each shard asked of one owner, and the answers put together.

Invariant: neither is ever silently short: a shard that did not answer is an error.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import InvalidArgument, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId, decode_point_id, encode_point_id
from vectron_p2p.node.coordinator.searches import MAX_REPLY_BYTES
from vectron_p2p.node.scatter import Scatter, scatter
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.node.scatter import AskAt
    from vectron_p2p.runtime import Clock


class Scrolls:
    """Counts and scrolls of a coordinator."""

    def __init__(self, peers: Peers, clock: Clock, routes: Routes, hedging: Hedging) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._hedging = hedging

    async def _ask(self, collection: Collection, ask: AskAt, timeout: float) -> Scatter:
        asked = await scatter(
            self._peers,
            self._clock,
            self._routes,
            collection.id,
            range(collection.shards),
            ask,
            level=Consistency.ONE,
            hedging=self._hedging,
            timeout=timeout,
        )
        asked.raise_if_nothing()
        return asked

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

        asked = await self._ask(collection, ask, timeout)
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

        asked = await self._ask(collection, ask, timeout)
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
