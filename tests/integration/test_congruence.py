"""The same calls give the same answers: blocking and asynchronous, on trio and asyncio, embedded and on a cluster."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.integration.nodes import DIMENSION, vectors
from vectron_p2p import AsyncClient, connect, errors
from vectron_p2p.model.points import SearchResult
from vectron_p2p.testing import ProcessCluster

pytestmark = pytest.mark.processes

ROWS = 60
DATA = vectors(ROWS)
IDS: list[Any] = [n if n % 2 else f"id-{n}" for n in range(ROWS)]
PAYLOADS = [{"n": n, "even": n % 2 == 0, "tags": ["all", f"t{n % 3}"]} for n in range(ROWS)]


def script(db: Any, name: str, metric: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls with a name each. What a call returns (an awaitable of it, on the asynchronous client) is compared."""
    docs = db.collection(name)
    query = vectors(1, seed=5)[0]
    everywhere: Any = {"consistency": "all"}  # so that what one owner says next is what all say
    yield "create", partial(db.create_collection, name, dimension=DIMENSION, metric=metric, shards=2)
    yield "create again", partial(db.create_collection, name, dimension=DIMENSION)
    yield "list", db.list_collections
    yield "empty search", partial(docs.search, query)
    yield "upsert arrays", partial(docs.upsert, ids=IDS[:20], vectors=DATA[:20], payloads=PAYLOADS[:20], **everywhere)
    rows = [{"id": IDS[n], "vector": DATA[n].tolist(), "payload": PAYLOADS[n]} for n in range(20, 30)]
    yield "upsert rows", partial(docs.upsert, rows, **everywhere)
    yield "upsert tuples", partial(docs.upsert, [(IDS[n], DATA[n], PAYLOADS[n]) for n in range(30, 40)], **everywhere)
    arrays = {"ids": IDS[40:], "vectors": DATA[40:], "payloads": PAYLOADS[40:]}
    yield "upload", partial(docs.upload, arrays, batch_size=6, **everywhere)
    yield (
        "duplicates",
        partial(docs.upsert, ids=[1, 1], vectors=DATA[:2], payloads=[{"n": "a"}, {"n": "b"}], **everywhere),
    )
    yield "int and str", partial(docs.upsert, ids=["1"], vectors=DATA[2:3], **everywhere)
    yield "get", partial(docs.get, [1, "1", "id-2", "nothing", 2**64 - 1], with_vector=True)
    yield "get bare", partial(docs.get, [1], with_payload=False, consistency="one")
    for consistency in ("one", "quorum", "all"):
        yield f"search {consistency}", partial(docs.search, query, k=7, consistency=consistency)
    yield "search whole", partial(docs.search, query, k=1000, with_vector=True, with_payload=False, exact=True)
    yield "search page", partial(docs.search, query, k=5, offset=50)
    yield "search like", partial(docs.search, id="id-4", k=3)
    yield "search like nothing", partial(docs.search, id="nothing")
    yield "search filter", partial(docs.search, query, filter={"even": True, "tags": "t1", "n": {"$gte": 10}})
    yield "search threshold", partial(docs.search, query, k=100, score_threshold=2.0 if metric == "l2" else 0.2)
    yield "search batch", partial(docs.search_batch, DATA[:3], k=2)
    yield "search by group", partial(docs.search, query, k=3, group_by="tags", group_size=4, exact=True)
    yield "recommend", partial(docs.recommend, ["id-4", 7], [9], k=4)
    yield "recommend nothing", partial(docs.recommend, ["nothing"])
    yield "count", docs.count
    yield "count filter", partial(docs.count, filter={"$or": [{"n": {"$lt": 5}}, {"tags": {"$contains": "t2"}}]})
    yield "scroll", partial(docs.scroll, limit=7)
    yield "scroll filter", partial(docs.scroll, filter={"even": False}, limit=1000, with_vector=True)
    yield "scroll in order", partial(docs.scroll, limit=9, order_by={"key": "n", "direction": "desc", "start_from": 40})
    yield "delete", partial(docs.delete, ids=[1, "1", "never there"], **everywhere)
    yield "deleted", partial(docs.get, [1, "1"])
    yield "deleted search", partial(docs.search, DATA[1], k=1000)
    yield "back", partial(docs.upsert, ids=[1], vectors=DATA[:1], **everywhere)
    yield "count again", docs.count
    yield "info", docs.info
    yield "bad vector", partial(docs.search, [1.0, 2.0])
    yield "bad number", partial(docs.search, [float("nan")] * DIMENSION)
    yield "bad k", partial(docs.search, query, k=0)
    yield "bad window", partial(docs.search, query, k=10_000, offset=1)
    yield "bad filter", partial(docs.count, filter={"n": {"$foo": 1}})
    yield "bad id", partial(docs.upsert, ids=[True], vectors=DATA[:1])
    yield "bad consistency", partial(docs.upsert, ids=[1], vectors=DATA[:1], consistency="most")
    yield "bad payload", partial(docs.upsert, ids=[1], vectors=DATA[:1], payloads=[{"x": object()}])
    yield "too large", partial(docs.upsert, ids=[1], vectors=DATA[:1], payloads=[{"x": "y" * 70_000}])
    yield "bad group", partial(docs.search, query, group_by=7)
    yield "bad order", partial(docs.scroll, order_by=7)
    yield "bad cursor", partial(docs.scroll, cursor="nonsense")
    yield "no collection", db.collection("nothing").count
    yield "drop", partial(db.delete_collection, name)
    yield "dropped", docs.count
    yield "drop again", partial(db.delete_collection, name)


