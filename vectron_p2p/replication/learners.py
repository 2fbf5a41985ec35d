"""Learners: replicas that may have forgotten rows which they acknowledged (PROTOCOLS §5).

Owns when a learner is whole again. Of N owners, W of which acknowledge, any N-W+1 others hold between them every row
that was acknowledged, if they have forgotten nothing themselves. So a learner that has merged what so many full
owners hold is full. Where so many cannot be had because too many owners are learners, waiting would bring nothing
more: with every owner present all copies that can be read are merged, and that is reported, for rows may be lost.

A learner has forgotten its promises too. It refuses old ballots, but copies come as old as they are: a row that it had
promised to shut out, copied to it, would be at a quorum and could be read there, and then the round that has its
promise would still be chosen on the other owners, over a base that is no longer the newest. So only what is merged when
no such round can be under way any more makes it whole: what was chosen by then is in what it merges.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.replication.version import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vectron_p2p.model.ids import NodeId, PointId


FILLING = "a move is filling it"
"""The reason of a learner that has forgotten nothing: it comes to its shard, and has not all of it yet."""


class Learner(NamedTuple):
    """The flag of a replica that answers nothing until it has learned."""

    reason: str


class Ending(enum.Enum):
    NOT_YET = "not yet"
    LEARNED = "learned"
    SALVAGED = "salvaged"
    """All copies there are were merged, and too few of them were full: acknowledged rows may be lost."""


class Source(NamedTuple):
    node: NodeId
    full: bool
    """False: a learner itself, which is only read where nothing better can come."""


def sources_needed(owners: int) -> int:
    """N-W+1."""
    return owners - Consistency.QUORUM.required(owners) + 1


class Copying(NamedTuple):
    """What a learner does about some leaves of a source."""

    take: list[PointId]
    drop: list[tuple[PointId, bytes]]
    """Own rows, with their versions: the source has collected what deleted them."""


def plan_copy(
    theirs: Mapping[PointId, bytes],
    mine: Mapping[PointId, bytes],
    *,
    collected_there: Callable[[PointId], int],
    collected_here: Callable[[PointId], int],
    full: bool,
) -> Copying:
    """What to copy and to drop, by the versions of both sides and the floors collected where an id belongs.

    `collected_there` is of a moment not before `theirs`. A full source is right in all. Another learner may have
    forgotten a deletion that was collected here, or a row that lived on when both had collected: what either side is
    sure of stays.
    """
    take = [
        point
        for point, version in theirs.items()
        if version > mine.get(point, b"")
        and (full or point in mine or not collected_there(point) < stamp(version) <= collected_here(point))
    ]
    drop = [
        (point, version)
        for point, version in mine.items()
        if point not in theirs
        and stamp(version) <= collected_there(point)
        and (full or stamp(version) > collected_here(point))
    ]
    return Copying(take, drop)


class Lesson:
    """What one learner has merged since it became one.

    `settled_at`: when every round has ended that it may have given a promise to. What is merged before that spares work
    then, and counts for nothing.
    """

    def __init__(self, me: NodeId, owners: Sequence[NodeId], *, settled_at: float = -math.inf) -> None:
        self.owners = tuple(owners)
        self.settled_at = settled_at
        self._early: set[NodeId] = set()
        self._others = sorted(owner for owner in owners if owner != me)
        self._needed = sources_needed(len(owners))
        self._merged: dict[NodeId, bool] = {}

    def merged(self, source: Source, began: float = math.inf) -> None:
        """All that `source` held at some time after `began` is held here."""
        if began < self.settled_at:
            self._early.add(source.node)
        else:
            self._merged[source.node] = source.full or self._merged.get(source.node, False)

    def salvaging(self, full: Collection[NodeId], learners: Collection[NodeId]) -> bool:
        """Whether nothing more can come than what is there: every other owner answers, and too few are full."""
        present = set(full) | set(learners)
        return len(set(full) & set(self._others)) < self._needed and present.issuperset(self._others)

    def to_merge(self, full: Collection[NodeId], learners: Collection[NodeId], now: float = math.inf) -> list[Source]:
        """Whom to merge next, of those that answer now as full owners and as learners."""
        if now < self.settled_at:
            return [Source(node, True) for node in self._others if node in full and node not in self._early]
        sources = [Source(node, True) for node in self._others if node in full and not self._merged.get(node)]
        if self.salvaging(full, learners):
            sources += [Source(node, False) for node in self._others if node in learners and node not in self._merged]
        return sources

    def ending(self, full: Collection[NodeId], learners: Collection[NodeId]) -> Ending:
        if sum(self._merged.values()) >= self._needed:
            return Ending.LEARNED
        if self.salvaging(full, learners) and all(node in self._merged for node in self._others):
            return Ending.SALVAGED
        return Ending.NOT_YET
