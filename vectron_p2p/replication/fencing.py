"""When a step of a move may be followed by the next: who must have its fence, and who sees to it (PROTOCOLS §6.1).

A fence keeps requests that were routed before a step from being acknowledged after it. N-W+1 of the old owners leave
too few to acknowledge anything at quorum; all new owners, for each of them counts in the next step; and the one that
leaves, for what it alone acknowledged (at ONE) is copied from it. Owners that the catalog gave up (`gone`) answer
nobody and are left out, but count as owners. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.replication.learners import sources_needed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from vectron_p2p.model.ids import NodeId


class FenceRound:
    """One fence: who has it."""

    def __init__(
        self, old: Sequence[NodeId], new: Sequence[NodeId], leaving: NodeId | None, gone: Collection[NodeId]
    ) -> None:
        self._old = old
        self._must = [node for node in (*new, leaving) if node is not None and node not in gone]
        self.owners = tuple(node for node in dict.fromkeys((*old, *new)) if node not in gone)
        """Whom to ask."""
        self._passed: set[NodeId] = set()

    def passed(self, owner: NodeId) -> None:
        """It has the step on disk, and nothing that it admitted before is under way."""
        self._passed.add(owner)

    @property
    def complete(self) -> bool:
        """Whether the next step may follow."""
        old = sum(owner in self._passed for owner in self._old)
        return old >= sources_needed(len(self._old)) and self._passed.issuperset(self._must)

    @property
    def waiting(self) -> list[NodeId]:
        """Owners that have not answered."""
        return [owner for owner in self.owners if owner not in self._passed]


def driver(
    owners: Sequence[NodeId],
    leaving: NodeId | None,
    coming: NodeId | None,
    gone: Collection[NodeId],
    alive: Callable[[NodeId], bool],
) -> NodeId | None:
    """Who carries a move out: the node that comes; without one the node that leaves; without that the live owner with
    the lowest id. Two that think so at once do no harm: every step names the one before it.
    """
    if coming is not None and coming not in gone:
        return coming
    if leaving is not None and leaving not in gone and alive(leaving):
        return leaving
    rest = [owner for owner in owners if owner not in (*gone, leaving) and alive(owner)]
    return min(rest, default=None)
