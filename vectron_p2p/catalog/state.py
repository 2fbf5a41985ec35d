"""Cluster state: an immutable value with one canonical byte form.

Owns what the cluster agreed on at one epoch, its bytes and its hash. Must not know how agreement is reached.
Invariants: equal states have equal bytes on every machine and version; `hash` covers the bytes, and the bytes cover
the entry that led here, which names the hash before it: so one hash stands for the whole history and for the state it
gave.

The byte form is part of the protocol: a field added later may be written only once an entry has set it, otherwise
nodes of two versions would hash one state differently.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from operator import le
from typing import TYPE_CHECKING, Any

import msgpack

from vectron_p2p.catalog.alerting import NOTHING, AlertSettings
from vectron_p2p.catalog.moves import Move, Route, Step, route
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import NotFound
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId, ShardId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1
HASH_BYTES = 16  # 128 bits: accidents are out of reach, and every gossip packet carries one
KEPT_OPERATIONS = 1_000  # clients retry within minutes; a thousand catalog changes are far more than that

Placement = tuple[tuple[NodeId, ...], ...]


class BadCatalog(ValueError):
    """Bytes or a message that no correct node of this version makes."""


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def canonical(value: Any) -> bytes:
    """`value` packed so that equal values give equal bytes: the keys of dicts sorted."""
    packed: bytes = msgpack.packb(_sorted(value))
    return packed


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value


def unpack(data: bytes) -> Any:
    """Inverse of `canonical`.

    Raises:
        BadCatalog: `data` is no msgpack.
    """
    try:
        return msgpack.unpackb(data, max_ext_len=0)
    except Exception as error:  # msgpack raises its own, ValueError, RecursionError and UnicodeDecodeError
        raise BadCatalog(f"no msgpack: {error}") from error


@dataclass(frozen=True, slots=True)
class Member:
    node: NodeId
    name: str
    address: Address
    zone: str
    state: NodeState


@dataclass(frozen=True)  # no slots: its byte form is made once, and serves all states that share it
class Collection:
    """A collection. `options.shards` is set; `placement[i]` are the owners of shard i that are read: with a move under
    way others are written too (`ClusterState.route`). `fences[i]` is the epoch of the last step of a move of shard i,
    0 for none; empty while none of them ever moved.
    """

    id: CollectionId
    name: str
    options: CollectionOptions
    placement: Placement
    fences: tuple[int, ...] = ()

    @property
    def shards(self) -> int:
        return len(self.placement)

    def fence(self, index: int) -> int:
        return self.fences[index] if self.fences else 0

    def fenced(self, indices: Iterable[int], epoch: int) -> Collection:
        """The same, with a step of these shards at `epoch`."""
        fences = list(self.fences or (0,) * self.shards)
        for index in indices:
            fences[index] = epoch
        return replace(self, fences=tuple(fences))

    @cached_property
    def under_replicated(self) -> int:
        """Shards with fewer owners than wished."""
        return sum(len(owners) < self.options.replicas for owners in self.placement)

    def owned_by(self, node: NodeId) -> tuple[int, ...]:
        """Its shards that `node` owns. A process asks for itself, after every entry."""
        known: tuple[NodeId, tuple[int, ...]] | None = self.__dict__.get("_owned_by")
        if known is None or known[0] != node:
            owned = tuple(index for index, owners in enumerate(self.placement) if node in owners)
            known = self.__dict__["_owned_by"] = node, owned
        return known[1]

    def packed(self, numbers: _Numbers) -> bytes:
        """Its part of the state's byte form. Of a hundred thousand shards, an entry changes one."""
        known: tuple[bytes, bytes] | None = self.__dict__.get("_packed")
        if known is not None and known[0] == numbers.key:
            return known[1]
        number = numbers.of.__getitem__
        placement = [list(map(number, row)) for row in self.placement]
        row: list[Any] = [self.id, self.name, *_options_row(self.options), placement]
        chosen = self.options.payload_index
        if self.fences or chosen is not True:
            row.append(self.fences)
        if chosen is not True:
            row.append(chosen)
        packed: bytes = msgpack.packb(row)
        self.__dict__["_packed"] = numbers.key, packed
        return packed


