"""Counts and pages of one replica: by the index, by reading rows, and from one to the other, all give the same."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import numpy as np
import pytest

from tests.unit.index.doubles import InlineExecutor
from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.node import pages
from vectron_p2p.node.pages import Pages
from vectron_p2p.query import planner
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.replication.version import make_version
from vectron_p2p.runtime.crew import ThreadCrew
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.watched import WatchedStore
from vectron_p2p.testing.disk import SimDisk

NODE = NodeId("00000000-0000-4000-8000-000000000001")
COUNT = 700
FILTERS: list[dict[str, Any]] = [
    {"number": {"$lt": 20}}, {"number": {"$gte": 20}}, {"number": 7}, {"number": {"$exists": False}}, {"none": 1},
    {"text": {"$contains": "5"}}, {"$or": [{"number": 3}, {"text": {"$contains": "5"}}]},
    {"number": {"$lt": 5}, "text": {"$contains": "5"}},
]  # fmt: skip


def live(point: PointId, stamp: int, number: int) -> Row:
    payload = {"number": number, "text": f"{'long ' * 20}{number}"}
    return Row(point, make_version(stamp, NODE, bytes(16)), np.ones(2, "<f4").tobytes(), msgpack.packb(payload))


class Replica:
    """A store and its index, kept in step as a replica does, until `index` is left out."""

    def __init__(self) -> None:
        self.store = WatchedStore(SimDisk(random.Random(7)).open("shard"))
        self.index = ShardIndex(IndexOptions(2, "l2"), None, link_threads=ThreadCrew(1))
        self.trusted = True
        self.pages = Pages(self.store, self.index, InlineExecutor(), lambda: self.trusted)

    def write(self, rows: list[Row]) -> None:
        self.store.apply(rows, lambda stamp, held: True)
        if self.trusted:
            self.index.apply(rows)

    def expected(self, source: dict[str, Any]) -> list[PointId]:
        tree = parse_filter(source)
        rows = self.store.scan(b"", 10_000)
        return [row.id for row in rows if row.payload is not None and matches(tree, msgpack.unpackb(row.payload))]


@pytest.fixture
def replica() -> Replica:
    made = Replica()
    numbers = random.Random(3)
    ids: list[PointId] = [i if i % 3 else f"id-{i}" for i in range(COUNT)]
    made.write([live(point, 1, numbers.randrange(40)) for point in ids])
    made.write([live(point, 2, numbers.randrange(40)) for point in ids[::5]])
    made.write([Row(point, make_version(3, NODE, bytes(16)), None, None) for point in ids[::7]])
    return made


async def scrolled(replica: Replica, source: dict[str, Any] | None, limit: int) -> list[PointId]:
    tree = None if source is None else parse_filter(source)
    seen: list[PointId] = []
    after, more = b"", True
    while more:
        rows, more = await replica.pages.scroll(after, limit, tree)
        assert len(rows) <= limit
        assert rows or not more
        seen += [row.id for row in rows]
        after = encode_point_id(rows[-1].id) if rows else after
    return seen


async def matched(replica: Replica, source: dict[str, Any], limit: int) -> list[PointId]:
    seen: list[PointId] = []
    after, more = b"", True
    while more:
        before = after
        ids, after, more = await replica.pages.matching(after, limit, parse_filter(source))
        assert all(before < encode_point_id(point) <= after for point in ids)
        assert after > before or not more
        seen += ids
    return seen


@pytest.mark.parametrize("source", FILTERS)
@pytest.mark.parametrize("way", ["as planned", "index", "rows", "untrusted"])
@pytest.mark.parametrize("limit", [1_000, 13])
async def test_every_way_gives_the_same(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any], way: str, limit: int
) -> None:
    if way in ("index", "rows"):
        monkeypatch.setattr(planner, "sorted_by_id", lambda **_: way == "index")
        monkeypatch.setattr(planner, "worth_checking", lambda **_: way == "index")
        monkeypatch.setattr(planner, "CHECK_AT_ONCE", COUNT if way == "index" else -1)
    if way == "untrusted":
        replica.trusted = False
        replica.write([live(point, 9, 7) for point in range(10_000, 10_020)])  # in the store alone
    wanted = replica.expected(source)
    assert await replica.pages.count(parse_filter(source)) == len(wanted)
    assert await scrolled(replica, source, limit) == wanted
    assert await matched(replica, source, limit) == wanted


@pytest.mark.parametrize("by_index", [True, False])
async def test_pages_cut_for_size(replica: Replica, monkeypatch: pytest.MonkeyPatch, by_index: bool) -> None:
    monkeypatch.setattr(planner, "sorted_by_id", lambda **_: by_index)
    monkeypatch.setattr(pages, "PAGE_BYTES", 1_000)
    monkeypatch.setattr(pages, "GET_CHUNK", 4)
    source = {"number": {"$lt": 20}}
    assert await scrolled(replica, source, 100) == replica.expected(source)


async def test_a_page_without_a_filter(replica: Replica) -> None:
    assert await scrolled(replica, None, 90) == replica.expected({})


async def test_an_answer_by_the_index_reads_no_row_that_does_not_match(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[PointId] = []
    get = WatchedStore.get

    def counted(store: WatchedStore, ids: Any) -> Any:
        read.extend(ids)
        return get(store, ids)

    monkeypatch.setattr(WatchedStore, "get", counted)
    monkeypatch.setattr(WatchedStore, "scan", lambda *_: pytest.fail("read the rows in their order"))
    tree = parse_filter({"number": 7})
    count = await replica.pages.count(tree)
    assert count > 5
    assert not read
    rows, more = await replica.pages.scroll(b"", 5, tree)
    assert (len(rows), more, read) == (5, True, [row.id for row in rows])
    ids, _, more = await replica.pages.matching(b"", 1_000, tree)
    assert (len(ids), more, len(read)) == (count, False, 5)


async def test_rows_that_change_between_index_and_read_are_judged_as_they_are(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "sorted_by_id", lambda **_: True)
    before = replica.expected({"number": 7})
    changed = before[:3]
    replica.store.apply([live(point, 9, 8) for point in changed], lambda stamp, held: True)  # the index comes after
    assert await scrolled(replica, {"number": 7}, 2) == before[3:]
