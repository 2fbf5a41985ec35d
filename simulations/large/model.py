"""A cluster state of any size, made as a cluster makes it: members one by one, collections by `place`."""

from __future__ import annotations

import uuid
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from vectron_p2p.catalog.placement import place
from vectron_p2p.catalog.state import ClusterState, Collection, Member
from vectron_p2p.catalog.voters import MAX_VOTERS
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DIMENSION = 384  # no figure here depends on it
RESULT_BYTES = 70  # of an operation kept in the state: a collection's id and whether it was created


class Names:
    """Ids as nodes draw them, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def __call__(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def member(names: Names, number: int, zones: int, state: NodeState = NodeState.ACTIVE) -> Member:
    address = Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 7700)
    return Member(NodeId(names()), f"node-{number}", address, f"zone-{number % zones}", state)


def build(
    nodes: int,
    collections: int,
    *,
    shards: int,
    replicas: int,
    zones: int,
    operations: int,
    seed: int,
    on_placed: Callable[[int], None] = lambda _: None,
) -> ClusterState:
    """`nodes` active members in `zones`, and `collections` of `shards` each. `on_placed` is told each that is there."""
    names = Names(seed)
    members = [member(names, number, zones) for number in range(nodes)]
    able = [(each.node, each.zone) for each in members]
    load: Counter[NodeId] = Counter()
    placed: dict[CollectionId, Collection] = {}
    for number in range(collections):
        key = CollectionId(names())
        rows = place(key, shards, replicas, able, load)
        load.update(node for row in rows for node in row)
        options = CollectionOptions(DIMENSION, shards=shards, replicas=replicas)
        placed[key] = Collection(key, f"collection-{number}", options, rows)
        on_placed(number)
    return ClusterState(
        cluster=ClusterId(names()),
        generation=0,
        epoch=10 * nodes + collections,  # as long a number as such a cluster has
        entry=b"e" * 16,
        members={each.node: each for each in members},
        voters=tuple(sorted(each.node for each in members[:MAX_VOTERS])),
        collections=placed,
        operations={OperationId(names()): b"r" * RESULT_BYTES for _ in range(operations)},
    )


def unevenness(loads: Iterable[int]) -> float:
    """Replicas of the node that has most, as a multiple of the mean."""
    values = list(loads)
    return max(values) * len(values) / sum(values)
