"""Collections that index some payload fields or none answer as others do, and say what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from vectron_p2p.index.payload import payload_index
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.testing.cluster import open_cluster

ROWS: list[dict[str, Any]] = [{"n": n % 7, "text": f"t{n % 5}", "in": {"x": n % 3}} for n in range(60)]


@pytest.mark.parametrize(("wanted", "shown"), [(True, True), (False, False), (["n", "in", "n"], ["in", "n"])])
async def test_any_choice_gives_the_same_answers(wanted: Any, shown: Any) -> None:
    async with open_cluster(seed=6) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2, payload_index=wanted)
        await docs.upsert(ids=range(60), vectors=[[n] for n in range(60)], payloads=ROWS, consistency="all")
        for filter in (
            {"n": 3},
            {"text": "t2", "n": {"$lt": 4}},
            {"in.x": 1},
            {"missing": None, "text": {"$ne": "t1"}},
        ):
            passing = [n for n, row in enumerate(ROWS) if matches(filter, row)]
            assert [hit.id for hit in await docs.search([0], k=60, filter=filter)] == passing
            assert await docs.count(filter=filter) == len(passing)
        grouped = await docs.search([0], k=9, group_by="text")
        assert [group.value for group in grouped.groups or []] == ["t0", "t1", "t2", "t3", "t4"]
        page = await docs.scroll(order_by={"key": "text", "direction": "desc"}, limit=5)
        assert {point.payload["text"] for point in page.points if point.payload} == {"t4"}
        await cluster.stop("n3")
        await cluster.start("n3")  # from its own disk: catalog and rows
        info = await docs.info()
        assert info.payload_index == shown
        assert info.payload_unindexed == 0
        assert (info.payload_bytes > 3_000) == bool(wanted)


def matches(filter: dict[str, Any], row: dict[str, Any]) -> bool:
    held = {**row, "in.x": row["in"]["x"]}
    tests = {
        "n": lambda want: held["n"] < want["$lt"] if isinstance(want, dict) else held["n"] == want,
        "text": lambda want: held["text"] != want["$ne"] if isinstance(want, dict) else held["text"] == want,
        "in.x": lambda want: held["in.x"] == want,
        "missing": lambda want: want is None,
    }
    return all(tests[name](want) for name, want in filter.items())


async def test_points_without_room_in_the_index_are_read_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_index, "MAX_BYTES", 0)
    async with open_cluster(nodes=1, seed=6) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        for n in range(60):
            await docs.upsert(ids=[n], vectors=[[n]], payloads=[ROWS[n]])
        found = await docs.search([0], k=60, filter={"n": 3}, explain=True)
        assert [hit.id for hit in found] == list(range(3, 60, 7))
        info = await docs.info()
        assert info.payload_unindexed > 50
        assert sum(entry.get("unindexed", 0) for entry in found.plan or []) == info.payload_unindexed
        assert (await db.status()).nodes[0].payload_bytes == info.payload_bytes


@pytest.mark.parametrize("wanted", ["n", 3, None, [3], [""], [f"f{n}" for n in range(65)], {"n": True}])
async def test_what_is_no_choice_of_fields(wanted: Any) -> None:
    async with open_cluster(nodes=1, seed=6) as cluster, cluster.client() as db:
        with pytest.raises(InvalidArgument) as caught:
            await db.create_collection("docs", dimension=1, payload_index=wanted)
        assert caught.value.field == "payload_index"
