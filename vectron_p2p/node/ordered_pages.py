"""Pages in the order of a payload field over one replica: by its payload index, else by reading all rows.

Invariant: a page holds every live row that matches between the position it begins after and its last row, each where
its stored payload puts it: what the index or a scan chose is read and placed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.node import pages
from vectron_p2p.query.filters import compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.index.payload.order import InOrder
    from vectron_p2p.index.shard_index import ShardIndex
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.query.ordering import Order, Position
    from vectron_p2p.runtime import Executor
    from vectron_p2p.storage.records import Row
    from vectron_p2p.storage.watched import WatchedStore


class OrderedPages:
    """Of one replica."""

    def __init__(self, store: WatchedStore, index: ShardIndex, executor: Executor, trusted: Callable[[], bool]) -> None:
        """`trusted` tells whether the index has all rows of the store."""
        self._store = store
        self._index = index
        self._executor = executor
        self._trusted = trusted

    async def scroll(self, order: Order, after: Position | None, limit: int, filter: Filter) -> tuple[list[Row], bool]:
        """Up to `limit` live rows that match, after the position `after`, in order; and whether there may be more."""
        placed: list[tuple[Position, Row]] = []
        size, more = 0, True
        while more and len(placed) < limit and size < pages.PAGE_BYTES:
            page = _Page(self._store, order, after, filter)
            chosen, more = await self._choose(page, limit - len(placed))
            end = chosen[-1][0] if chosen and more else None
            for at in range(0, len(chosen), pages.GET_CHUNK):
                part = chosen[at : at + pages.GET_CHUNK]
                found = await self._read(page.rows, [point for _, point in part])
                placed += [each for each in found if end is None or not order.precedes(end, each[0])]
                size += sum(pages.row_size(row) for _, row in found)
                if size >= pages.PAGE_BYTES:
                    more = more or at + pages.GET_CHUNK < len(chosen)
                    end = part[-1][0]
                    break
            after = end
        placed.sort(key=lambda each: each[0], reverse=order.descending)
        kept, size = 0, 0
        for _, row in placed[:limit]:
            size += pages.row_size(row)
            if kept and size > pages.PAGE_BYTES:
                break
            kept += 1
        return [row for _, row in placed[:kept]], more or kept < len(placed)

    async def _choose(self, page: _Page, limit: int) -> tuple[list[tuple[Position, PointId]], bool]:
        """The next points with their positions, and whether more follow."""
        found: InOrder | None = None
        if self._trusted():
            found = await self._read(self._index.in_order, page.order, page.after, limit, page.filter)
        if found is None:
            return await self._scan(page, limit)
        points = found.points
        if found.open:
            read = await self._read(page.rows, found.open)
            points = page.sorted([*points, *((place, row.id) for place, row in read)])
        return points[:limit], found.more or len(points) > limit

    async def _scan(self, page: _Page, limit: int) -> tuple[list[tuple[Position, PointId]], bool]:
        best: list[tuple[Position, PointId]] = []
        after, more, cut = b"", True, False
        while more:
            found, after, more = await self._read(page.scan, after)
            best = page.sorted([*best, *found])
            cut = cut or len(best) > limit
            del best[limit:]
        return best, cut

    async def _read(self, job: Callable[..., Any], *args: object) -> Any:
        return await self._executor.run("read", job, *args)


class _Page:
    """What one page asks of rows; blocking, for disk jobs."""

    def __init__(self, store: WatchedStore, order: Order, after: Position | None, filter: Filter) -> None:
        self._store = store
        self._place = order.reader()
        self._passes = compile_filter(filter)
        self.order = order
        self.after = after
        self.filter = filter

    def rows(self, ids: Sequence[PointId]) -> list[tuple[Position, Row]]:
        """Those of the rows of `ids` that belong here or further on, with their positions as they are now."""
        return self._placed(row for row in self._store.get(ids) if row is not None)

    def scan(self, after: bytes) -> tuple[list[tuple[Position, PointId]], bytes, bool]:
        """A stretch of all rows: points that belong here or further on, the id key it ends at, whether rows follow."""
        rows = self._store.scan(after, pages.SCAN_CHUNK)
        placed = [(place, row.id) for place, row in self._placed(rows)]
        return placed, encode_point_id(rows[-1].id) if rows else after, len(rows) == pages.SCAN_CHUNK

    def sorted(self, points: list[tuple[Position, PointId]]) -> list[tuple[Position, PointId]]:
        return sorted(points, key=lambda each: each[0], reverse=self.order.descending)

    def _placed(self, rows: Any) -> list[tuple[Position, Row]]:
        placed: list[tuple[Position, Row]] = []
        for row in rows:
            if row.payload is None:
                continue
            payload = unpack_payload(row.payload)
            place = self._place(payload, encode_point_id(row.id)) if self._passes(payload) else None
            if place is not None and (self.after is None or self.order.precedes(self.after, place)):
                placed.append((place, row))
        return placed
