"""What the payload index leaves open, and why; its memory; its rows after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from tests.unit.index.doubles import Row, clustered, link_all, make, rebuild_all, row
from vectron_p2p.index.payload import extract as extracting
from vectron_p2p.index.payload import payload_index, verdicts
from vectron_p2p.index.payload.extract import extract
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.query.filters import parse_filter


def fill(index: PayloadIndex, packed: list[bytes | None], first: int = 0) -> None:
    index.add(extract(packed), np.arange(first, first + len(packed), dtype=np.int32))


def masks(index: PayloadIndex, source: dict[str, Any], end: int) -> tuple[list[bool], list[bool]]:
    found = index.masks(parse_filter(source), end)
    return found.sure.tolist(), found.possible.tolist()


PACKED: list[bytes | None] = [msgpack.packb(payload) for payload in ({"a": 1, "b": 2}, {"a": None}, {})]
EVERY_KIND: list[dict[str, Any]] = [
    {"b": None}, {"b": 2}, {"b": {"$ne": 2}}, {"b": {"$exists": False}}, {"b": {"$gt": 1}}, {"c": None}, {"c": 5},
]  # fmt: skip


@pytest.mark.parametrize("source", EVERY_KIND)
@pytest.mark.parametrize("bad", [None, b"", b"\xc1", b"\x01", msgpack.packb([1]), msgpack.packb({1: 2})])
def test_a_payload_that_cannot_be_read_is_open_to_every_filter(bad: bytes | None, source: dict[str, Any]) -> None:
    index = PayloadIndex()
    fill(index, [*PACKED, bad])
    exact = PayloadIndex()
    fill(exact, PACKED)
    wanted = masks(exact, source, 3)[0]
    assert masks(index, source, 4) == ([*wanted, False], [*wanted, True])


@pytest.mark.parametrize("source", EVERY_KIND)
def test_a_row_of_too_many_terms_is_open(monkeypatch: pytest.MonkeyPatch, source: dict[str, Any]) -> None:
    monkeypatch.setattr(extracting, "MAX_TERMS", 3)
    index = PayloadIndex()
    fill(index, [*PACKED, msgpack.packb({"b": [1, 2, 3, 4]}), msgpack.packb({"x": 1, "y": {"z": 1, "b": 0}})])
    sure, possible = masks(index, source, 5)
    assert (sure[3:], possible[3:]) == ([False, False], [True, True])
    assert sure[:3] == possible[:3]


@pytest.mark.parametrize("source", EVERY_KIND)
def test_a_path_without_a_field_is_open_for_the_rows_that_have_it(
    monkeypatch: pytest.MonkeyPatch, source: dict[str, Any]
) -> None:
    monkeypatch.setattr(payload_index, "MAX_FIELDS", 1)
    index = PayloadIndex()
    fill(index, PACKED)
    sure, possible = masks(index, source, 3)
    assert (sure[0], possible[0]) == (False, True)
    missing = source not in ({"b": 2}, {"b": {"$gt": 1}}, {"c": 5})
    assert sure[1:] == possible[1:] == [missing, missing]
    assert masks(index, {"a": 1}, 3) == ([True, False, False], [True, False, False])


@pytest.mark.parametrize("source", EVERY_KIND)
def test_beyond_its_memory_rows_are_open(monkeypatch: pytest.MonkeyPatch, source: dict[str, Any]) -> None:
    index = PayloadIndex()
    fill(index, PACKED)
    before = masks(index, source, 3)[0]
    monkeypatch.setattr(payload_index, "MAX_BYTES", index.nbytes - 1)
    fill(index, PACKED, first=3)
    assert masks(index, source, 6) == (before + [False] * 3, before + [True] * 3)
    copy = PayloadIndex()
    copy.copy(index, np.array([0, 2, 3, 5], dtype=np.int32), 0)
    assert masks(copy, source, 4)[1][2:] == [True, True]
    assert masks(copy, source, 4)[0][2:] == [False, False]


def test_ids_as_keys_do_not_fill_the_memory() -> None:
    index = PayloadIndex()
    for number in range(40):
        fill(index, [msgpack.packb({f"user {number} {row}": row, "a": row}) for row in range(50)], first=number * 50)
    assert len(index.fields) == payload_index.MAX_FIELDS
    assert index.nbytes < 3_000_000
    sure, possible = masks(index, {"a": 7}, 2_000)
    assert sure == possible
    assert sum(sure) == 40


def test_what_filters_said_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "KEPT_BYTES", 20_000)
    index = PayloadIndex()
    fill(index, [msgpack.packb({"a": number}) for number in range(1_000)])
    empty = index.nbytes
    for number in range(100):
        assert sum(masks(index, {"a": number}, 1_000)[0]) == 1
    assert empty + 10_000 < index.nbytes <= empty + 20_000


def test_after_a_restart_restored_rows_have_their_own_payloads(tmp_path: Path) -> None:
    matrix = clustered(2_500, 8)
    held: list[Row] = [row(i, 1, vector, {"n": i, "t": [str(i % 5)]}) for i, vector in enumerate(matrix)]
    index = make(8, folder=tmp_path)
    index.apply(held)
    link_all(index)
    assert index.save()
    held[7] = row(7, 2, matrix[7], {"n": -7})
    shuffled = [held[i] for i in np.random.default_rng(1).permutation(len(held))]
    again = make(8, folder=tmp_path)
    assert again.load(shuffled).restored == 2_499
    for _ in range(2):
        for source, wanted in (
            ({"n": {"$gte": 2_000, "$lt": 2_003}}, {2_000, 2_001, 2_002}),
            ({"n": {"$lt": 0}}, {7}),
            ({"t": "2"}, set(range(2, 2_500, 5)) - {7}),
            ({"t": None}, {7}),
        ):
            found = again.matches(parse_filter(source))
            assert (set(found.sure_ids()), found.open) == (wanted, 0)
        rebuild_all(again)  # which takes the slots over in parts


def test_what_is_written_during_a_rebuild_keeps_its_payload() -> None:
    matrix = clustered(1_500, 8)
    index = make(8)
    index.apply([row(i, 1, vector, {"n": i % 3, "long": "x" * 100}) for i, vector in enumerate(matrix)])
    for _ in range(2):
        assert not index.rebuild_turn()
    index.apply([row(i, 2, matrix[i], {"n": "new"}) for i in (3, 1_400, 900, 4)])
    index.apply([row(i, 2, None) for i in (5, 1_450)])
    index.apply([row(1_600, 2, matrix[0], {"m": 1})])
    rebuild_all(index)
    wanted: list[tuple[dict[str, Any], set[Any]]] = [
        ({"n": "new"}, {3, 4, 900, 1_400}),
        ({"n": 2}, set(range(2, 1_500, 3)) - {5, 1_400}),
        ({"m": 1}, {1_600}),
        ({"n": None}, {1_600}),
    ]
    for source, points in wanted:
        found = index.matches(parse_filter(source))
        assert (set(found.sure_ids()), found.open) == (points, 0)
    assert index.matches(parse_filter({"long": {"$contains": "x"}})).open == 1_500 - 6
