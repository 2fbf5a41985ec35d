"""Counts and scrolls: each shard asked of one owner, and the answers put together.

Invariant: neither is ever silently short: a shard that did not answer is an error.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import InvalidArgument, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId, PointId, decode_point_id, encode_point_id
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.node.coordinator.searches import MAX_REPLY_BYTES
from vectron_p2p.node.scatter import Scatter, scatter
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.ordering import from_cursor, parse_order, to_cursor

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
        """A page of live points in the order of their ids' byte form, or of a payload field, each shard as one owner
        sees it.

        Raises:
            Unavailable: As for `count`.
        """
        walk = _ById(page) if page.order_by is None else _ByField(page)
        parts: dict[int, m.RowsPage] = {}

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            for shard in shards:
                message = m.ScrollShard(collection.id, shard, epoch, b"", page.limit, page.filter, page.with_vector)
                parts[shard] = await self._peers.call(node, replace(message, **walk.start), timeout=timeout)
            return [None] * len(shards)

        asked = await self._ask(collection, ask, timeout)
        _raise_if_missing(asked.missing)
        rows = []
        ends = []
        for part in parts.values():
            placed = [
                (walk.place(row[0], row[2]), row)
                for row in zip(part.ids, part.versions, part.payloads, part.vectors, strict=True)
            ]
            rows += placed
            if part.more and placed:
                ends.append(placed[-1][0])
        rows.sort(key=lambda each: each[0], reverse=walk.descending)
        # A page that an owner cut for its size ends early: what other shards have behind it belongs to the next page.
        ends.sort(reverse=walk.descending)
        found = [each for each in rows if not ends or each[0] == ends[0] or walk.precedes(each[0], ends[0])]
        rows = _within_reply(found[: page.limit])
        more = bool(ends) or len(rows) < len(found)
        taken = [row for _, row in rows]
        return m.ScrollReply(
            ids=[row[0] for row in taken],
            versions=[row[1] for row in taken],
            payloads=[row[2] or b"\x80" for row in taken],
            vectors=b"".join(row[3] or b"" for row in taken) if page.with_vector else b"",
            cursor=walk.cursor(rows[-1][0]) if more and rows else None,
        )


class _ById:
    """The order of a scroll by id: places are keys."""

    descending = False

    def __init__(self, page: m.Scroll) -> None:
        self.start: dict[str, Any] = {"after": _cursor_to_key(page.cursor)}

    def place(self, point: PointId, payload: bytes | None) -> Any:
        return encode_point_id(point)

    def precedes(self, one: Any, other: Any) -> bool:
        return bool(one < other)

    def cursor(self, place: Any) -> str:
        return _key_to_cursor(place)


class _ByField:
    """The order of a scroll by a payload field: places are positions."""

    def __init__(self, page: m.Scroll) -> None:
        self._order, begin = parse_order(page.order_by)
        after = None if begin is None else self._order.beginning(begin)
        if page.cursor is not None:
            after = from_cursor(self._order, page.cursor)
        self._read = self._order.reader()
        self.descending = self._order.descending
        self.precedes = self._order.precedes
        self.start: dict[str, Any] = {"order_by": self._order.path, "descending": self.descending}
        if after is not None:
            self.start |= {"after_value": after.value, "after": after.key}

    def place(self, point: PointId, payload: bytes | None) -> Any:
        return self._read(unpack_payload(payload or b"\x80"), encode_point_id(point))

    def cursor(self, place: Any) -> str:
        return to_cursor(self._order, place)


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
