"""The acceptor's half of single-decree Paxos: what one voter promised and accepted for the next epoch.

Pure rules on an immutable record; the log sees to it that the record is on disk before an answer leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vectron_p2p.catalog.state import BadCatalog, canonical, unpack
from vectron_p2p.model.ids import NodeId


class Ballot(NamedTuple):
    """Ordered by round, then node. A node never uses a round twice, not even after a restart."""

    round: int
    node: NodeId


class Accepted(NamedTuple):
    ballot: Ballot
    value: bytes


NO_BALLOT = Ballot(0, NodeId(""))  # below every ballot that is used


@dataclass(frozen=True, slots=True)
class Vote:
    """The vote for the entry of `epoch`."""

    epoch: int
    promised: Ballot = NO_BALLOT
    accepted: Accepted | None = None

    def promise(self, ballot: Ballot) -> Vote | None:
        """The vote after a promise to take no lower ballot than `ballot`; None: a higher one was promised.

        The same ballot again gives the same vote: a repeated message gets a repeated answer.
        """
        return None if ballot < self.promised else Vote(self.epoch, ballot, self.accepted)

    def accept(self, ballot: Ballot, value: bytes) -> Vote | None:
        """The vote after accepting `value`; None: a higher ballot was promised."""
        return None if ballot < self.promised else Vote(self.epoch, ballot, Accepted(ballot, value))

    def to_bytes(self) -> bytes:
        return canonical([self.epoch, self.promised, self.accepted])

    @classmethod
    def from_bytes(cls, data: bytes) -> Vote:
        """Inverse of `to_bytes`.

        Raises:
            BadCatalog: `data` is no vote.
        """
        match unpack(data):
            case [int(epoch), promised, accepted]:
                return cls(epoch, parse_ballot(promised), parse_accepted(accepted))
        raise BadCatalog("no vote record")


def parse_ballot(value: object) -> Ballot:
    """Raises BadCatalog when `value` is no ballot."""
    match value:
        case [int(number), str(node)] if not isinstance(number, bool):
            return Ballot(number, NodeId(node))
    raise BadCatalog("no ballot")


def parse_accepted(value: object) -> Accepted | None:
    """Raises BadCatalog when `value` is neither None nor an accepted value."""
    match value:
        case None:
            return None
        case [ballot, bytes(data)]:
            return Accepted(parse_ballot(ballot), data)
    raise BadCatalog("no accepted value")
