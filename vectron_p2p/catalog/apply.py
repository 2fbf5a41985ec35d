"""What each command does to the state.

Owns `apply`, a pure function: every node that applies the same command to the same state gets the same state and the
same result. Must not know the log. Invariants: `apply` never raises for a decoded command, a refusal is a result like
any other (`{"error": <VectronError in wire form>}`); a client's operation id is applied once, later entries with the
same id get its first result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog import apply_alerts, apply_collections, apply_members, apply_moves
from vectron_p2p.catalog import commands as c
from vectron_p2p.catalog.state import KEPT_OPERATIONS, ClusterState, canonical
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import Command, Result


def apply(state: ClusterState, command: Command) -> tuple[ClusterState | None, Result]:
    """The state after `command` (None: unchanged; the epoch is the log's business) and its result."""
    operation = c.operation_of(command)
    if operation is not None and (known := state.result(operation)) is not None:
        return None, known
    try:
        after, result = _apply(state, command)
    except VectronError as refusal:
        after, result = state, {"error": refusal.to_wire()}
    if operation is not None:
        kept = [*state.operations.items(), (operation, canonical(result))]
        after = replace(after, operations=dict(kept[-KEPT_OPERATIONS:]))
    return None if after is state else after, result


def _apply(state: ClusterState, command: Command) -> tuple[ClusterState, Result]:
    match command:
        case c.AddMember():
            return apply_members.add(state, command)
        case c.ActivateMember():
            return apply_members.activate(state, command.node)
        case c.UpdateAddress():
            return apply_members.update_address(state, command)
        case c.SeatVoter():
            return apply_members.seat(state, command.node)
        case c.DrainNode():
            return apply_members.drain(state, command.node)
        case c.CancelDrain():
            return apply_members.cancel_drain(state, command.node)
        case c.LeaveCluster():
            return apply_members.leave(state, command.node)
        case c.RemoveNode():
            return apply_members.remove(state, command.node)
        case c.CreateCollection():
            return apply_collections.create(state, command)
        case c.DeleteCollection():
            return apply_collections.delete(state, command)
        case c.SetReplicas():
            return apply_collections.set_replicas(state, command)
        case c.StartMove():
            return apply_moves.start(state, command)
        case c.AdvanceMove():
            return apply_moves.advance(state, command)
        case c.CancelMove():
            return apply_moves.cancel(state, command)
        case c.SetAlertRule():
            return apply_alerts.set_rule(state, command)
        case c.HandleAlert():
            return apply_alerts.handle(state, command)
        case c.SilenceAlerts():
            return apply_alerts.silence(state, command)
        case c.SetAlertRoute():
            return apply_alerts.set_route(state, command)
