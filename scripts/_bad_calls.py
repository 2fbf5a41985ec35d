"""Calls that must be refused, each with the error it must give: through the client library and as raw requests.

A raw request goes around the client's own checks, as a foreign client's would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p import Client

COLLECTION = "limits"
DIMENSION = 8
GOOD = [1.0] + [0.0] * (DIMENSION - 1)
POINTS = 50


@dataclass(frozen=True, slots=True)
class BadCall:
    """`field`: whether the error must name one."""

    name: str
    call: Callable[[Client], object]
    code: str = "invalid_argument"
    field: bool = True


def nested(depth: int) -> dict[str, Any]:
    """A dict `depth` deep."""
    inner: dict[str, Any] = {}
    for _ in range(depth - 1):
        inner = {"a": inner}
    return inner


def deep_filter(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        inner = {"$not": inner}
    return inner


def _upsert(**columns: Any) -> Callable[[Client], object]:
    arguments = {"ids": [1], "vectors": [GOOD], "payloads": None, **columns}
    return lambda db: db.collection(COLLECTION).upsert(**arguments)


def _search(*vector: Any, **options: Any) -> Callable[[Client], object]:
    return lambda db: db.collection(COLLECTION).search(*vector, **options)


def _call(method: str, *arguments: Any, **options: Any) -> Callable[[Client], object]:
    return lambda db: getattr(db.collection(COLLECTION), method)(*arguments, **options)


def _create(name: Any = "other", **options: Any) -> Callable[[Client], object]:
    arguments = {"dimension": 4, **options}
    return lambda db: db.create_collection(name, **arguments)


def client_calls() -> list[BadCall]:
    """One per limit of the interface."""
    bad_ids = ["", "x" * 513, "é" * 257, "\ud800", -1, 2**64, True, 1.5, None, b"x", [1]]
    bad_vectors: list[tuple[str, Any]] = [
        ("dimension 7 of 8", [0.1] * 7), ("dimension 9 of 8", [0.1] * 9), ("NaN", [float("nan"), *GOOD[1:]]),
        ("infinity", [float("inf"), *GOOD[1:]]), ("beyond float32", [1e39, *GOOD[1:]]), ("zero, cosine", [0.0] * 8),
        ("text", ["a"] * 8), ("empty", []), ("4097 dimensions", [0.1] * 4097), ("complex", np.ones(8, complex)),
    ]  # fmt: skip
    bad_payloads: list[tuple[str, Any]] = [
        ("a list", [1]), ("over 64 KiB", {"a": "x" * 65536}), ("17 deep", nested(17)), ("int of 65 bits", {"a": 2**64}),
        ("int of -65 bits", {"a": -(2**63) - 1}), ("int key", {1: 2}), ("bytes", {"a": b"x"}), ("set", {"a": {1}}),
    ]  # fmt: skip
    bad_filters: list[tuple[str, Any]] = [
        ("unknown operator", {"a": {"$foo": 1}}), ("unknown logic", {"$xor": []}), ("$in of an int", {"a": {"$in": 3}}),
        ("$gt of a list", {"a": {"$gt": [1]}}), ("$exists of text", {"a": {"$exists": "yes"}}),
        ("$and of a dict", {"$and": {}}), ("no dict", [1]), ("17 deep", deep_filter(17)),
        ("1,001 conditions", {"$or": [{"a": i} for i in range(1001)]}),
    ]  # fmt: skip
    calls = [BadCall(f"id {value!r:.20}", _upsert(ids=[value])) for value in bad_ids]
    calls += [BadCall(f"get id {value!r:.20}", _call("get", [value])) for value in bad_ids]
    calls += [BadCall(f"delete id {value!r:.20}", _call("delete", ids=[value])) for value in bad_ids]
    calls += [BadCall(f"upsert vector: {name}", _upsert(vectors=[value])) for name, value in bad_vectors]
    calls += [BadCall(f"search vector: {name}", _search(value)) for name, value in bad_vectors]
    calls += [BadCall(f"payload: {name}", _upsert(payloads=[value])) for name, value in bad_payloads]
    calls += [BadCall(f"filter: {name}", _search(GOOD, filter=value)) for name, value in bad_filters]
    calls += [BadCall(f"count filter: {name}", _call("count", filter=value)) for name, value in bad_filters]
    calls += [BadCall(f"k={k!r}", _search(GOOD, k=k)) for k in (0, -1, 10_001, 1.5, "x", True)]
    calls += [BadCall(f"ef={ef!r}", _search(GOOD, ef=ef)) for ef in (0, -1, "x")]
    calls += [
        BadCall("ragged vectors", _upsert(ids=[1, 2], vectors=[GOOD, GOOD[:3]])),
        BadCall("two ids, one vector", _upsert(ids=[1, 2])),
        BadCall("two ids, one payload", _upsert(ids=[1, 2], vectors=[GOOD] * 2, payloads=[{}])),
        BadCall("offset + k over 10,000", _search(GOOD, k=10, offset=9_991)),
        BadCall("offset -1", _search(GOOD, offset=-1)),
        BadCall("threshold as text", _search(GOOD, score_threshold="x")),
        BadCall("threshold NaN", _search(GOOD, score_threshold=float("nan"))),
        BadCall("consistency", _search(GOOD, consistency="two")),
        BadCall("upsert consistency", _upsert(consistency="two")),
        BadCall("timeout -1", _search(GOOD, timeout=-1)),
        BadCall("vector and id", _search(GOOD, id=1)),
        BadCall("neither vector nor id", _search()),
        BadCall("id of no point", _search(id="nobody"), "not_found", field=False),
        BadCall("scroll limit 0", _call("scroll", limit=0)),
        BadCall("scroll cursor", _call("scroll", cursor="no cursor")),
        BadCall("unknown collection", lambda db: db.collection("nobody").count(), "not_found", field=False),
        BadCall("delete unknown collection", lambda db: db.delete_collection("nobody"), "not_found", field=False),
        BadCall("existing collection", _create(COLLECTION), "already_exists", field=False),
    ]
    calls += [
        BadCall(f"collection name {name!r:.12}", _create(name)) for name in ("", "a b", "a/b", "x" * 129, "é", 5, None)
    ]
    for field, values in {
        "dimension": (0, -1, 4097, 1.5, "4", True), "metric": ("euclid", None, 1), "shards": (0, 3, 512, "2"),
        "replicas": (0, 17, "3"), "m": (1, 1000), "ef_construction": (0, 100_000),
    }.items():  # fmt: skip
        calls += [BadCall(f"{field}={value!r}", _create(**{field: value})) for value in values]
    return calls


def raw_requests() -> list[tuple[str, Any]]:
    """Requests that a node must refuse as invalid, naming the field."""
    vector = np.asarray(GOOD, np.float32).tobytes()
    empty = msgpack.packb({})

    def upsert(**columns: Any) -> m.Upsert:
        given = {
            "collection": COLLECTION, "ids": [1], "dimension": DIMENSION, "vectors": vector, "payloads": [empty],
            "consistency": "quorum", "operation_id": "raw",
        }  # fmt: skip
        return m.Upsert(**{**given, **columns})

    def search(**options: Any) -> m.Search:
        given = {
            "collection": COLLECTION, "vectors": vector, "count": 1, "dimension": DIMENSION, "id": None, "k": 10,
            "offset": 0, "filter": None, "ef": None, "exact": False, "score_threshold": None, "with_payload": True,
            "with_vector": False, "consistency": "one", "timeout": None, "explain": False,
        }  # fmt: skip
        return m.Search(**{**given, **options})

    nan = np.full(DIMENSION, np.nan, np.float32).tobytes()
    zero = bytes(len(vector))
    return [
        ("upsert: bytes missing", upsert(vectors=vector[:-1])),
        ("upsert: no vectors", upsert(vectors=b"")),
        ("upsert: dimension of a lie", upsert(dimension=DIMENSION - 1)),
        ("upsert: dimension 0", upsert(dimension=0)),
        ("upsert: dimension 2**62", upsert(dimension=2**62)),
        ("upsert: NaN", upsert(vectors=nan)),
        ("upsert: zero vector", upsert(vectors=zero)),
        ("upsert: no payloads", upsert(payloads=[])),
        ("upsert: payload is no msgpack", upsert(payloads=[b"\xc1"])),
        ("upsert: payload claims 4 billion items", upsert(payloads=[b"\xdf\xff\xff\xff\xff"])),
        ("upsert: payload nested 10,000 deep", upsert(payloads=[b"\x81\xa1a" * 10_000 + b"\x80"])),
        ("upsert: payload of 65 KiB", upsert(payloads=[msgpack.packb({"a": "x" * 66_000})])),
        ("upsert: payload is a list", upsert(payloads=[b"\x90"])),
        ("upsert: id too long", upsert(ids=["x" * 513])),
        ("upsert: empty id", upsert(ids=[""])),
        ("upsert: negative id", upsert(ids=[-1])),
        ("upsert: consistency", upsert(consistency="most")),
        ("upsert: collection name", upsert(collection="a/../b")),
        ("delete: id", m.Delete(COLLECTION, [-5], "quorum", "raw")),
        ("get: id", m.Get(COLLECTION, [""], False, True, "quorum")),
        ("search: bytes missing", search(vectors=vector[:-4])),
        ("search: count of a lie", search(count=2)),
        ("search: count -1", search(count=-1)),
        ("search: count 2**40", search(count=2**40)),
        ("search: NaN", search(vectors=nan)),
        ("search: zero vector", search(vectors=zero)),
        ("search: k 0", search(k=0)),
        ("search: k 2**40", search(k=2**40)),
        ("search: offset", search(offset=10_000)),
        ("search: ef", search(ef=-1)),
        ("search: filter", search(filter={"a": {"$where": "1"}})),
        ("search: deep filter", search(filter=deep_filter(25))),
        ("count: filter", m.Count(COLLECTION, {"$nor": []})),
        ("scroll: limit", m.Scroll(COLLECTION, None, 2**40, None, True)),
        ("scroll: cursor", m.Scroll(COLLECTION, None, 10, "\x00", False)),
        ("create: name", m.CreateCollection("", 4, "cosine", 1, 1, 16, 100, False, "raw-1")),
        ("create: dimension", m.CreateCollection("a", 2**40, "cosine", 1, 1, 16, 100, False, "raw-2")),
        ("create: shards", m.CreateCollection("a", 4, "cosine", 2**40, 1, 16, 100, False, "raw-3")),
        ("create: metric", m.CreateCollection("a", 4, "hamming", 1, 1, 16, 100, False, "raw-4")),
    ]
