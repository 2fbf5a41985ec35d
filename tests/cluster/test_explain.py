"""`explain`: what each shard was searched by, how, and how long it took."""

from __future__ import annotations

import pytest

from vectron_p2p.testing.cluster import open_cluster


@pytest.mark.parametrize("how", ["one", "quorum", "by group"])
async def test_each_shard_says_who_searched_it_and_what_it_took(how: str) -> None:
    async with open_cluster(seed=5) as cluster, cluster.client("n1") as db:
        cluster.network.set_delay(0.01, 0.02)
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=4, replicas=2)
        await docs.upsert(ids=range(50), vectors=[[n] for n in range(50)], payloads=[{"n": n % 5} for n in range(50)])
        assert (await docs.search([0])).plan is None
        found = await docs.search(
            [0],
            filter={"n": {"$lt": 2}},
            consistency="quorum" if how == "quorum" else "one",
            group_by="n" if how == "by group" else None,
            explain=True,
        )
        plan = found.plan
        assert plan
        assert {entry["shard"] for entry in plan} == {0, 1, 2, 3}
        nodes = {cluster.node(name).identity.node: name for name in ("n1", "n2", "n3")}
        owners = {r.shard.index: set() for name in nodes.values() for r in cluster.node(name).replicas.all()}  # type: ignore[var-annotated]
        for node, name in nodes.items():
            for replica in cluster.node(name).replicas.all():
                owners[replica.shard.index].add(node)
        for entry in plan:
            assert entry["node"] in owners[entry["shard"]]
            assert entry["name"] == nodes[entry["node"]]
            assert entry["answer_ms"] >= (0 if entry["name"] == "n1" else 20)
            assert entry["queue_ms"] + entry["search_ms"] + entry["rows_ms"] <= entry["answer_ms"]
            assert entry["plan"] == ("exact" if entry["matches"] else "empty")
            assert entry["scanned"] == entry["matches"] <= entry["points"]
        if how == "one":
            assert len(plan) == 4
            assert sum(entry["matches"] for entry in plan) == 20
            assert found.took_ms >= max(entry["answer_ms"] for entry in plan)
        elif how == "quorum":
            assert len(plan) == 8
        else:
            assert {entry["step"] for entry in plan} == {"find groups"}
