"""Payload fields of a shard are those of its live points, counted without a look at a stored payload."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.unit.index.doubles import Row, clustered, make, rebuild_all, row
from vectron_p2p.index.payload import census as counting
from vectron_p2p.index.payload import extract as extracting
from vectron_p2p.index.payload import payload_index
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields, joined

VECTORS = clustered(400, 4)


def written(number: int, payload: dict[str, Any], moment: int = 1) -> Row:
    return row(number, moment, VECTORS[number % 400], payload)


def fields(index: ShardIndex) -> dict[str, PayloadField]:
    found = index.census()
    assert found is not None
    return {each.name: each for each in found.fields}


def test_kinds_points_and_values() -> None:
    index = make(4)
    index.apply(
        [
            written(1, {"colour": "red", "n": 3, "in": {"x": 1.5}, "tags": ["a", 2]}),
            written(2, {"colour": "blue", "n": -4, "in": {}, "tags": []}),
            written(3, {"colour": None, "mixed": 1}),
            written(4, {"mixed": True, "long": "x" * 65}),
            written(5, {}),
        ]
    )
    found = fields(index)
    told = {name: (each.kinds, each.points, each.distinct, each.values) for name, each in found.items()}
    assert told == {
        "colour": (["keyword", "null"], 3, 3, ["blue", "red", None]),
        "n": (["int"], 2, 2, [-4, 3]),
        "in": (["object"], 2, 0, []),
        "in.x": (["float"], 1, 1, [1.5]),
        "tags": (["object", "keyword[]", "int[]"], 2, 2, ["a", 2]),
        "mixed": (["int", "bool"], 2, 2, [1, True]),
        "long": (["keyword"], 1, 0, []),
    }
    assert (found["n"].lowest, found["n"].highest) == (-4.0, 3.0)
    assert found["colour"].lowest is None
    assert [name for name, each in found.items() if not each.distinct_exact] == ["long"]
    assert type(found["n"].values[0]) is int
    assert all(each.bytes > 0 for each in found.values())


@pytest.mark.parametrize("step", [3, counting.STEP])
def test_only_live_points_count_whatever_came_and_went(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(counting, "STEP", step)
    random, index, live = Random(7), make(4), dict[int, dict[str, Any]]()
    for moment in range(1, 200):
        number = random.randrange(40)
        if random.random() < 0.3:
            index.apply([row(number, moment, None)])
            live.pop(number, None)
            continue
        payload: dict[str, Any] = {"n": random.randrange(50), "text": random.choice("abcdefg")}
        del payload[random.choice(["n", "text"])]
        index.apply([written(number, payload, moment)])
        live[number] = payload
    counts = Counter(name for payload in live.values() for name in payload)
    found = fields(index)
    assert {name: each.points for name, each in found.items()} == counts
    for name in counts:
        assert found[name].values == sorted({payload[name] for payload in live.values() if name in payload})
    rebuild_all(index)
    after = fields(index)
    assert {name: (each.kinds, each.points, each.values) for name, each in after.items()} == {
        name: (each.kinds, each.points, each.values) for name, each in found.items()
    }


def test_many_values_are_counted_or_said_to_be_more() -> None:
    index = make(4)
    index.apply([written(n, {"text": f"t{n}", "n": n, "big": 2**60 + n % 2}) for n in range(300)])
    found = fields(index)
    assert (found["text"].distinct, found["text"].distinct_exact, found["text"].values) == (300, True, [])
    assert found["n"].distinct > 32
    assert (found["n"].distinct_exact, found["n"].values, found["n"].highest) == (False, [], 299.0)
    assert not found["big"].distinct_exact


def test_what_the_index_does_not_hold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_index, "MAX_FIELDS", 1)
    monkeypatch.setattr(extracting, "MAX_TERMS", 2)
    index = make(4)
    index.apply(
        [written(1, {"a": 1}), written(2, {"b": 1}), written(3, {"a": 1, "b": 2, "c": 3}), written(4, {"a": 5})]
    )
    found = index.census()
    assert found is not None
    assert ([each.name for each in found.fields], found.points, found.unindexed) == (["a"], 4, 2)


def test_rare_fields_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_FIELDS", 2)
    index = make(4)
    index.apply([written(1, {"a": 1, "b": 1, "c": 1}), written(2, {"b": 2, "c": 2}), written(3, {"c": 3})])
    found = index.census()
    assert found is not None
    assert ([each.name for each in found.fields], found.more) == (["c", "b"], 1)


def test_nothing_is_said_until_payloads_are_indexed_after_a_start(tmp_path: Path) -> None:
    index = make(4, folder=tmp_path)
    index.load([written(1, {"a": 1})])
    assert index.census() is None
    index.index_payloads()
    assert list(fields(index)) == ["a"]


def part(*fields: PayloadField) -> PayloadFields:
    return PayloadFields("", 10, 1, list(fields), shards=1)


def test_the_sums_of_shards() -> None:
    found = joined(
        "docs",
        [
            part(PayloadField("a", ["int"], 4, 2, values=[1, 2], lowest=1.0, highest=2.0, bytes=10)),
            part(
                PayloadField("a", ["float"], 5, 2, values=[2.0, 3.5], lowest=2.0, highest=3.5, bytes=20),
                PayloadField("b", ["keyword"], 9, 1, values=["x"]),
            ),
            PayloadFields("", shards=1, missing_shards=1),
        ],
    )
    assert (found.collection, found.points, found.unindexed, found.shards, found.missing_shards) == (
        "docs",
        20,
        2,
        3,
        1,
    )
    a, b = found.fields
    assert (a.name, a.kinds, a.points, a.bytes) == ("a", ["int", "float"], 9, 30)
    assert (a.distinct, a.distinct_exact, a.values, a.lowest, a.highest) == (3, True, [1, 2, 3.5], 1.0, 3.5)
    assert (b.name, b.points) == ("b", 9)


def test_values_of_shards_that_are_too_many_together() -> None:
    texts = [[f"{shard}-{n}" for n in range(20)] for shard in range(3)]
    one, two, three = (part(PayloadField("a", ["keyword"], 20, 20, values=list(each))) for each in texts)
    (both,) = joined("docs", [one, two]).fields
    assert (both.distinct, both.distinct_exact, both.values) == (40, True, [])
    (all_of_them,) = joined("docs", [one, two, three]).fields
    assert (all_of_them.distinct, all_of_them.distinct_exact) == (40, False)  # at least: which 40 is not known any more
