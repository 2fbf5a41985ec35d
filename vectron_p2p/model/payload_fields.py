"""What stands in the payloads of a collection: fields as the payload index knows them, and their sums over shards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Scalar: TypeAlias = str | int | float | bool | None

MAX_FIELDS = 512  # of one answer: as many as the index of one shard has; some 100 bytes each besides their values
MAX_VALUES = 32  # of one field: a person reads no more, and in texts they are 2 KB at most

KINDS = ("keyword", "int", "float", "bool", "null", "object")
"""What a field may hold: scalars; with "[]" behind their names, elements of lists; "object": dicts and empty lists."""


@dataclass(frozen=True, slots=True)
class PayloadField:
    """One path, as filters name it, in the payloads of points that are alive."""

    name: str
    kinds: list[str] = field(default_factory=list)
    points: int = 0
    """Those that have anything there."""
    distinct: int = 0
    """Different scalars."""
    distinct_exact: bool = True
    """False: `distinct` are there at least. All are counted where they are few, or texts of one shard alone."""
    values: list[Scalar] = field(default_factory=list)
    """All of them, where they are at most `MAX_VALUES`."""
    lowest: float | None = None
    """Of the numbers."""
    highest: float | None = None
    bytes: int = 0
    """Memory in the payload index."""

    @property
    def complete(self) -> bool:
        """Whether `values` are all that there are."""
        return self.distinct_exact and len(self.values) == self.distinct


@dataclass(frozen=True, slots=True)
class PayloadFields:
    """The fields of a collection, most frequent first: sums over its shards, of one replica each."""

    collection: str
    points: int = 0
    """In the shards that answered."""
    unindexed: int = 0
    """Those of them that are not wholly in the index, for want of room: no field counts what it lacks."""
    fields: list[PayloadField] = field(default_factory=list)
    more: int = 0
    """Rarer fields that are left out."""
    shards: int = 0
    missing_shards: int = 0
    """Shards of which no owner answers, or which still read payloads after a start: the sums lack them."""


def joined(collection: str, parts: Iterable[PayloadFields]) -> PayloadFields:
    """The sums of parts, each of other shards."""
    points = unindexed = shards = missing = more = 0
    found: dict[str, PayloadField] = {}
    for part in parts:
        points += part.points
        unindexed += part.unindexed
        shards += part.shards
        missing += part.missing_shards
        more = max(more, part.more)  # the same ones, as a rule
        for each in part.fields:
            held = found.get(each.name)
            found[each.name] = each if held is None else _both(held, each)
    ordered = sorted(found.values(), key=lambda each: (-each.points, each.name))
    more += max(0, len(ordered) - MAX_FIELDS)
    return PayloadFields(collection, points, unindexed, ordered[:MAX_FIELDS], more, shards, missing)


def _both(one: PayloadField, other: PayloadField) -> PayloadField:
    values: list[Scalar] = []
    distinct, exact = max(one.distinct, other.distinct), one.complete and other.complete
    if exact:
        values = ordered_values([*one.values, *other.values])
        distinct = len(values)
    return replace(
        one,
        kinds=ordered_kinds({*one.kinds, *other.kinds}),
        points=one.points + other.points,
        distinct=distinct,
        distinct_exact=exact,
        values=values if distinct <= MAX_VALUES else [],
        lowest=min((low for low in (one.lowest, other.lowest) if low is not None), default=None),
        highest=max((high for high in (one.highest, other.highest) if high is not None), default=None),
        bytes=one.bytes + other.bytes,
    )


def kind_of(value: Scalar) -> str:
    if isinstance(value, str):
        return "keyword"
    if value is None:
        return "null"
    return type(value).__name__


def ordered_kinds(kinds: Iterable[str]) -> list[str]:
    return sorted(set(kinds), key=lambda kind: (kind.endswith("[]"), KINDS.index(kind.removesuffix("[]"))))


def ordered_values(values: Iterable[Scalar]) -> list[Scalar]:
    """Each once; 1 and 1.0 are one value, 1 and True are two, as for filters."""
    found = {(_rank(value), value): value for value in values}
    return [found[key] for key in sorted(found, key=lambda key: (key[0], key[1] if key[1] is not None else 0))]


def _rank(value: Scalar) -> int:
    return 0 if isinstance(value, str) else 3 if value is None else 2 if isinstance(value, bool) else 1
