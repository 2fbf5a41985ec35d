"""What the epoch log asks its driver to do, and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.catalog.records import Put
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.errors import VectronError
    from vectron_p2p.model.ids import NodeId


@dataclass(frozen=True, slots=True)
class Persist:
    """Write `puts` (None deletes) in one atomic batch, synced before any later effect is performed."""

    puts: list[Put]


@dataclass(frozen=True, slots=True)
class Send:
    """Send `body` to `node`, once; it may be lost."""

    node: NodeId
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """The cluster is at `state`, durably here. Epochs may have been skipped since the last one."""

    state: ClusterState


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal was decided at `epoch`; `result` may be a refusal (`{"error": ...}`)."""

    proposal_id: str
    epoch: int
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProposalFailed:
    """A proposal was given up; unless the error says otherwise it may still be decided later."""

    proposal_id: str
    error: VectronError


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`sender`, asked by the look of that number, knows nothing newer than what is applied here by now."""

    look: int
    sender: NodeId


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message was not understood and dropped: for the log of the node."""

    sender: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Two histories exist, or this version cannot follow the one there is. The log has stopped for good; with `leave`
    the whole node has to stop, for the cluster goes on without it.
    """

    text: str
    leave: bool = False


Effect: TypeAlias = Persist | Send | Applied | Proposed | ProposalFailed | Confirmed | Rejected | Alarm
