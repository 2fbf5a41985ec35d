"""Hits by the values of a payload field: which groups are found, and what has to be searched for still.

Owns what a group is (every scalar at the field, every element of a list; not null, not NaN; 1 and 1.0 are one) and when
enough is known. Must not know how a search is asked. Invariants: groups come in the order of their best hits, and the
hits of a `full` group are its best: no search can add to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vectron_p2p.model.points import unpack_payload
from vectron_p2p.query.filters import GroupValue, group_key, groups_at
from vectron_p2p.query.merge import Scored, sort_hits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_GROUPED = 1_000  # groups times hits of each: every group may cost a search of its own


class Group(NamedTuple):
    value: GroupValue
    hits: list[Scored]


class Groups:
    """Of one query: the `k` best groups and the `size` best hits of each."""

    def __init__(self, path: str, k: int, size: int, metric: str) -> None:
        self._path = path
        self._of = groups_at(path)
        self._k = k
        self._size = size
        self._metric = metric
        self._values: dict[tuple[bool, object], GroupValue] = {}  # in the order of the best hits
        self._hits: dict[tuple[bool, object], list[Scored]] = {}
        self._full: set[tuple[bool, object]] = set()

    @property
    def found(self) -> int:
        return len(self._values)

    @property
    def values(self) -> list[GroupValue]:
        return list(self._values.values())

    def discover(self, hits: Iterable[Scored], *, everything: bool) -> bool:
        """Hits of a search for groups that are not among `values`, best first; `everything`: there are no more of
        them. False: it brought no group.
        """
        known, first = len(self._values), not self._values
        fresh: dict[tuple[bool, object], list[Scored]] = {}
        for hit in hits:
            for value in self._of(unpack_payload(hit.payload or b"\x80")):
                key = group_key(value)
                if key not in self._hits:
                    self._values[key] = value
                    fresh.setdefault(key, []).append(hit)
        for key, found in fresh.items():
            self._hits[key] = found[: self._size]
            # Later searches leave out the points that belong to a group known by then, so a group may lack some.
            if first and (everything or len(found) >= self._size):
                self._full.add(key)
        return len(self._values) > known

    def choose(self) -> None:
        """No more groups are wanted than `k`."""
        for key in list(self._values)[self._k :]:
            del self._values[key], self._hits[key]

    @property
    def open(self) -> list[GroupValue]:
        """The groups that may have better hits, or more."""
        return [value for key, value in self._values.items() if key not in self._full]

    def fill(self, values: Sequence[GroupValue], hits: Iterable[Scored], *, everything: bool) -> None:
        """The best hits of the groups `values` together; `everything`: there are no more of them."""
        wanted: dict[tuple[bool, object], list[Scored]] = {group_key(value): [] for value in values}
        for hit in hits:
            for value in self._of(unpack_payload(hit.payload or b"\x80")):
                if (found := wanted.get(group_key(value))) is not None:
                    found.append(hit)
        for key, found in wanted.items():
            if everything or len(found) >= self._size:
                self._hits[key] = found[: self._size]
                self._full.add(key)

    def result(self) -> list[Group]:
        """The groups with their hits, best first. One whose points are gone meanwhile is left out."""
        held = [Group(value, self._hits[key]) for key, value in self._values.items() if self._hits[key]]
        leaders = {hit.id: place for place, hit in enumerate(sort_hits((g.hits[0] for g in held), self._metric))}
        return sorted(held, key=lambda group: leaders[group.hits[0].id])


def narrowed(
    filter: dict[str, Any] | None,
    path: str,
    *,
    among: Sequence[GroupValue] | None = None,
    besides: Sequence[GroupValue] = (),
) -> dict[str, Any]:
    """`filter`, and points of the groups `among`, or of any group that is not one of `besides`. For nodes only."""
    condition = {path: {"$outside": list(besides)} if among is None else {"$in": list(among)}}
    return condition if not filter else {"$and": [filter, condition]}
