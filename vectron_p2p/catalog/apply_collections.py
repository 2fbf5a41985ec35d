"""What the commands about collections do to the state. They raise what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.catalog.placement import default_shards, place
from vectron_p2p.catalog.state import ClusterState, Collection
from vectron_p2p.model.errors import AlreadyExists, InvalidArgument, NotFound

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import CreateCollection, DeleteCollection, Result, SetReplicas

MAX_COLLECTIONS = 1_000  # with the widest placements the state then still fits one message several times over


def create(state: ClusterState, command: CreateCollection) -> tuple[ClusterState, Result]:
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


def delete(state: ClusterState, command: DeleteCollection) -> tuple[ClusterState, Result]:
    existing = _collection(state, command.name)
    rest = {key: each for key, each in state.collections.items() if key != existing.id}
    moves = {shard: move for shard, move in state.moves.items() if shard.collection != existing.id}
    return replace(state, collections=rest, moves=moves), {"collection": existing.id}


def set_replicas(state: ClusterState, command: SetReplicas) -> tuple[ClusterState, Result]:
    existing = _collection(state, command.name)
    result = {"collection": existing.id, "replicas": command.replicas}
    if existing.options.replicas == command.replicas:
        return state, result
    changed = replace(existing, options=replace(existing.options, replicas=command.replicas))
    return replace(state, collections={**state.collections, existing.id: changed}), result


def _collection(state: ClusterState, name: str) -> Collection:
    existing = state.collection(name)
    if existing is None:
        raise NotFound(f"collection {name!r} does not exist", field="name")
    return existing
