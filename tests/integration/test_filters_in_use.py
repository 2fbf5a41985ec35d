"""A filter that is asked again and again: a node links a graph for it by itself, and answers from that."""

from __future__ import annotations

from vectron_p2p import connect
from vectron_p2p.bench.data import nearest, sample_data
from vectron_p2p.bench.figures import recall
from vectron_p2p.testing.processes import wait_for

K, EF = 10, 48


def test_it_gets_a_graph_of_its_own_and_answers_stay_as_good() -> None:
    data = sample_data()
    kept = [row for row, payload in enumerate(data.payloads) if payload["pos"] == "noun"]
    wanted = [[data.ids[kept[at]] for at in rows] for rows in nearest(data.vectors[kept], data.queries, K).tolist()]
    with connect(":memory:") as db:
        docs = db.create_collection("docs", dimension=data.dimension, shards=1)
        docs.upload({"ids": data.ids, "vectors": data.vectors, "payloads": data.payloads})
        points: list[int] = []

        def ask() -> float:
            results = docs.search_batch(data.queries, k=K, ef=EF, filter={"pos": "noun"}, with_payload=False)
            return recall(([hit.id for hit in result] for result in results), wanted)

        def linked() -> bool | None:
            plan = docs.search(data.queries[0], k=K, ef=EF, filter={"pos": "noun"}, explain=True).plan
            assert plan is not None
            points.append(plan[0].get("subgraph", -1))
            assert ask() >= 0.97
            return points[-1] > 0 or None

        wait_for(linked, 90, "the graph of a filter")
        assert points[0] == -1
        assert points[-1] <= len(kept)
        docs.upsert([{"id": "new", "vector": -data.vectors[kept[0]], "payload": {"pos": "noun"}}])
        found = docs.search(-data.vectors[kept[0]], k=1, filter={"pos": "noun"})
        assert [hit.id for hit in found] == ["new"]
        docs.delete(ids=["new"])
        assert ask() >= 0.97
