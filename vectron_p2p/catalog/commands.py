"""Commands: what an entry of the epoch log can do to the state.

Owns the commands and their wire form; `apply` says what they do. Must not know the state, nor the log.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from vectron_p2p.catalog.command_fields import FIELDS
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, CollectionId, NodeId, OperationId

Result: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AddMember:
    """A node asks in: it becomes `joining`. Idempotent for the same node, whose address is then the one given."""

    node: NodeId
    name: str
    address: Address
    zone: str


@dataclass(frozen=True, slots=True)
class ActivateMember:
    """`joining` -> `active`, and voter while there is room. Proposed by the node itself once it persisted the state."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class UpdateAddress:
    node: NodeId
    address: Address


@dataclass(frozen=True, slots=True)
class SeatVoter:
    """One step of `voters.voter_change` for a node whose vote should come or go; proposed by that node."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class DrainNode:
    """`active` -> `draining`: it gets no shard any more, those that it owns go to other nodes, then it leaves."""

    operation_id: OperationId
    node: NodeId


@dataclass(frozen=True, slots=True)
class CancelDrain:
    """`draining` -> `active`."""

    operation_id: OperationId
    node: NodeId


@dataclass(frozen=True, slots=True)
class LeaveCluster:
    """`draining` -> `left`, of a node that owns nothing and does not vote; proposed by that node."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """-> `removed`, of a node that is dead for good. Its vote goes with it; its shards are moved afterwards."""

    operation_id: OperationId
    node: NodeId


@dataclass(frozen=True, slots=True)
class CreateCollection:
    operation_id: OperationId
    collection_id: CollectionId
    name: str
    options: CollectionOptions
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class DeleteCollection:
    operation_id: OperationId
    name: str


@dataclass(frozen=True, slots=True)
class SetReplicas:
    """How many replicas of each of its shards a collection is to have, from now on."""

    operation_id: OperationId
    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class StartMove:
    """A replica of a shard goes from `leaving` to `coming`; "" for one that is absent. The result has the move's id."""

    collection_id: CollectionId
    shard: int
    leaving: str
    coming: str


@dataclass(frozen=True, slots=True)
class AdvanceMove:
    """The next step of a move that is at `step`: `both` -> `read_new` -> done. Idempotent: a move that is at a later
    step, or over, stays as it is.
    """

    collection_id: CollectionId
    shard: int
    move: int
    step: str


@dataclass(frozen=True, slots=True)
class CancelMove:
    """Ends a move before its `read_new`: the owners stay as they are."""

    collection_id: CollectionId
    shard: int
    move: int


@dataclass(frozen=True, slots=True)
class SetAlertRule:
    """A rule of alerts, whole; `threshold` is what it comes with where the rule has none."""

    operation_id: OperationId
    rule: str
    enabled: bool
    threshold: float
    for_s: float
    severity: str


@dataclass(frozen=True, slots=True)
class HandleAlert:
    """Somebody acknowledges or resolves the alert about `subject` that began at `onset_ms`."""

    operation_id: OperationId
    rule: str
    subject: str
    onset_ms: int
    action: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SilenceAlerts:
    """Those of a rule or about a subject, until then."""

    operation_id: OperationId
    target: str
    until_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SetAlertRoute:
    """Where alerts are sent; `url` "": no longer there."""

    operation_id: OperationId
    name: str
    url: str
    severity: str


Command: TypeAlias = (
    AddMember
    | ActivateMember
    | UpdateAddress
    | SeatVoter
    | DrainNode
    | CancelDrain
    | LeaveCluster
    | RemoveNode
    | CreateCollection
    | DeleteCollection
    | SetReplicas
    | StartMove
    | AdvanceMove
    | CancelMove
    | SetAlertRule
    | HandleAlert
    | SilenceAlerts
    | SetAlertRoute
)

KINDS: dict[str, type[Command]] = {
    "add_member": AddMember,
    "activate_member": ActivateMember,
    "update_address": UpdateAddress,
    "seat_voter": SeatVoter,
    "drain_node": DrainNode,
    "cancel_drain": CancelDrain,
    "leave_cluster": LeaveCluster,
    "remove_node": RemoveNode,
    "create_collection": CreateCollection,
    "delete_collection": DeleteCollection,
    "set_replicas": SetReplicas,
    "start_move": StartMove,
    "advance_move": AdvanceMove,
    "cancel_move": CancelMove,
    "set_alert_rule": SetAlertRule,
    "handle_alert": HandleAlert,
    "silence_alerts": SilenceAlerts,
    "set_alert_route": SetAlertRoute,
}
_NAMES = {cls: kind for kind, cls in KINDS.items()}


def command_to_wire(command: Command) -> dict[str, Any]:
    wire: dict[str, Any] = {"kind": _NAMES[type(command)]}
    for each in fields(command):
        value = getattr(command, each.name)
        if isinstance(value, Address):
            value = str(value)
        elif isinstance(value, CollectionOptions):
            value = {option.name: getattr(value, option.name) for option in fields(value)}
        wire[each.name] = value
    return wire


def command_from_wire(wire: dict[str, Any]) -> Command:
    """Inverse of `command_to_wire`; what only the state can refuse is left to `apply`.

    Raises:
        InvalidArgument: Unknown kind, or a field missing or of the wrong form; it is named.
    """
    cls = KINDS.get(str(wire.get("kind")))
    if cls is None:
        raise InvalidArgument(
            f"catalog command {str(wire.get('kind'))[:40]!r} is unknown to this version", field="kind"
        )
    names = [each.name for each in fields(cls)]
    for key in sorted(map(str, wire)):
        if key != "kind" and key not in names:
            raise InvalidArgument(f"catalog command {wire['kind']} has no field {key[:40]!r}", field=key[:40])
    return cls(**{name: FIELDS[name](wire.get(name), name) for name in names})


def operation_of(command: Command) -> OperationId | None:
    """The client's operation id, of commands that have one."""
    operation: OperationId | None = getattr(command, "operation_id", None)
    return operation