class _Numbers:
    """Members by number, in the order of their ids: 36 characters each would make placements 20 times longer.

    `key` is equal for equal members.
    """

    __slots__ = ("key", "of")

    def __init__(self, nodes: list[NodeId]) -> None:
        self.of = {node: index for index, node in enumerate(nodes)}
        self.key = digest("\0".join(nodes).encode())


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a forced recovery left the generation before: the state that it went on from."""

    generation: int
    epoch: int
    hash: bytes


@dataclass(frozen=True)  # no slots: the byte form and the look-ups are made once, on demand
class ClusterState:
    """Everything agreed at `epoch`. `entry` is the digest of the entry that led here (empty at the founding).

    `operations` maps the last client operations, oldest first, to their results in byte form. `branch` is set from the
    first forced recovery on. `moves` are those under way.
    """

    cluster: ClusterId
    generation: int
    epoch: int
    entry: bytes
    members: Mapping[NodeId, Member]
    voters: tuple[NodeId, ...]
    collections: Mapping[CollectionId, Collection] = field(default_factory=dict)
    operations: Mapping[OperationId, bytes] = field(default_factory=dict)
    branch: Branch | None = None
    moves: Mapping[ShardId, Move] = field(default_factory=dict)
    alerts: AlertSettings = NOTHING

    def __post_init__(self) -> None:
        # What a command gives may depend on the order in which it comes upon things (which of two collections a refusal
        # names, say), and that order must be one on every node: those that began from a snapshot have them sorted.
        for name in ("members", "collections", "moves"):
            held = getattr(self, name)
            if not all(map(le, held, islice(held, 1, None))):
                object.__setattr__(self, name, {key: held[key] for key in sorted(held)})

    @cached_property
    def hash(self) -> bytes:
        return digest(self._bytes)

    @cached_property
    def _by_name(self) -> dict[str, Collection]:
        return {each.name: each for each in self.collections.values()}

    def collection(self, name: str) -> Collection | None:
        return self._by_name.get(name)

    def route(self, shard: ShardId) -> Route:
        """Who is read and who is written for `shard`, dead or alive.

        Raises:
            NotFound: There is no such collection or shard at this epoch.
        """
        collection = self.collections.get(shard.collection)
        if collection is None or not 0 <= shard.index < collection.shards:
            raise NotFound(f"shard {shard} does not exist at epoch {self.epoch}", field="collection")
        return route(collection.placement[shard.index], self.moves.get(shard), collection.fence(shard.index))

    def fence(self, shard: ShardId) -> int:
        """The epoch of the last step of a move of `shard`; 0 when there was none, or there is no such shard."""
        collection = self.collections.get(shard.collection)
        return collection.fence(shard.index) if collection is not None and shard.index < collection.shards else 0

    def owners(self, shard: ShardId) -> tuple[NodeId, ...]:
        """The nodes that have a replica of `shard`, dead or alive; during a move those that leave and come too.

        Raises:
            NotFound: There is no such collection or shard at this epoch.
        """
        return self.route(shard).owners

    def owned(self, node: NodeId) -> list[ShardId]:
        """The shards of which `node` has a replica, also those that leave or come."""
        read = {ShardId(key, index) for key, each in self.collections.items() for index in each.owned_by(node)}
        return sorted(read | {shard for shard, move in self.moves.items() if node in (move.leaving, move.coming)})

    def active(self) -> list[Member]:
        """Members that can own shards, by id."""
        return [self.members[node] for node in sorted(self.members) if self.members[node].state is NodeState.ACTIVE]

    def current(self) -> list[NodeId]:
        """Members that have not left and were not removed, by id."""
        gone = (NodeState.LEFT, NodeState.REMOVED)
        return [node for node in sorted(self.members) if self.members[node].state not in gone]

    def with_fences(self, shards: Iterable[ShardId], epoch: int) -> ClusterState:
        """The same, with a step of the moves of these shards at `epoch`."""
        collections = dict(self.collections)
        for shard in shards:
            collections[shard.collection] = collections[shard.collection].fenced([shard.index], epoch)
        return replace(self, collections=collections)

    def load(self) -> dict[NodeId, int]:
        """Replicas owned by each node that owns any."""
        rows = chain.from_iterable(each.placement for each in self.collections.values())
        return dict(Counter(chain.from_iterable(rows)))

    def parts(self, node: NodeId) -> int:
        """Shards of which `node` owns a replica, or that are being moved to or from it."""
        owned = sum(len(each.owned_by(node)) for each in self.collections.values())
        return owned + sum(
            node in (move.leaving, move.coming) and node not in self.route(shard).read
            for shard, move in self.moves.items()
        )

    def under_replicated(self) -> int:
        """Shards with fewer owners than their collection's wish."""
        return sum(each.under_replicated for each in self.collections.values())

    def result(self, operation: str) -> dict[str, Any] | None:
        """What a client operation gave, if it is among the last ones."""
        packed = self.operations.get(OperationId(operation))
        return None if packed is None else dict(unpack(packed))

    def to_bytes(self) -> bytes:
        """The canonical byte form."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        nodes = sorted(self.members)
        numbers = _Numbers(nodes)
        fields: list[Any] = [  # lists only: there is nothing to sort
            FORMAT,
            self.cluster,
            self.generation,
            self.epoch,
            self.entry,
            [
                [each.node, each.name, each.address.host, each.address.port, each.zone, each.state.value]
                for each in (self.members[node] for node in nodes)
            ],
            [numbers.of[node] for node in self.voters],
        ]
        later = [[[operation, result] for operation, result in self.operations.items()], *self._later_fields()]
        packer = msgpack.Packer()
        parts = [packer.pack_array_header(len(fields) + 1 + len(later)), *map(packer.pack, fields)]
        parts.append(packer.pack_array_header(len(self.collections)))
        parts += [self.collections[key].packed(numbers) for key in sorted(self.collections)]
        parts += map(packer.pack, later)
        return b"".join(parts)

    def _later_fields(self) -> list[dict[str, Any]]:
        """Fields that only some entries set, by name; nothing while none is set."""
        later: dict[str, Any] = {}
        if self.branch is not None:
            later["branch"] = [self.branch.generation, self.branch.epoch, self.branch.hash]
        if self.moves:
            later["moves"] = [_move_row(self.moves[shard]) for shard in sorted(self.moves)]
        if self.alerts != NOTHING:
            later["alerts"] = self.alerts.to_row()
        return [_sorted(later)] if later else []

    @classmethod
    def from_bytes(cls, data: bytes) -> ClusterState:
        """Inverse of `to_bytes`.

        Raises:
            BadCatalog: `data` is not the canonical form of a state, or has an unknown format.
        """
        fields = unpack(data)
        if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
            raise BadCatalog("no catalog state")
        if fields[0] != FORMAT:
            raise BadCatalog(f"catalog format {fields[0]} is unknown to this version, which reads {FORMAT}: upgrade it")
        try:
            _, cluster, generation, epoch, entry, members, voters, collections, operations, *rest = fields
            later = _later(rest)
            nodes = [NodeId(row[0]) for row in members]
            state = cls(
                cluster=ClusterId(cluster),
                generation=generation,
                epoch=epoch,
                entry=entry,
                members={
                    node: Member(node, name, Address(host, port), zone, NodeState(word))
                    for node, name, host, port, zone, word in members
                },
                voters=tuple(nodes[index] for index in voters),
                collections={
                    CollectionId(row[0]): Collection(
                        CollectionId(row[0]),
                        row[1],
                        CollectionOptions(*row[2:8], *(tuple(w) if type(w) is list else w for w in row[10:])),
                        tuple(tuple(map(nodes.__getitem__, owners)) for owners in row[8]),
                        tuple(*row[9:10]),
                    )
                    for row in collections
                },
                operations={OperationId(operation): result for operation, result in operations},
                branch=Branch(*later["branch"]) if "branch" in later else None,
                moves={move.shard: move for move in map(_move, later.get("moves", []))},
                alerts=AlertSettings.from_row(later["alerts"]) if "alerts" in later else NOTHING,
            )
            same = state.to_bytes() == data and all(
                len(each.fences) in (0, each.shards) and all(type(fence) is int for fence in each.fences)
                for each in state.collections.values()
            )
        except BadCatalog:
            raise
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise BadCatalog(f"no catalog state: {error}") from error
        if (
            not same
            or type(epoch) is not int
            or epoch < 1
            or type(generation) is not int
            or not isinstance(entry, bytes)
        ):
            raise BadCatalog("catalog state is not in its canonical form")
        return state


def _later(rest: list[Any]) -> dict[str, Any]:
    """The fields that only some entries set."""
    match rest:
        case []:
            return {}
        case [dict(later)] if set(later) <= {"branch", "moves", "alerts"}:
            return later
    raise BadCatalog("catalog state has fields that are unknown to this version: upgrade it")


def _move_row(move: Move) -> list[Any]:
    return [move.id, *move.shard, move.leaving, move.coming, move.step.value, move.epoch]


def _move(row: list[Any]) -> Move:
    number, collection, index, leaving, coming, step, epoch = row
    return Move(number, ShardId(CollectionId(collection), index), leaving, coming, Step(step), epoch)


def _options_row(options: CollectionOptions) -> list[Any]:
    o = options
    return [o.dimension, o.metric, o.shards, o.replicas, o.m, o.ef_construction]


def found(cluster: ClusterId, node: NodeId, name: str, address: Address, zone: str) -> ClusterState:
    """The state of a new cluster: epoch 1, `node` its only member and voter."""
    founder = Member(node, name, address, zone, NodeState.ACTIVE)
    return ClusterState(cluster, 0, 1, b"", {node: founder}, (node,))
