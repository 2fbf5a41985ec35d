"""Where points and shards go: point id -> slot -> shard, and shard -> nodes.

Owns both mappings as pure functions; the second is evaluated once, when a collection is created, and its result
stored in the catalog. Must not know liveness. Invariants of `place`: the owners of a shard are distinct and lie in as
many zones as can be; nodes differ by at most one replica, unless that would put a shard's owners into fewer zones;
equal arguments give equal placements on every node.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import xxhash

from vectron_p2p.model.collections import MAX_SHARDS
from vectron_p2p.model.ids import CollectionId, NodeId, PointId, encode_point_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SLOTS = MAX_SHARDS  # a shard is a range of slots, so twice the shards means every shard cut in two
POINT_SEED = (
    0x76656374  # other users of xxhash on ids (Merkle leaves) must not be correlated with the choice of the shard
)


def slot_of(point_id: PointId) -> int:
    """The slot of a checked point id, 0..SLOTS-1, for ever."""
    return xxhash.xxh3_64_intdigest(encode_point_id(point_id), POINT_SEED) * SLOTS >> 64


def shard_of(point_id: PointId, shards: int) -> int:
    """The shard of a checked point id in a collection of `shards` (a power of two up to SLOTS)."""
    return slot_of(point_id) * shards // SLOTS


def default_shards(nodes: int) -> int:
    """The smallest power of two that gives each of `nodes` a shard of its own, up to MAX_SHARDS."""
    return min(1 << max(0, nodes - 1).bit_length(), MAX_SHARDS)


def _score(*parts: object) -> int:
    """Rendezvous weight: who scores highest is preferred."""
    return xxhash.xxh3_64_intdigest("\x00".join(map(str, parts)).encode())


def _scores(collection: CollectionId, shard: int, nodes: Iterable[NodeId], suffix: Mapping[NodeId, bytes]) -> list[int]:
    """`_score(collection, shard, node)` of each of `nodes`; with a thousand of them most of the work of a placement."""
    prefix = f"{collection}\x00{shard}\x00".encode()
    digest = xxhash.xxh3_64_intdigest
    return [digest(prefix + suffix[node]) for node in nodes]


def place(
    collection: CollectionId,
    shards: int,
    replicas: int,
    nodes: Sequence[tuple[NodeId, str]],
    load: Mapping[NodeId, int],
) -> tuple[tuple[NodeId, ...], ...]:
    """Owners of each shard: `replicas` of `nodes` (id, zone), or all of them when there are fewer.

    Rendezvous hashing with bounded load. First every node gets a quota, as equal as the zones permit, the odd ones
    going to the nodes with the least `load`. Then each shard in turn takes its owners, the highest weights first, in a
    way that always leaves the rest solvable: of a zone (or node) that still has r replicas to take in m shards, this
    shard takes r/m rounded down or up. The fractions r/m of all zones add up to the replicas wanted, so there is always
    such a choice, and after it no node has more left to take than there are shards.
    """
    wanted = min(replicas, len(nodes))
    if wanted == 0:
        return ((),) * shards
    zones: dict[str, list[NodeId]] = {}
    for node, zone in sorted(nodes):
        zones.setdefault(zone, []).append(node)
    left = _quotas(collection, shards, wanted, zones, load)
    suffix = {node: node.encode() for node, _ in nodes}
    rows = []
    for shard in range(shards):
        to_go = shards - shard
        totals = {zone: sum(left[node] for node in members) for zone, members in zones.items()}
        takes = {zone: total // to_go for zone, total in totals.items()}
        odd = sorted(
            (zone for zone, total in totals.items() if total % to_go),
            key=lambda zone: (-_score(collection, shard, zone, "zone"), zone),
        )
        for zone in odd[: wanted - sum(takes.values())]:
            takes[zone] += 1
        row: list[tuple[int, NodeId]] = []
        for zone, members in zones.items():
            if takes[zone]:
                able = [node for node in members if left[node]]
                scores = _scores(collection, shard, able, suffix)
                ranked = heapq.nsmallest(
                    takes[zone],
                    [
                        (left[node] < to_go, -score, node) for node, score in zip(able, scores, strict=True)
                    ],  # one that must own all shards to go comes first
                )
                row += [(score, node) for _, score, node in ranked]
        for _, node in row:
            left[node] -= 1
        rows.append(tuple(node for _, node in sorted(row)))
    return tuple(rows)


def _quotas(
    collection: CollectionId, shards: int, wanted: int, zones: Mapping[str, list[NodeId]], load: Mapping[NodeId, int]
) -> dict[NodeId, int]:
    """Replicas that each node takes, `wanted * shards` in all.

    The owners of one shard fill the zones evenly: `most` in each zone or one less, but for zones with fewer nodes. So
    each zone first gets what it must have for that, then all take more, as far as their zones may.
    """
    most = 1
    while sum(min(len(members), most) for members in zones.values()) < wanted:
        most += 1
    must = {zone: shards * min(len(members), most - 1) for zone, members in zones.items()}
    may = {zone: shards * min(len(members), most) - must[zone] for zone, members in zones.items()}
    rank = {node: (load.get(node, 0), -_score(collection, node)) for members in zones.values() for node in members}
    quotas = dict.fromkeys(rank, 0)

    def give(amount: int, room: dict[str, int]) -> None:
        """Always one more to the node that has fewest, of equals to the one with the least load."""
        heap = [(quotas[node], rank[node], node, zone) for zone in room for node in zones[zone]]
        heapq.heapify(heap)
        while amount:
            taken, order, node, zone = heapq.heappop(heap)
            if room[zone] and taken < shards:
                quotas[node] += 1
                room[zone] -= 1
                amount -= 1
                heapq.heappush(heap, (taken + 1, order, node, zone))

    for zone, amount in must.items():
        give(amount, {zone: amount})
    give(wanted * shards - sum(must.values()), may)
    return quotas
