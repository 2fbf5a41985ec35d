"""Counts and pages in the order of ids over one replica: by its payload index where that decides, else by reading rows.

Owns which way is taken and how much one disk job reads. Invariant: either way gives the live rows whose stored payload
passes, every acknowledged one among them: a row is in the index before its write is acknowledged.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

from vectron_p2p.model.ids import PointId, encode_point_id
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.query import planner
from vectron_p2p.query.filters import Filter, compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.index.matches import Matches
    from vectron_p2p.index.shard_index import ShardIndex
    from vectron_p2p.runtime import Executor
    from vectron_p2p.storage.records import Row
    from vectron_p2p.storage.watched import WatchedStore

SCAN_CHUNK = 512  # rows read per disk job of a scan: about 1 ms, so that writes and gets are not held up behind it
GET_CHUNK = 128  # rows got by id per disk job: a get costs some four times a row of a scan
SCAN_CHUNKS = 32  # of one answer to "which match": some 0.1 s, a fraction of any deadline

# of rows in one page of a scroll: a message has at most 32 MiB, and must not take long to pack
PAGE_BYTES = 8 * 1024 * 1024


class _Next(NamedTuple):
    """The next matches in the order of ids, those of `open` only perhaps; whether more follow."""

    ids: list[PointId]
    open: frozenset[PointId]
    more: bool


class Pages:
    """Of one replica."""

    def __init__(self, store: WatchedStore, index: ShardIndex, executor: Executor, trusted: Callable[[], bool]) -> None:
        """`trusted` tells whether the index has all rows of the store."""
        self._store = store
        self._index = index
        self._executor = executor
        self._trusted = trusted

    async def count(self, filter: Filter) -> int:
        """Live points that match."""
        if self._trusted():
            found: Matches = await self._read(self._index.matches, filter)
            if planner.worth_checking(undecided=found.open, points=found.points):
                ids, total = found.open_ids(), found.sure
                for at in range(0, len(ids), GET_CHUNK):
                    total += sum(await self._read(self.keep(filter), ids[at : at + GET_CHUNK]))
                return total
        total, after, more = 0, b"", True
        while more:
            rows, after, more = await self._read(self._scan, after, filter)
            total += len(rows)
        return total

    async def scroll(self, after: bytes, limit: int, filter: Filter | None) -> tuple[list[Row], bool]:
        """Up to `limit` live rows that match, after the id key `after`, in order; and whether there may be more."""
        rows: list[Row] = []
        size, more = 0, True
        while more and len(rows) < limit and size < PAGE_BYTES:
            chosen = await self._next(after, limit - len(rows), filter)
            if chosen is None:
                found, after, more = await self._read(self._scan, after, filter)
                rows.extend(found)
                size += sum(map(row_size, found))
                continue
            more = chosen.more
            for at in range(0, len(chosen.ids), GET_CHUNK):
                if size >= PAGE_BYTES:
                    more = True
                    break
                part = chosen.ids[at : at + GET_CHUNK]
                found = await self._read(self._passing, part, filter)
                after = encode_point_id(part[-1])
                rows.extend(found)
                size += sum(map(row_size, found))
        kept, size = 0, 0
        for row in rows[:limit]:
            size += row_size(row)
            if kept and size > PAGE_BYTES:
                break
            kept += 1
        return rows[:kept], more or kept < len(rows)

    async def matching(self, after: bytes, limit: int, filter: Filter | None) -> tuple[list[PointId], bytes, bool]:
        """Ids of live rows that match after the id key `after`, in order, `limit` or a few more; the id key up to which
        they are all; and whether rows follow.
        """
        chosen = await self._next(after, limit, filter)
        if chosen is not None:
            upto = encode_point_id(chosen.ids[-1]) if chosen.ids else after
            asked = [point for point in chosen.ids if point in chosen.open]
            if asked and filter is not None:
                verdicts = await self._read(self.keep(filter), asked)
                refused = {point for point, verdict in zip(asked, verdicts, strict=True) if not verdict}
                return [point for point in chosen.ids if point not in refused], upto, chosen.more
            return chosen.ids, upto, chosen.more
        ids: list[PointId] = []
        more, chunks = True, 0
        while more and len(ids) < limit and chunks < SCAN_CHUNKS:
            found, after, more = await self._read(self._scan, after, filter)
            ids += [row.id for row in found]
            chunks += 1
        return ids, after, more

    def keep(self, filter: Filter) -> Callable[[Sequence[PointId]], list[bool]]:
        """Which of some ids pass `filter`, by their stored payloads. Blocking."""
        passes, store = compile_filter(filter), self._store

        def keep(ids: Sequence[PointId]) -> list[bool]:
            return [
                row is not None and row.payload is not None and passes(unpack_payload(row.payload))
                for row in store.get(ids)
            ]

        return keep

    async def _next(self, after: bytes, limit: int, filter: Filter | None) -> _Next | None:
        """None: reading rows in their order is better."""
        if filter is None or not self._trusted():
            return None
        chosen: _Next | None = await self._read(self._by_index, after, limit, filter)
        return chosen

    def _by_index(self, after: bytes, limit: int, filter: Filter) -> _Next | None:
        found = self._index.matches(filter)
        matches = found.sure + found.open
        if found.open > planner.CHECK_AT_ONCE or not planner.sorted_by_id(
            limit=limit, matches=matches, points=found.points
        ):
            return None
        unsure = found.open_ids()
        keyed = ((encode_point_id(point), point) for point in (*found.sure_ids(), *unsure))
        chosen = heapq.nsmallest(limit + 1, (pair for pair in keyed if pair[0] > after), key=lambda pair: pair[0])
        return _Next([point for _, point in chosen[:limit]], frozenset(unsure), len(chosen) > limit)

    def _passing(self, ids: list[PointId], filter: Filter) -> list[Row]:
        """The rows of `ids` that are live and match as they are now."""
        passes = compile_filter(filter)
        return [
            row
            for row in self._store.get(ids)
            if row is not None and row.payload is not None and passes(unpack_payload(row.payload))
        ]

    def _scan(self, after: bytes, filter: Filter | None) -> tuple[list[Row], bytes, bool]:
        rows = self._store.scan(after, SCAN_CHUNK)
        passes = None if filter is None else compile_filter(filter)
        live = [
            row for row in rows if row.payload is not None and (passes is None or passes(unpack_payload(row.payload)))
        ]
        return live, encode_point_id(rows[-1].id) if rows else after, len(rows) == SCAN_CHUNK

    async def _read(self, job: Callable[..., Any], *args: object) -> Any:
        return await self._executor.run("read", job, *args)


def row_size(row: Row) -> int:
    return len(row.payload or b"") + len(row.vector or b"")
