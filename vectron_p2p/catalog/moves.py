"""Shard moves as the catalog records them, and the routes that follow from them (PROTOCOLS §6).

Owns the steps of a move and what each means for who is read and who is written. Must not know how a step is carried
out. A move takes a replica of one shard from one node (`leaving`) to another (`coming`); either may be absent: then the
shard gets one owner more, or one less.

    start -> BOTH (write old and new owners, read old) -> READ_NEW (write old and new, read new) -> done

Invariants: a shard has at most one move; each step is one entry of the epoch log, whose epoch is the fence of the step:
once an owner has it on disk it takes no request of an older one. `placement` of a collection always names the owners
that are read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId, ShardId

Owners = tuple["NodeId", ...]


class Step(enum.StrEnum):
    BOTH = "both"
    READ_NEW = "read_new"


@dataclass(frozen=True, slots=True)
class Move:
    """A move under way. `id` is the epoch of the entry that started it, `epoch` that of its last step."""

    id: int
    shard: ShardId
    leaving: NodeId | None
    coming: NodeId | None
    step: Step
    epoch: int

    def changed(self, owners: Owners) -> Owners:
        """The owners after the move, of those before it."""
        rest = tuple(owner for owner in owners if owner != self.leaving)
        return rest if self.coming is None else (*rest, self.coming)

    def undone(self, owners: Owners) -> Owners:
        """The owners before the move, of those after it."""
        rest = tuple(owner for owner in owners if owner != self.coming)
        return rest if self.leaving is None else (*rest, self.leaving)


@dataclass(frozen=True, slots=True)
class Route:
    """Who is asked about a shard: `read` for reads, and each set of `write` for writes; every consistency level is met
    in each of these sets by itself (one acknowledgement may count in both). `fence`: the epoch of the shard's last
    step, 0 when it never moved: owners refuse requests that are older.
    """

    read: Owners
    write: tuple[Owners, ...]
    fence: int = 0

    @property
    def owners(self) -> Owners:
        """Everybody who holds or is to hold a replica, those that are read first."""
        return tuple(dict.fromkeys([*self.read, *(node for owners in self.write for node in owners)]))


def route(owners: Owners, move: Move | None, fence: int) -> Route:
    """The route of a shard whose placement is `owners`."""
    if move is None:
        return Route(owners, (owners,), fence)
    if move.step is Step.BOTH:
        return Route(owners, (owners, move.changed(owners)), fence)
    return Route(owners, (move.undone(owners), owners), fence)
