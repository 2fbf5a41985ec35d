"""The payload index agrees with the meaning of filters wherever it is sure, and is sure unless it was bounded."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_query_filters import filters, operands, paths, payloads
from vectron_p2p.index.payload import fields, payload_index
from vectron_p2p.index.payload.extract import extract
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.query.filters import Outside, group_key, groups_at, matches, parse_filter

batches = st.lists(st.lists(payloads, max_size=6), max_size=4)


def add(index: PayloadIndex, held: list[Any], rows: list[dict[str, Any]]) -> None:
    slots = np.arange(len(held), len(held) + len(rows), dtype=np.int32)
    index.add(extract([msgpack.packb(row) for row in rows]), slots)
    held += rows


def check(index: PayloadIndex, held: list[dict[str, Any]], source: dict[str, Any], *, exact: bool) -> None:
    tree = parse_filter(source)
    masks = index.masks(tree, len(held))
    wanted = [matches(tree, payload) for payload in held]
    assert not (masks.sure & ~masks.possible).any()
    for sure, possible, passes in zip(masks.sure.tolist(), masks.possible.tolist(), wanted, strict=True):
        assert passes or not sure
        assert possible or not passes
    if exact:
        assert masks.sure.tolist() == masks.possible.tolist() == wanted


def huge(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return any(map(huge, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int | float) and abs(value) >= 2**53


@given(batches, filters, st.integers(0, 3))
def test_any_filter_over_any_payloads(parts: list[list[dict[str, Any]]], source: dict[str, Any], asked: int) -> None:
    index, held = PayloadIndex(), list[Any]()
    for number, part in enumerate(parts):
        add(index, held, part)
        if number == asked:  # what was answered once is extended later
            check(index, held, source, exact=not huge(source))
    check(index, held, source, exact=not huge(source))


@pytest.mark.parametrize(
    ("name", "module", "limit"),
    [("MAX_TEXT", fields, 1), ("MAX_DISTINCT", fields, 1), ("MAX_FIELDS", payload_index, 1),
     ("MAX_BYTES", payload_index, 4_200)],
)  # fmt: skip
@given(parts=batches, source=filters)
def test_beyond_each_bound_it_is_never_wrong(name: str, module: Any, limit: int, parts: Any, source: Any) -> None:
    before = getattr(module, name)
    setattr(module, name, limit)
    try:
        index, held = PayloadIndex(), list[Any]()
        for part in parts:
            add(index, held, part)
        check(index, held, source, exact=False)
        fresh, chosen = PayloadIndex(), np.arange(0, len(held), 2, dtype=np.int32)
        fresh.copy(index, chosen, 0)
        kept = held[::2]
        check(fresh, kept, source, exact=False)
        add(fresh, kept, held[1::2])
        check(fresh, kept, source, exact=False)
    finally:
        setattr(module, name, before)


outside = st.builds(Outside, paths, st.lists(operands.filter(lambda value: value is not None), max_size=3).map(tuple))


@given(batches, outside, st.sampled_from([(64, 16_384), (1, 16_384), (64, 1)]))
def test_groups_that_are_not_named(parts: list[list[dict[str, Any]]], tree: Outside, limits: tuple[int, int]) -> None:
    before = fields.MAX_TEXT, fields.MAX_DISTINCT
    fields.MAX_TEXT, fields.MAX_DISTINCT = limits
    try:
        index, held = PayloadIndex(), list[Any]()
        for part in parts:
            add(index, held, part)
    finally:
        fields.MAX_TEXT, fields.MAX_DISTINCT = before
    masks = index.masks(tree, len(held))
    named = list(map(group_key, tree.values))
    wanted = [any(group_key(value) not in named for value in groups_at(tree.path)(payload)) for payload in held]
    assert [matches(tree, payload) for payload in held] == wanted
    for sure, possible, passes in zip(masks.sure.tolist(), masks.possible.tolist(), wanted, strict=True):
        assert passes or not sure
        assert possible or not passes
    if limits == before and not huge(tree.values):
        assert masks.sure.tolist() == masks.possible.tolist() == wanted


@given(batches, filters, st.randoms())
def test_taken_over_in_parts(parts: list[list[dict[str, Any]]], source: dict[str, Any], random: Any) -> None:
    index, held = PayloadIndex(), list[Any]()
    for part in parts:
        add(index, held, part)
    fresh, kept = PayloadIndex(), list[Any]()
    alive = [slot for slot in range(len(held)) if random.random() < 0.6]
    for at in range(0, len(alive), 3):
        chosen = alive[at : at + 3]
        fresh.copy(index, np.array(chosen, dtype=np.int32), len(kept))
        kept += [held[slot] for slot in chosen]
    check(fresh, kept, source, exact=not huge(source))


@given(st.lists(payloads, max_size=8), filters, st.randoms())
def test_rows_out_of_order(rows: list[dict[str, Any]], source: dict[str, Any], random: Any) -> None:
    slots = list(range(len(rows)))
    random.shuffle(slots)
    index = PayloadIndex()
    for start in range(0, len(rows), 3):
        part = slice(start, start + 3)
        index.add(extract([msgpack.packb(row) for row in rows[part]]), np.array(slots[part], dtype=np.int32))
    index.sort()
    held: list[Any] = [None] * len(rows)
    for slot, row in zip(slots, rows, strict=True):
        held[slot] = row
    check(index, held, source, exact=not huge(source))


@given(batches, filters, st.sampled_from([False, ("a",), ("a.b", "c")]))
def test_fields_that_are_not_wanted_are_left_open(parts: Any, source: Any, wanted: Any) -> None:
    index, held = PayloadIndex(wanted), list[Any]()
    for part in parts:
        add(index, held, part)
    check(index, held, source, exact=False)
    assert all(index.indexes(path) for path in index.fields)
    fresh = PayloadIndex(wanted)
    fresh.copy(index, np.arange(len(held), dtype=np.int32), 0)
    check(fresh, held, source, exact=False)
