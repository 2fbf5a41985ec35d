"""The proposer's half of single-decree Paxos: one ballot, from its first message to a majority."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vectron_p2p.catalog import messages as wire

if TYPE_CHECKING:
    from vectron_p2p.catalog.vote import Accepted, Ballot
    from vectron_p2p.model.ids import NodeId


@dataclass(slots=True)
class Round:
    """Phase 1 until `value` is set, then phase 2. Its message is sent again to voters that have not answered."""

    ballot: Ballot
    needed: int
    interval: float
    resend_at: float = -math.inf
    value: bytes | None = None
    promises: dict[NodeId, Accepted | None] = field(default_factory=dict)
    accepted: set[NodeId] = field(default_factory=set)

    @property
    def promised(self) -> bool:
        return len(self.promises) >= self.needed

    @property
    def decided(self) -> bool:
        return len(self.accepted) >= self.needed

    def bound_value(self) -> bytes | None:
        """The value that may be chosen already and must be proposed: the accepted one of the highest ballot, if any."""
        accepted = [each for each in self.promises.values() if each is not None]
        return max(accepted, key=lambda each: each.ballot).value if accepted else None

    def message(self) -> wire.Prepare | wire.Accept:
        return wire.Prepare(self.ballot) if self.value is None else wire.Accept(self.ballot, self.value)

    def answered(self, node: NodeId) -> bool:
        return node in (self.promises if self.value is None else self.accepted)
