"""Entries: the values that the epoch log decides, and the step from one state to the next.

Invariant: an entry fits only the state whose hash it names, and gives the same next state wherever it is applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.commands import Command, Result, command_from_wire
from vectron_p2p.catalog.state import BadCatalog, ClusterState, canonical, digest, unpack
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import NodeId


@dataclass(frozen=True, slots=True)
class Entry:
    """`command` as the `proposal`-th of `proposer`, on top of the state with hash `previous`."""

    generation: int
    epoch: int
    previous: bytes
    proposer: NodeId
    proposal: str
    command: dict[str, Any]

    def to_bytes(self) -> bytes:
        return canonical(
            [self.generation, self.epoch, self.previous, self.proposer, self.proposal, self.command],
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Entry:
        """Inverse of `to_bytes`.

        Raises:
            BadCatalog: `data` is no entry.
        """
        match unpack(data):
            case [int(generation), int(epoch), bytes(previous), str(proposer), str(proposal), dict(command)]:
                return cls(generation, epoch, previous, NodeId(proposer), proposal, command)
        raise BadCatalog("no catalog entry")

    def follows(self, state: ClusterState) -> bool:
        return (self.generation, self.epoch, self.previous) == (state.generation, state.epoch + 1, state.hash)

    def parse(self) -> Command:
        """The command.

        Raises:
            BadCatalog: This version does not know it.
        """
        try:
            return command_from_wire(self.command)
        except InvalidArgument as error:
            raise BadCatalog(f"entry {self.epoch}: {error.message}") from error


def advance(state: ClusterState, data: bytes) -> tuple[ClusterState, Entry, Result]:
    """The state after the entry with bytes `data`, which follows `state`.

    Raises:
        BadCatalog: It is no entry, does not follow `state`, or holds a command that this version does not know.
    """
    entry = Entry.from_bytes(data)
    if not entry.follows(state):
        raise BadCatalog(f"entry {entry.epoch} does not follow the state at epoch {state.epoch}")
    after, result = apply(state, entry.parse())
    return replace(after or state, epoch=entry.epoch, entry=digest(data)), entry, result
