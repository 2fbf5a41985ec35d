"""Filters over payloads: the tree, its parser and its meaning.

Owns the words of the filter language and what each matches. Invariants: a tree that `parse_filter` returned is at most
16 deep and has at most 1,000 nodes, so evaluating one payload is bounded; evaluating never raises, whatever a payload
holds.

A path goes through dicts by key and through lists to all their elements; a key that itself holds a dot cannot be named.
At its end stand zero or more stored values. A stored list stands for its elements, but for `$exists` and `$contains`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import MAX_PAYLOAD_DEPTH

MAX_FILTER_DEPTH = 16  # parser and evaluator recurse
WRAPPING_NODES = 3  # of `query.groups.narrowed`
MAX_FILTER_NODES = 1_000  # each is evaluated per point; values of one `$in` are one set, so they do not count

GroupValue: TypeAlias = str | int | float | bool
Scalar: TypeAlias = GroupValue | None
Predicate: TypeAlias = Callable[[dict[str, Any]], bool]

_RANGES = ("$gt", "$gte", "$lt", "$lte")
_FIELD_OPERATORS = ("$eq", "$ne", *_RANGES, "$in", "$nin", "$exists", "$contains")
_LOGICAL = ("$and", "$or", "$not")


@dataclass(frozen=True, slots=True)
class And:
    """All of `parts`; none = everything matches."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `parts`; none = nothing matches."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


@dataclass(frozen=True, slots=True)
class In:
    """Some value equals one of `values`; null among them stands for a missing field too. `$eq` is an `In` of one."""

    path: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Some value of the operand's kind (number or str) lies on this side of it; `operator` is one of `_RANGES`."""

    path: str
    operator: str
    operand: str | int | float


@dataclass(frozen=True, slots=True)
class Exists:
    """The path ends at a stored value, null included."""

    path: str


@dataclass(frozen=True, slots=True)
class Contains:
    """A stored list has an element equal to `operand`, or a stored str has it as a substring."""

    path: str
    operand: Scalar


@dataclass(frozen=True, slots=True)
class Outside:
    """Some value is a group (see `groups_at`) and none of `values`. Nodes ask it of each other (`between_nodes`)."""

    path: str
    values: tuple[Scalar, ...]


Condition: TypeAlias = In | Compare | Exists | Contains | Outside
Filter: TypeAlias = And | Or | Not | Condition

MATCH_ALL = And()


def parse_filter(source: object, *, between_nodes: bool = False) -> Filter:
    """The tree of the filter dict `source`; None and `{}` match everything.

    `between_nodes`: a coordinator has wrapped a client's filter (`query.groups.narrowed`), for which there is room.

    Raises:
        InvalidArgument: No filter; `field` is "filter", or "filter.PATH" where a condition on that path is wrong.
    """
    if source is None:
        return MATCH_ALL
    return _Parser(between_nodes).parse(source, 0 if between_nodes else 1)


def check_path(path: object, *, field: str) -> str:
    """`path` as that of a payload field: keys joined by dots.

    Raises:
        InvalidArgument: It is none.
    """
    if not isinstance(path, str) or not path or path.startswith("$"):
        raise InvalidArgument(f"{field} is the name of a payload field, not {path!r:.100}", field=field)
    if path.count(".") >= MAX_PAYLOAD_DEPTH:  # no payload is that deep
        raise InvalidArgument(f"{field}: a path has at most {MAX_PAYLOAD_DEPTH} parts", field=field)
    return path


def match_all(tree: Filter) -> bool:
    """Whether `tree` is the filter that matches everything, so that no payload need be looked at."""
    return isinstance(tree, And) and all(match_all(part) for part in tree.parts)


def matches(tree: Filter, payload: dict[str, Any]) -> bool:
    """Whether `payload` passes `tree`; for many payloads `compile_filter` once is cheaper."""
    return compile_filter(tree)(payload)


