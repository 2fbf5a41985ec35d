"""The proposals that this node wants decided, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog.commands import operation_of
from vectron_p2p.catalog.effects import Proposed
from vectron_p2p.catalog.entry import Entry

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import Command
    from vectron_p2p.catalog.history import Step
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId


@dataclass(frozen=True, slots=True)
class Proposal:
    id: str
    command: Command
    wire: dict[str, Any]
    deadline: float


class Proposals:
    def __init__(self, node: NodeId) -> None:
        self._node = node
        self._waiting: dict[str, Proposal] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, proposal_id: str) -> bool:
        return proposal_id in self._waiting

    @property
    def deadlines(self) -> list[float]:
        return [each.deadline for each in self._waiting.values()]

    def next_entry(self, state: ClusterState) -> bytes | None:
        """An entry after `state` with the oldest proposal; None when there is none (any more)."""
        for each in self._waiting.values():
            return Entry(state.generation, state.epoch + 1, state.hash, self._node, each.id, each.wire).to_bytes()
        return None

    def add(self, proposal: Proposal) -> None:
        self._waiting[proposal.id] = proposal

    def expire(self, now: float) -> list[str]:
        """Take out, and name, the proposals whose time is over."""
        late = [key for key, each in self._waiting.items() if each.deadline <= now]
        for key in late:
            del self._waiting[key]
        return late

    def settle(self, step: Step, state: ClusterState) -> list[Proposed]:
        """Take out what `step` decided: entries of our own, and operations that another node had decided too."""
        settled = []
        for entry, result in step.made:
            if entry.proposer == self._node and self._waiting.pop(entry.proposal, None) is not None:
                settled.append(Proposed(entry.proposal, entry.epoch, result))
        for key, each in list(self._waiting.items()):
            operation = operation_of(each.command)
            if operation is not None and (known := state.result(operation)) is not None:
                del self._waiting[key]
                settled.append(Proposed(key, state.epoch, known))
        return settled
