"""Learners: replicas that may have forgotten rows which they acknowledged (PROTOCOLS §5).

Owns when a learner is whole again. Of N owners, W of which acknowledge, any N-W+1 others hold between them every row
that was acknowledged, if they have forgotten nothing themselves. So a learner that has merged what so many full
owners hold is full. Where so many cannot be had because too many owners are learners, waiting would bring nothing
more: with every owner present all copies that can be read are merged, and that is reported, for rows may be lost.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.consistency import Consistency

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vectron_p2p.model.ids import NodeId


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


class Lesson:
    """What one learner has merged since it became one."""

    def __init__(self, me: NodeId, owners: Sequence[NodeId]) -> None:
        self.owners = tuple(owners)
        self._others = sorted(owner for owner in owners if owner != me)
        self._needed = sources_needed(len(owners))
        self._merged: dict[NodeId, bool] = {}

    def merged(self, source: Source) -> None:
        """All that `source` held at some time after this replica became a learner is held here."""
        self._merged[source.node] = source.full or self._merged.get(source.node, False)

    def salvaging(self, full: Collection[NodeId], learners: Collection[NodeId]) -> bool:
        """Whether nothing more can come than what is there: every other owner answers, and too few are full."""
        present = set(full) | set(learners)
        return len(set(full) & set(self._others)) < self._needed and present.issuperset(self._others)

    def to_merge(self, full: Collection[NodeId], learners: Collection[NodeId]) -> list[Source]:
        """Whom to merge next, of those that answer now as full owners and as learners."""
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