class _Parser:
    """One parse: counts nodes and depth before it descends."""

    def __init__(self, between_nodes: bool) -> None:
        self._between_nodes = between_nodes
        self._nodes = -WRAPPING_NODES if between_nodes else 0

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_FILTER_NODES:
            raise InvalidArgument(f"a filter has at most {MAX_FILTER_NODES} conditions", field="filter")
        if depth > MAX_FILTER_DEPTH:
            raise InvalidArgument(f"a filter nests at most {MAX_FILTER_DEPTH} deep", field="filter")

    def parse(self, source: object, depth: int) -> Filter:
        self._count(depth)
        if not isinstance(source, dict):
            raise InvalidArgument(f"a filter is a dict, not {type(source).__name__}", field="filter")
        parts: list[Filter] = []
        for key, value in source.items():
            if not isinstance(key, str):
                raise InvalidArgument(f"keys of a filter are str, not {type(key).__name__}", field="filter")
            if key.startswith("$"):
                parts.append(self._logical(key, value, depth))
            else:
                parts.extend(self._conditions(key, value, depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _logical(self, operator: str, operand: object, depth: int) -> Filter:
        if operator == "$not":
            return Not(self.parse(operand, depth + 1))
        if operator not in _LOGICAL:
            if operator in _FIELD_OPERATORS:
                advice = f"write it as {{field: {{{operator!r}: ...}}}}"
            else:
                advice = f"known here: {', '.join(_LOGICAL)}"
            raise InvalidArgument(
                f"unknown operator {operator!r:.60} in a filter; {advice}", field=f"filter.{operator}"
            )
        if not isinstance(operand, list | tuple):
            raise InvalidArgument(
                f"{operator} takes a list of filters, not {type(operand).__name__}", field=f"filter.{operator}"
            )
        parts = tuple(self.parse(part, depth + 1) for part in operand)
        return And(parts) if operator == "$and" else Or(parts)

    def _conditions(self, path: str, value: object, depth: int) -> list[Filter]:
        if path.count(".") >= MAX_PAYLOAD_DEPTH:  # no payload is that deep
            raise InvalidArgument(f"a path has at most {MAX_PAYLOAD_DEPTH} parts", field=f"filter.{path:.100}")
        if not isinstance(value, dict):
            self._count(depth + 1)
            return [In(path, (_scalar(path, "$eq", value),))]
        if not value:
            raise InvalidArgument(
                f"{path!r:.100}: empty condition; write a value or an operator such as $exists", field=f"filter.{path}"
            )
        conditions: list[Filter] = []
        for operator, operand in value.items():
            self._count(depth + 1)
            if operator == "$outside" and self._between_nodes and isinstance(operand, list | tuple):
                conditions.append(Outside(path, tuple(_scalar(path, operator, item) for item in operand)))
                continue
            conditions.append(_condition(path, operator, operand))
        return conditions


def _condition(path: str, operator: object, operand: object) -> Filter:
    where = f"filter.{path}"
    if operator == "$eq":
        return In(path, (_scalar(path, "$eq", operand),))
    if operator == "$ne":
        return Not(In(path, (_scalar(path, "$ne", operand),)))
    if operator in ("$in", "$nin"):
        if not isinstance(operand, list | tuple):
            raise InvalidArgument(f"{path!r:.100}: {operator} takes a list, not {type(operand).__name__}", field=where)
        found = In(path, tuple(_scalar(path, str(operator), item) for item in operand))
        return found if operator == "$in" else Not(found)
    if operator in _RANGES:
        if isinstance(operand, bool) or not isinstance(operand, str | int | float) or operand != operand:
            raise InvalidArgument(f"{path!r:.100}: {operator} takes a number or str, not {_name(operand)}", field=where)
        return Compare(path, str(operator), operand)
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise InvalidArgument(f"{path!r:.100}: $exists takes true or false, not {_name(operand)}", field=where)
        return Exists(path) if operand else Not(Exists(path))
    if operator == "$contains":
        return Contains(path, _scalar(path, "$contains", operand))
    known = ", ".join(_FIELD_OPERATORS)
    raise InvalidArgument(
        f"{path!r:.100}: unknown operator {operator!r:.60}; known: {known}; a nested key is written as a dotted path",
        field=where,
    )


def _scalar(path: str, operator: str, operand: object) -> Scalar:
    if (operand is None or isinstance(operand, str | int | float)) and operand == operand:
        return operand
    raise InvalidArgument(
        f"{path!r:.100}: {operator} takes a str, number, bool or null, not {_name(operand)}", field=f"filter.{path}"
    )


def _name(operand: object) -> str:
    return "NaN" if operand != operand else type(operand).__name__


# --- meaning ---


def compile_filter(tree: Filter) -> Predicate:
    """`tree` as one function of a payload; it never raises."""
    if isinstance(tree, And):
        parts = [compile_filter(part) for part in tree.parts]
        return lambda payload: all(part(payload) for part in parts)
    if isinstance(tree, Or):
        parts = [compile_filter(part) for part in tree.parts]
        return lambda payload: any(part(payload) for part in parts)
    if isinstance(tree, Not):
        inner = compile_filter(tree.part)
        return lambda payload: not inner(payload)
    return _compile_condition(tree)


def _compile_condition(tree: Condition) -> Predicate:
    stored = _reader(tree.path)
    if isinstance(tree, Exists):
        return lambda payload: bool(stored(payload))
    if isinstance(tree, In):
        return _compile_in(tree, stored)
    if isinstance(tree, Compare):
        return _compile_compare(tree, stored)
    if isinstance(tree, Outside):
        groups, named = groups_at(tree.path), frozenset(map(group_key, tree.values))
        return lambda payload: any(group_key(value) not in named for value in groups(payload))
    wanted = (tree.operand.__class__ is bool, tree.operand)
    text = tree.operand if isinstance(tree.operand, str) else None

    def contains(payload: dict[str, Any]) -> bool:
        for value in stored(payload):
            if type(value) is list:
                if any(_equal_key(item) == wanted for item in value):
                    return True
            elif text is not None and type(value) is str and text in value:
                return True
        return False

    return contains


def _compile_in(tree: In, stored: Callable[[dict[str, Any]], list[Any]]) -> Predicate:
    keys = frozenset((value.__class__ is bool, value) for value in tree.values)
    missing = None in tree.values

    def equal(payload: dict[str, Any]) -> bool:
        values = stored(payload)
        if not values:
            return missing
        for value in values:
            if type(value) is list:
                if any(_equal_key(item) in keys for item in value):
                    return True
            elif _equal_key(value) in keys:
                return True
        return False

    return equal


def _equal_key(value: object) -> tuple[bool, object]:
    """What two scalars share when they are equal: 1 and 1.0 do, 1 and True do not. A dict or list equals no operand."""
    kind = type(value)
    if kind is dict or kind is list:
        return (True, "")  # hashable, and no bool equals it
    return (kind is bool, value)


def _compile_compare(tree: Compare, stored: Callable[[dict[str, Any]], list[Any]]) -> Predicate:
    operand: Any = tree.operand
    kinds: tuple[type, ...] = (str,) if isinstance(operand, str) else (int, float)
    tests: dict[str, Callable[[Any], bool]] = {
        "$gt": lambda value: bool(value > operand),
        "$gte": lambda value: bool(value >= operand),
        "$lt": lambda value: bool(value < operand),
        "$lte": lambda value: bool(value <= operand),
    }
    test = tests[tree.operator]

    def compare(payload: dict[str, Any]) -> bool:
        for value in stored(payload):
            if type(value) is list:
                if any(type(item) in kinds and test(item) for item in value):
                    return True
            elif type(value) in kinds and test(value):
                return True
        return False

    return compare


def groups_at(path: str) -> Callable[[dict[str, Any]], list[GroupValue]]:
    """A function that gives the groups a payload belongs to by `path`: each scalar there, also each in a list, but for
    null and NaN; each once.
    """
    stored = _reader(path)

    def read(payload: dict[str, Any]) -> list[GroupValue]:
        values = [inner for value in stored(payload) for inner in (value if type(value) is list else (value,))]
        kept = [value for value in values if type(value) in (str, bool, int, float) and value == value]
        if len(kept) < 2:
            return kept
        first: dict[tuple[bool, object], GroupValue] = {}
        for value in kept:
            first.setdefault(group_key(value), value)
        return list(first.values())

    return read


def group_key(value: Scalar) -> tuple[bool, object]:
    """What values of one group share, as `$eq` has it: 1 and 1.0 do, 1 and True do not."""
    return _equal_key(value)


def _reader(path: str) -> Callable[[dict[str, Any]], list[Any]]:
    """A function that gives the values stored at `path`: none when it is missing, several behind a list on the way."""
    first, *rest = path.split(".")
    if not rest:  # the usual case
        return lambda payload: [payload[first]] if first in payload else []

    def read(payload: dict[str, Any]) -> list[Any]:
        level: list[Any] = [payload[first]] if first in payload else []
        for name in rest:
            holders = [inner for value in level for inner in (value if type(value) is list else (value,))]
            level = [holder[name] for holder in holders if type(holder) is dict and name in holder]
        return level

    return read