def comparable(value: Any) -> Any:
    """What must be equal everywhere: no versions, operation ids, times, sizes."""
    if isinstance(value, errors.VectronError):
        return type(value).__name__, value.field, value.retryable
    if isinstance(value, np.ndarray):
        assert value.dtype == np.float32
        return value.tolist()
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-5)
    if isinstance(value, SearchResult):
        shown = {name: comparable(item) for name, item in value.as_dict().items() if name not in ("took_ms", "plan")}
        return type(value).__name__, shown
    if hasattr(value, "__dataclass_fields__"):
        own = {"version", "operation_id", "took_ms", "seconds", "bytes", "indexed", "cursor", "plan"}
        fields = {name: getattr(value, name) for name in value.__dataclass_fields__ if name not in own}
        if "metric" in fields:  # a collection: its id differs, its figures depend on which owners have opened it
            fields = {name: fields[name] for name in ("name", "dimension", "metric", "shards", "replicas")}
        if hasattr(value, "cursor"):
            fields["more"] = value.cursor is not None
        return type(value).__name__, {name: comparable(item) for name, item in fields.items()}
    if type(value).__name__ in ("Collection", "AsyncCollection"):
        return value.name
    return value


def blocking(target: str, name: str, metric: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    with connect(target) as db:
        for label, call in script(db, name, metric):
            try:
                answers[label] = comparable(call())
            except errors.VectronError as error:
                answers[label] = comparable(error)
    return answers


async def asynchronous(target: str, name: str, metric: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    async with AsyncClient(target) as db:
        for label, call in script(db, name, metric):
            try:
                pending = call()
                assert inspect.isawaitable(pending), label
                answers[label] = comparable(await pending)
            except errors.VectronError as error:
                answers[label] = comparable(error)
    return answers


@pytest.fixture(scope="module", params=["cosine", "dot", "l2"])
def metric(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def expected(metric: str) -> dict[str, Any]:
    """The answers of an embedded node through the blocking client."""
    return blocking(":memory:", "docs", metric)


def test_the_answers_themselves(expected: dict[str, Any], metric: str) -> None:
    """That they are equal everywhere says little when they are wrong everywhere."""
    assert expected["create"] == "docs"
    assert expected["create again"] == ("AlreadyExists", "name", False)
    assert expected["empty search"][1]["hits"] == []
    assert expected["upload"][1]["sent"] == 20
    assert expected["duplicates"] == ("WriteResult", {"count": 1})
    got = expected["get"]
    assert [point and point[1]["id"] for point in got] == [1, "1", "id-2", None, None]
    assert got[0][1]["payload"] == {"n": "b"}
    assert got[0][1]["vector"] == DATA[1].tolist()
    query = vectors(1, seed=5)[0]
    stored = np.concatenate([DATA, DATA[2:3]])
    if metric == "cosine":
        scores = stored @ query / np.linalg.norm(stored, axis=1) / np.linalg.norm(query)
    elif metric == "dot":
        scores = stored @ query
    else:
        scores = np.linalg.norm(stored - query, axis=1)
    best = sorted(scores.tolist(), reverse=metric != "l2")
    for consistency in ("one", "quorum", "all"):
        assert [hit[1]["score"] for hit in expected[f"search {consistency}"][1]["hits"]] == pytest.approx(
            best[:7], abs=1e-4
        )
    assert len(expected["search whole"][1]["hits"]) == ROWS + 1
    assert len(expected["search page"][1]["hits"]) == 5
    assert "id-4" not in [hit[1]["id"] for hit in expected["search like"][1]["hits"]]
    assert expected["search like nothing"][0] == "NotFound"
    assert (expected["count"], expected["count again"]) == (ROWS + 1, ROWS)
    assert expected["deleted"] == [None, None]
    assert not {1, "1"} & {hit[1]["id"] for hit in expected["deleted search"][1]["hits"]}
    for label in (each for each in expected if each.startswith("bad") or each == "too large"):
        assert expected[label][0] == "InvalidArgument", label
    for label in ("no collection", "dropped", "drop again"):
        assert expected[label][0] == "NotFound", label
    assert expected["drop"] is None


def test_blocking_on_a_cluster(cluster: ProcessCluster, expected: dict[str, Any], metric: str) -> None:
    assert blocking(cluster.connect, "docs", metric) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asynchronous_on_a_cluster(
    cluster: ProcessCluster, expected: dict[str, Any], metric: str, anyio_backend: str
) -> None:
    assert await asynchronous(cluster.connect, "docs", metric) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asynchronous_embedded(expected: dict[str, Any], metric: str, anyio_backend: str) -> None:
    assert await asynchronous(":memory:", "docs", metric) == expected
