"""Placement: balance, distinct owners and zones, determinism; shards of points."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.catalog.placement import SLOTS, default_shards, place, shard_of, slot_of
from vectron_p2p.model.ids import CollectionId, NodeId

C = CollectionId("c")
shard_counts = st.sampled_from([1, 2, 4, 8, 16, 32])


@st.composite
def clusters(draw: st.DrawFn, zones: int = 4) -> list[tuple[NodeId, str]]:
    count = draw(st.integers(1, 12))
    return [(NodeId(f"n{i}"), f"z{draw(st.integers(0, zones - 1))}") for i in range(count)]


@given(clusters(), shard_counts, st.integers(1, 6), st.integers(0, 5))
def test_owners_are_distinct_and_spread_over_as_many_zones_as_can_be(
    nodes: list[tuple[NodeId, str]], shards: int, replicas: int, seed: int
) -> None:
    rows = place(CollectionId(f"c{seed}"), shards, replicas, nodes, {})
    zone = dict(nodes)
    sizes = Counter(zone.values())
    wanted = min(replicas, len(nodes))
    assert len(rows) == shards
    for row in rows:
        assert len(set(row)) == len(row) == wanted
        assert len({zone[node] for node in row}) == min(wanted, len(sizes))


@given(clusters(zones=1), shard_counts, st.integers(1, 6), st.integers(0, 5))
def test_in_one_zone_nodes_differ_by_at_most_one(
    nodes: list[tuple[NodeId, str]], shards: int, replicas: int, seed: int
) -> None:
    rows = place(CollectionId(f"c{seed}"), shards, replicas, nodes, {})
    counts = Counter({node: 0 for node, _ in nodes})
    counts.update(node for row in rows for node in row)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(1, 5), st.integers(1, 5), shard_counts, st.integers(1, 6))
def test_equal_zones_cost_no_balance(zones: int, per_zone: int, shards: int, replicas: int) -> None:
    nodes = [(NodeId(f"n{z}-{i}"), f"z{z}") for z in range(zones) for i in range(per_zone)]
    counts = Counter({node: 0 for node, _ in nodes})
    counts.update(node for row in place(C, shards, replicas, nodes, {}) for node in row)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(clusters(), shard_counts, st.integers(1, 6))
def test_the_order_of_the_nodes_does_not_matter(nodes: list[tuple[NodeId, str]], shards: int, replicas: int) -> None:
    shuffled = sorted(nodes, reverse=True)
    assert place(C, shards, replicas, nodes, {}) == place(C, shards, replicas, shuffled, {})


def test_the_odd_replicas_go_to_the_nodes_with_the_least_load() -> None:
    nodes = [(NodeId(f"n{i}"), "") for i in range(4)]
    load: dict[NodeId, int] = {NodeId("n0"): 9, NodeId("n1"): 9}
    counts = Counter(node for row in place(C, 2, 3, nodes, load) for node in row)
    assert counts == {NodeId("n0"): 1, NodeId("n1"): 1, NodeId("n2"): 2, NodeId("n3"): 2}


def test_many_collections_together_are_balanced() -> None:
    nodes = [(NodeId(f"n{i}"), "") for i in range(7)]
    load: Counter[NodeId] = Counter()
    for i in range(40):
        load.update(node for row in place(CollectionId(f"c{i}"), 4, 3, nodes, load) for node in row)
    assert max(load.values()) - min(load.values()) <= 1


def test_a_zone_too_small_for_its_share_takes_one_of_each_shard() -> None:
    nodes = [(NodeId("a1"), "a"), (NodeId("a2"), "a"), (NodeId("a3"), "a"), (NodeId("b1"), "b")]
    counts = Counter(node for row in place(C, 6, 2, nodes, {}) for node in row)
    assert counts == {"b1": 6, "a1": 2, "a2": 2, "a3": 2}


def test_no_nodes_no_owners() -> None:
    assert place(C, 2, 3, [], {}) == ((), ())


def test_first_owners_are_spread_too() -> None:
    """The first of a row is nobody's favourite: a search that asks it first is spread over the nodes."""
    nodes = [(NodeId(f"n{i}"), "") for i in range(3)]
    first = Counter(row[0] for row in place(C, 256, 3, nodes, {}))
    assert min(first.values()) > 50


@given(st.one_of(st.integers(0, 2**64 - 1), st.text(min_size=1, max_size=50)), st.sampled_from([1, 2, 4, 64, 128]))
def test_twice_the_shards_cut_each_in_two(point: int | str, shards: int) -> None:
    assert 0 <= slot_of(point) < SLOTS
    assert shard_of(point, 2 * shards) // 2 == shard_of(point, shards)
    assert shard_of(point, 1) == 0


def test_points_are_spread_evenly() -> None:
    for ids in (list(range(20_000)), [f"document-{i}" for i in range(20_000)]):
        counts = Counter(shard_of(each, 16) for each in ids)
        assert len(counts) == 16
        assert max(counts.values()) < 1.15 * 20_000 / 16


def test_the_shard_of_a_point_never_changes() -> None:
    """These are on users' disks."""
    assert [slot_of(each) for each in (0, 1, 2**64 - 1, "a", "1")] == PINNED


PINNED = [195, 81, 3, 101, 120]


@pytest.mark.parametrize(("nodes", "shards"), [(0, 1), (1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (1000, 256)])
def test_default_shards(nodes: int, shards: int) -> None:
    assert default_shards(nodes) == shards
