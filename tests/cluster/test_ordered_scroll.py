"""Scrolls in the order of a payload field, over all shards: against what sorting in Python says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from vectron_p2p.index.payload import order
from vectron_p2p.model.errors import InvalidArgument, Unavailable
from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.node import pages
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.testing.client import SimClient

SIZE = 90
VALUES: list[Any] = [
    0, 1, 2, 2.0, 2.5, -3, 7, 2**53, 2**53 + 1, 2**64 - 1, float("inf"), "", "a", "b", "ab", "x" * 70, "x" * 71,
    True, None, {"x": 1}, [], [3, "c"], [-1, 9], ["b", None, "zz"], [True], float("nan"),
]  # fmt: skip


def payloads() -> list[dict[str, Any]]:
    rng = random.Random(4)
    drawn = [{"v": rng.choice(VALUES), "even": n % 2 == 0, "in": [{"v": n % 7}]} for n in range(SIZE)]
    for n in range(0, SIZE, 19):
        del drawn[n]["v"]
    return drawn


def ident(n: int) -> PointId:
    return n if n % 3 else f"id-{n}"


def place(value: Any) -> tuple[int, Any] | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value != value:
        return None
    return (1, value) if isinstance(value, str) else (0, value)


def truth(rows: list[dict[str, Any]], *, descending: bool, wanted: Any = None, start: Any = None) -> list[PointId]:
    placed = []
    for n, payload in enumerate(rows):
        if wanted is not None and not wanted(payload):
            continue
        held = payload.get("v")
        found = [each for each in map(place, held if isinstance(held, list) else [held]) if each is not None]
        if found:
            placed.append((max(found) if descending else min(found), encode_point_id(ident(n)), ident(n)))
    placed.sort(reverse=descending)
    first = place(start)
    if first is not None:
        placed = [each for each in placed if (each[0] <= first if descending else each[0] >= first)]
    return [point for _, _, point in placed]


async def filled(db: SimClient) -> tuple[AsyncCollection, list[dict[str, Any]]]:
    docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
    rows = payloads()
    ids = [ident(n) for n in range(SIZE)]
    await docs.upsert(ids=ids, vectors=[[n] for n in range(SIZE)], payloads=rows, consistency="all")
    return docs, rows


async def walk(docs: AsyncCollection, limit: int, **options: Any) -> list[PointId]:
    seen: list[PointId] = []
    cursor = None
    while True:
        page = await docs.scroll(limit=limit, cursor=cursor, **options)
        assert len(page.points) <= limit
        seen += [point.id for point in page.points]
        if page.cursor is None:
            return seen
        assert page.points
        cursor = page.cursor


@pytest.mark.parametrize("how", ["by the index", "by reading all rows", "in small pages"])
async def test_each_point_once_in_its_place(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "by reading all rows":
        monkeypatch.setattr(order, "CHECK_AT_ONCE", -1)
        monkeypatch.setattr(pages, "SCAN_CHUNK", 7)
    elif how == "in small pages":
        monkeypatch.setattr(pages, "PAGE_BYTES", 150)
        monkeypatch.setattr(pages, "GET_CHUNK", 3)
    async with open_cluster(seed=8) as cluster, cluster.client() as db:
        docs, rows = await filled(db)
        for descending in (False, True):
            by: dict[str, Any] = {"key": "v", "direction": "desc" if descending else "asc"}
            expected = truth(rows, descending=descending)
            for limit in (13, 1000) if how == "by the index" else (13,):
                assert await walk(docs, limit, order_by=by) == expected
            even = truth(rows, descending=descending, wanted=lambda payload: payload["even"])
            assert await walk(docs, 20, order_by=by, filter={"even": True}, with_vector=True) == even
            for start in (2, 1.5, 2**53, "a", "aa", "zzz", -9) if how == "by the index" else ():
                some = truth(rows, descending=descending, start=start)
                assert await walk(docs, 100, order_by={**by, "start_from": start}) == some
        assert await walk(docs, 30, order_by="v") == truth(rows, descending=False)
        assert await walk(docs, 40, order_by="nothing") == []
        nested = await walk(docs, 60, order_by="in.v")
        assert [n % 7 for n in map(number, nested)] == sorted(n % 7 for n in range(SIZE))


def number(point: PointId) -> int:
    return point if isinstance(point, int) else int(point.removeprefix("id-"))


async def test_a_cursor_keeps_its_place_while_points_come_go_and_change() -> None:
    async with open_cluster(seed=8) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4)
        await docs.upsert(ids=range(30), vectors=[[n] for n in range(30)], payloads=[{"v": n} for n in range(30)])
        first = await docs.scroll(order_by="v", limit=10)
        assert [point.id for point in first.points] == list(range(10))
        await docs.upsert(ids=[100, 101], vectors=[[0], [0]], payloads=[{"v": 3}, {"v": 15.5}])  # before and behind
        await docs.delete(ids=[9, 12])
        await docs.upsert(ids=[20, 4], vectors=[[0], [0]], payloads=[{"v": 1}, {"v": 29.5}])
        rest = await docs.scroll(order_by="v", limit=100, cursor=first.cursor)
        assert [point.id for point in rest.points] == [10, 11, 13, 14, 15, 101, 16, 17, 18, 19, *range(21, 30), 4]
        assert rest.cursor is None


async def test_what_ordered_scrolls_refuse() -> None:
    async with open_cluster(seed=8) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=1)
        await docs.upsert(ids=range(30), vectors=[[n] for n in range(30)], payloads=[{"v": n} for n in range(30)])
        by_id, by_v = (await docs.scroll(limit=3)).cursor, (await docs.scroll(limit=3, order_by="v")).cursor
        wrong: list[tuple[Any, Any, str]] = [
            (3, None, "order_by"),
            ("", None, "order_by"),
            ("$v", None, "order_by"),
            ({}, None, "order_by"),
            ({"key": 3}, None, "order_by"),
            ({"key": "v", "direction": "up"}, None, "order_by"),
            ({"key": "v", "start_from": True}, None, "order_by"),
            ({"key": "v", "start_from": [1]}, None, "order_by"),
            ({"key": "v", "start_from": float("nan")}, None, "order_by"),
            ({"key": "v", "start_from": object()}, None, "order_by"),
            ({"key": "v", "reverse": True}, None, "order_by"),
            ("v", by_id, "cursor"),
            (None, by_v, "cursor"),
            ("w", by_v, "cursor"),
            ({"key": "v", "direction": "desc"}, by_v, "cursor"),
            ("v", "nonsense", "cursor"),
        ]
        for order_by, cursor, field in wrong:
            with pytest.raises(InvalidArgument) as caught:
                await docs.scroll(order_by=order_by, cursor=cursor)
            assert caught.value.field == field, order_by
        cluster.kill("n3")
        with pytest.raises(Unavailable) as gone:
            await db.collection("docs").scroll(order_by="v")
        assert gone.value.missing_shards
