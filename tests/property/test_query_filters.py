"""Filters against a naive reference that reads the interface word by word."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.query.filters import matches, parse_filter

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 1.5, -2.0, float("inf"), float("nan"), 2**63, 2**64 - 1]),
    st.sampled_from(["", "a", "ab", "b", "1", "True"]),
)
names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
payloads = st.dictionaries(names, values, max_size=3)
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
operands = scalars.filter(lambda value: value == value)
comparable = operands.filter(lambda value: value is not None and not isinstance(value, bool))

conditions = st.one_of(
    operands,
    st.fixed_dictionaries({"$eq": operands}),
    st.fixed_dictionaries({"$ne": operands}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), comparable, min_size=1, max_size=2),
    st.fixed_dictionaries({"$in": st.lists(operands, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(operands, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.fixed_dictionaries({"$contains": operands}),
)
filters = st.recursive(
    st.dictionaries(paths, conditions, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=5,
)


# --- the reference ---


def stored(payload: Any, path: list[str]) -> list[Any]:
    if not path:
        return [payload]
    if isinstance(payload, list):
        return [found for item in payload if isinstance(item, dict) for found in stored(item, path)]
    if isinstance(payload, dict) and path[0] in payload:
        return stored(payload[path[0]], path[1:])
    return []


def same(value: Any, operand: Any) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return isinstance(value, bool) and isinstance(operand, bool) and value == operand
    if isinstance(value, int | float) and isinstance(operand, int | float):
        return value == operand
    return type(value) is type(operand) and value == operand


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def reference(source: dict[str, Any], payload: dict[str, Any]) -> bool:
    return all(one(key, value, payload) for key, value in source.items())


def one(key: str, value: Any, payload: dict[str, Any]) -> bool:
    if key == "$and":
        return all(reference(part, payload) for part in value)
    if key == "$or":
        return any(reference(part, payload) for part in value)
    if key == "$not":
        return not reference(value, payload)
    if not isinstance(value, dict):
        value = {"$eq": value}
    return all(condition(key, operator, operand, payload) for operator, operand in value.items())


def condition(path: str, operator: str, operand: Any, payload: dict[str, Any]) -> bool:
    found = stored(payload, path.split("."))
    elements = [item for value in found for item in (value if isinstance(value, list) else [value])]
    if operator == "$eq":
        return any(same(item, operand) for item in elements) or (operand is None and not found)
    if operator == "$ne":
        return not condition(path, "$eq", operand, payload)
    if operator == "$in":
        return any(condition(path, "$eq", item, payload) for item in operand)
    if operator == "$nin":
        return not condition(path, "$in", operand, payload)
    if operator == "$exists":
        return bool(found) == operand
    if operator == "$contains":
        return any(
            any(same(item, operand) for item in value)
            if isinstance(value, list)
            else isinstance(value, str) and isinstance(operand, str) and operand in value
            for value in found
        )
    compare = {
        "$gt": lambda item: item > operand,
        "$gte": lambda item: item >= operand,
        "$lt": lambda item: item < operand,
        "$lte": lambda item: item <= operand,
    }[operator]
    return any(
        compare(item)
        for item in elements
        if (number(item) and number(operand)) or (isinstance(item, str) and isinstance(operand, str))
    )


@given(filters, payloads)
def test_agrees_with_the_reference(source: dict[str, Any], payload: dict[str, Any]) -> None:
    assert matches(parse_filter(source), payload) is reference(source, payload)


@given(
    st.recursive(values, lambda inner: st.dictionaries(st.sampled_from(["$and", "$eq", "$in", "a"]), inner)), payloads
)
def test_anything_else_is_refused_or_evaluated(source: Any, payload: dict[str, Any]) -> None:
    try:
        tree = parse_filter(source)
    except InvalidArgument as error:
        named = error.field or ""
    else:
        named = "filter"
        assert matches(tree, payload) in (True, False)
    assert named.startswith("filter")


@given(filters, payloads)
def test_negation_is_exact(source: dict[str, Any], payload: dict[str, Any]) -> None:
    assert matches(parse_filter({"$not": source}), payload) is not matches(parse_filter(source), payload)
