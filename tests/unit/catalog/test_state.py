"""The byte form of states: what is kept of it from one state to the next changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulations.large.__main__ import measure, table
from simulations.large.model import Names, build, member
from vectron_p2p.catalog import state as state_module
from vectron_p2p.catalog.state import BadCatalog, ClusterState, Collection
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import ShardId


def a_state() -> ClusterState:
    return build(7, 3, shards=8, replicas=3, zones=2, operations=5, seed=1)


def afresh(state: ClusterState) -> ClusterState:
    """Equal, and nothing of it was made before."""
    copies = {
        key: Collection(each.id, each.name, each.options, each.placement, each.fences)
        for key, each in state.collections.items()
    }
    return replace(state, collections=copies)


def test_bytes_made_before_are_those_of_a_state_afresh() -> None:
    state = a_state()
    assert state.to_bytes() == afresh(state).to_bytes()
    names = Names(99)
    for number in range(3):  # each new member may lie before others, and change the numbers of all
        new = member(names, 100 + number, 2)
        state = replace(state, epoch=state.epoch + 1, members={**state.members, new.node: new})
        assert state.to_bytes() == afresh(state).to_bytes()
        assert ClusterState.from_bytes(state.to_bytes()) == state
    key = min(state.collections)
    state = state.with_fences([ShardId(key, 5)], 40)
    assert state.to_bytes() == afresh(state).to_bytes()
    assert ClusterState.from_bytes(state.to_bytes()) == state


def test_fences_are_those_of_the_last_steps() -> None:
    state = a_state()
    key = min(state.collections)
    state = state.with_fences([ShardId(key, 5), ShardId(key, 1)], 40).with_fences([ShardId(key, 5)], 41)
    assert [state.route(ShardId(key, index)).fence for index in range(8)] == [0, 40, 0, 0, 0, 41, 0, 0]
    assert all(not each.fences for each in state.collections.values() if each.id != key)


@pytest.mark.parametrize("fences", [(1, 2), (0,) * 7 + ("8",), ()])
def test_fences_that_no_state_has(fences: tuple[int, ...]) -> None:
    state = a_state()
    key = min(state.collections)
    bad = replace(state, collections={**state.collections, key: replace(state.collections[key], fences=fences)})
    data = bad.to_bytes()
    if fences:
        with pytest.raises(BadCatalog):
            ClusterState.from_bytes(data)
    else:
        assert ClusterState.from_bytes(data) == state


def test_what_a_node_owns_follows_the_placement() -> None:
    state = a_state()
    key, one = min(state.collections), min(state.members)
    for node in (one, one, max(state.members)):
        assert state.owned(node) == sorted(
            ShardId(each.id, index)
            for each in state.collections.values()
            for index, owners in enumerate(each.placement)
            if node in owners
        )
    before = state.owned(one)
    rows = tuple((one,) for _ in range(8))
    collections = {**state.collections, key: replace(state.collections[key], placement=rows)}
    after = replace(state, collections=collections)
    assert set(after.owned(one)) == {*before, *(ShardId(key, index) for index in range(8))}
    assert after.parts(one) == len(after.owned(one))
    assert state.owned(one) == before


def test_a_large_cluster_small() -> None:
    document = measure(nodes=60, collections=12, shards=64, replicas=3, zones=5, operations=50, seed=1)
    assert document["failures"] == []
    assert document["unevenness"] <= 1.05
    names = {entry["name"] for entry in document["entries"]}
    assert {"AddMember", "CreateCollection", "AdvanceMove"} <= names
    assert [plan["after"] for plan in document["plans"]] == ["a node comes", "a node is removed", "a node is drained"]
    assert all(0.9 * plan["ideal"] < plan["moved"] <= 1.05 * plan["ideal"] + 1 for plan in document["plans"])
    assert "60 nodes in 5 zones, 768 shards" in table(document)
    assert document["state"]["bytes"] < 3 * 768 * 2 + 60 * 110 + 12 * 120 + 50 * 110 + 500


def test_an_entry_does_not_write_what_it_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[CollectionOptions] = []
    row = state_module._options_row

    def count(options: CollectionOptions) -> list[Any]:
        made.append(options)
        return row(options)

    monkeypatch.setattr(state_module, "_options_row", count)
    state = a_state()
    state.to_bytes()
    assert len(made) == 3
    after = replace(state, epoch=state.epoch + 1).with_fences([ShardId(min(state.collections), 0)], state.epoch + 1)
    after.to_bytes()
    assert len(made) == 4


def test_a_fence_is_small() -> None:
    state = a_state()
    before = len(state.to_bytes())
    every = [ShardId(key, index) for key in state.collections for index in range(8)]
    assert len(state.with_fences(every, 60_000).to_bytes()) - before <= 3 * (8 * 3 + 3)
