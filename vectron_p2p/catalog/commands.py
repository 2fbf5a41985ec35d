"""Commands: what an entry of the epoch log can do to the state.

Owns their wire form and `apply`, a pure function: every node that applies the same command to the same state gets the
same state and the same result. Must not know the log. Invariants: `apply` never raises for a decoded command, a
refusal is a result like any other (`{"error": <VectronError in wire form>}`); a client's operation id is applied
once, later entries with the same id get its first result.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from vectron_p2p.catalog.moves import Move, Step
from vectron_p2p.catalog.placement import default_shards, place
from vectron_p2p.catalog.state import KEPT_OPERATIONS, ClusterState, Collection, Member, canonical
from vectron_p2p.catalog.voters import MAX_VOTERS, voter_change
from vectron_p2p.model.collections import CollectionOptions, check_name, check_options
from vectron_p2p.model.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied, VectronError
from vectron_p2p.model.ids import Address, CollectionId, NodeId, OperationId, ShardId, parse_address
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_COLLECTIONS = 1_000  # with the widest placements the state then still fits one message several times over
MAX_TEXT = 300  # ids and addresses: a host name has at most 255 characters
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
    """One step of `voters.voter_change` for an active node that does not vote; proposed by that node."""

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


Command: TypeAlias = (
    AddMember
    | ActivateMember
    | UpdateAddress
    | SeatVoter
    | CreateCollection
    | DeleteCollection
    | StartMove
    | AdvanceMove
    | CancelMove
)

KINDS: dict[str, type[Command]] = {
    "add_member": AddMember,
    "activate_member": ActivateMember,
    "update_address": UpdateAddress,
    "seat_voter": SeatVoter,
    "create_collection": CreateCollection,
    "delete_collection": DeleteCollection,
    "start_move": StartMove,
    "advance_move": AdvanceMove,
    "cancel_move": CancelMove,
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
    return cls(**{name: _FIELDS[name](wire.get(name), name) for name in names})


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise InvalidArgument(f"{name} is a str of 1 to {MAX_TEXT} characters", field=name)
    return value


def _one_of(value: object, name: str, words: list[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise InvalidArgument(f"{name} is one of {', '.join(words)}", field=name)
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} is true or false", field=name)
    return value


def _options(value: object, name: str) -> CollectionOptions:
    if not isinstance(value, dict) or not set(value) <= {each.name for each in fields(CollectionOptions)}:
        raise InvalidArgument("options are those of a collection", field=name)
    if "dimension" not in value:
        raise InvalidArgument("dimension is missing", field="dimension")
    return check_options(CollectionOptions(**value))


def _number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise InvalidArgument(f"{name} is an int from 0 on", field=name)
    return value


_FIELDS: dict[str, Callable[[object, str], Any]] = {
    "node": _text,
    "name": lambda value, name: check_name(value, field=name),
    "address": lambda value, name: parse_address(_text(value, name), field=name),
    "zone": lambda value, name: "" if value == "" else check_name(value, field=name),  # "": no zone was configured
    "operation_id": _text,
    "collection_id": _text,
    "options": _options,
    "if_not_exists": _flag,
    "shard": _number,
    "move": _number,
    "step": lambda value, name: Step(_one_of(value, name, [each.value for each in Step])).value,
    "leaving": lambda value, name: "" if value == "" else _text(value, name),
    "coming": lambda value, name: "" if value == "" else _text(value, name),
}


def apply(state: ClusterState, command: Command) -> tuple[ClusterState | None, Result]:
    """The state after `command` (None: unchanged; the epoch is the log's business) and its result."""
    operation = operation_of(command)
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


def operation_of(command: Command) -> OperationId | None:
    """The client's operation id, of commands that have one."""
    return command.operation_id if isinstance(command, CreateCollection | DeleteCollection) else None


def _apply(state: ClusterState, command: Command) -> tuple[ClusterState, Result]:
    match command:
        case AddMember():
            return _add_member(state, command), {"node": command.node}
        case ActivateMember():
            return _activate(state, command.node)
        case UpdateAddress():
            member = _member(state, command.node)
            return _with_member(state, replace(member, address=command.address)), {"node": command.node}
        case SeatVoter():
            _member(state, command.node)
            return _seat(state, command.node)
        case CreateCollection():
            return _create(state, command)
        case DeleteCollection():
            return _delete(state, command)
        case StartMove():
            return _start_move(state, command)
        case AdvanceMove():
            return _advance_move(state, command)
        case CancelMove():
            return _cancel_move(state, command)


def _member(state: ClusterState, node: NodeId) -> Member:
    member = state.members.get(node)
    if member is None:
        raise NotFound(f"node {node} is no member of this cluster", field="node")
    if member.state in (NodeState.LEFT, NodeState.REMOVED):
        raise PermissionDenied(
            f"node {node} has {member.state.value} this cluster for good: start it with an empty folder", field="node"
        )
    return member


def _with_member(state: ClusterState, member: Member) -> ClusterState:
    if state.members.get(member.node) == member:
        return state
    return replace(state, members={**state.members, member.node: member})


def _add_member(state: ClusterState, command: AddMember) -> ClusterState:
    if command.node in state.members:
        return _with_member(state, replace(_member(state, command.node), address=command.address))
    if any(state.members[node].name == command.name for node in state.current()):
        raise AlreadyExists(f"a node named {command.name!r} is a member: choose another --name", field="name")
    return _with_member(state, Member(command.node, command.name, command.address, command.zone, NodeState.JOINING))


def _activate(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    member = _member(state, node)
    if member.state is NodeState.JOINING:
        state = _with_member(state, replace(member, state=NodeState.ACTIVE))
        if len(state.voters) < MAX_VOTERS:
            state = replace(state, voters=tuple(sorted((*state.voters, node))))
    return state, {"node": node, "voter": node in state.voters}


def _seat(state: ClusterState, node: NodeId) -> tuple[ClusterState, Result]:
    match voter_change(state, node):
        case who, comes:
            others = [voter for voter in state.voters if voter != who]
            state = replace(state, voters=tuple(sorted([*others, who] if comes else others)))
    return state, {"node": node, "voter": node in state.voters}


def _create(state: ClusterState, command: CreateCollection) -> tuple[ClusterState, Result]:
    existing = state.collection(command.name)
    if existing is not None:
        if command.if_not_exists:
            return state, {"collection": existing.id, "created": False}
        raise AlreadyExists(f"collection {command.name!r} exists", field="name")
    if command.collection_id in state.collections:
        raise AlreadyExists(f"collection id {command.collection_id} is in use", field="collection_id")
    if len(state.collections) >= MAX_COLLECTIONS:
        raise InvalidArgument(f"a cluster has at most {MAX_COLLECTIONS} collections: delete some", field="name")
    active = state.active()
    shards = command.options.shards or default_shards(len(active))
    owners = place(
        command.collection_id,
        shards,
        command.options.replicas,
        [(member.node, member.zone) for member in active],
        state.load(),
    )
    created = Collection(command.collection_id, command.name, replace(command.options, shards=shards), owners)
    return (
        replace(state, collections={**state.collections, created.id: created}),
        {"collection": created.id, "created": True},
    )


def _delete(state: ClusterState, command: DeleteCollection) -> tuple[ClusterState, Result]:
    existing = state.collection(command.name)
    if existing is None:
        raise NotFound(f"collection {command.name!r} does not exist", field="name")
    rest = {key: each for key, each in state.collections.items() if key != existing.id}
    moves = {shard: move for shard, move in state.moves.items() if shard.collection != existing.id}
    fences = {shard: fence for shard, fence in state.fences.items() if shard.collection != existing.id}
    return replace(state, collections=rest, moves=moves, fences=fences), {"collection": existing.id}


# --- moves ------------------------------------------------------------------------------------------------------------


def _start_move(state: ClusterState, command: StartMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    leaving = NodeId(command.leaving) if command.leaving else None
    coming = NodeId(command.coming) if command.coming else None
    owners = state.route(shard).read
    if shard in state.moves:
        raise AlreadyExists(f"shard {shard} is being moved already", field="shard")
    if leaving is None and coming is None:
        raise InvalidArgument("a move has a node that leaves or one that comes", field="coming")
    if leaving is not None and leaving not in owners:
        raise NotFound(f"node {leaving} owns no shard {shard}", field="leaving")
    if coming is None and len(owners) == 1:
        raise InvalidArgument(f"shard {shard} has no other owner", field="leaving")
    if coming is not None:
        if coming in owners:
            raise AlreadyExists(f"node {coming} owns shard {shard} already", field="coming")
        if _member(state, coming).state is not NodeState.ACTIVE:
            raise InvalidArgument(f"node {coming} is not active", field="coming")
    epoch = state.epoch + 1
    return _with_move(state, Move(epoch, shard, leaving, coming, Step.BOTH, epoch)), {"move": epoch}


def _advance_move(state: ClusterState, command: AdvanceMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    move = state.moves.get(shard)
    result = {"move": command.move}
    if move is None or move.id != command.move or move.step.value != command.step:
        return state, result  # it is further already, or gone
    epoch = state.epoch + 1
    if move.step is Step.BOTH:
        collection = state.collections[shard.collection]
        rows = list(collection.placement)
        rows[shard.index] = move.changed(rows[shard.index])
        collections = {**state.collections, collection.id: replace(collection, placement=tuple(rows))}
        state = replace(state, collections=collections)
        return _with_move(state, replace(move, step=Step.READ_NEW, epoch=epoch)), result
    return _without_move(state, shard), result


def _cancel_move(state: ClusterState, command: CancelMove) -> tuple[ClusterState, Result]:
    shard = ShardId(command.collection_id, command.shard)
    move = state.moves.get(shard)
    if move is not None and move.id == command.move:
        if move.step is not Step.BOTH:
            raise InvalidArgument("the new owners are read already: this move can only go on", field="move")
        state = _without_move(state, shard)
    return state, {"move": command.move}


def _with_move(state: ClusterState, move: Move) -> ClusterState:
    return replace(state, moves={**state.moves, move.shard: move}, fences={**state.fences, move.shard: state.epoch + 1})


def _without_move(state: ClusterState, shard: ShardId) -> ClusterState:
    moves = {each: move for each, move in state.moves.items() if each != shard}
    return replace(state, moves=moves, fences={**state.fences, shard: state.epoch + 1})
