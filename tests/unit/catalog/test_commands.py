"""Commands, the voter rule and the state's byte form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.apply_collections import MAX_COLLECTIONS
from vectron_p2p.catalog.commands import (
    ActivateMember,
    AddMember,
    Command,
    CreateCollection,
    DeleteCollection,
    DrainNode,
    SeatVoter,
    UpdateAddress,
    command_from_wire,
    command_to_wire,
)
from vectron_p2p.catalog.records import STATE, VOTE, bootstrap, entry_key, load
from vectron_p2p.catalog.state import KEPT_OPERATIONS, BadCatalog, ClusterState, canonical, found, unpack
from vectron_p2p.catalog.vote import Accepted, Ballot, Vote
from vectron_p2p.catalog.voters import voter_change
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import InvalidArgument, NotFound
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId, ShardId
from vectron_p2p.model.nodes import NodeState

HOME = Address("10.0.0.1", 7700)


def start() -> ClusterState:
    return found(ClusterId("cluster"), NodeId("n1"), "first", HOME, "z1")


def after(state: ClusterState, *commands: Command) -> ClusterState:
    for command in commands:
        state = apply(state, command)[0] or state
    return state


def joined(state: ClusterState, node: str, zone: str = "") -> ClusterState:
    return after(state, AddMember(NodeId(node), node, HOME, zone), ActivateMember(NodeId(node)))


def create(operation: str, name: str, **more: Any) -> CreateCollection:
    options = CollectionOptions(dimension=8, **more)
    return CreateCollection(OperationId(operation), CollectionId(f"uuid-{operation}"), name, options, False)


def code(result: dict[str, Any]) -> str:
    return str(result["error"]["code"])


class TestMembers:
    def test_a_node_joins_in_two_steps(self) -> None:
        state = after(start(), AddMember(NodeId("n2"), "second", HOME, "z2"))
        assert state.members[NodeId("n2")].state is NodeState.JOINING
        assert state.voters == ("n1",)
        assert [each.node for each in state.active()] == ["n1"]
        after_that, result = apply(state, ActivateMember(NodeId("n2")))
        assert result == {"node": "n2", "voter": True}
        assert after_that is not None
        assert after_that.voters == ("n1", "n2")

    def test_adding_again_changes_nothing_but_the_address(self) -> None:
        state = joined(start(), "n2")
        assert apply(state, AddMember(NodeId("n2"), "n2", HOME, ""))[0] is None
        moved = after(state, AddMember(NodeId("n2"), "n2", Address("b", 2), ""))
        assert moved.members[NodeId("n2")].address == Address("b", 2)
        assert moved.members[NodeId("n2")].state is NodeState.ACTIVE

    def test_a_name_in_use_is_refused(self) -> None:
        unchanged, result = apply(start(), AddMember(NodeId("n2"), "first", HOME, ""))
        assert unchanged is None
        assert code(result) == "already_exists"
        assert result["error"]["field"] == "name"

    def test_who_was_removed_stays_out(self) -> None:
        state = joined(start(), "n2")
        gone = replace(state.members[NodeId("n2")], state=NodeState.REMOVED)
        state = replace(state, members={**state.members, NodeId("n2"): gone})
        for command in (AddMember(NodeId("n2"), "n2", HOME, ""), ActivateMember(NodeId("n2")), SeatVoter(NodeId("n2"))):
            assert code(apply(state, command)[1]) == "permission_denied"
        assert apply(state, AddMember(NodeId("n3"), "n2", HOME, ""))[0] is not None  # its name is free

    def test_strangers_are_not_found(self) -> None:
        for command in (
            ActivateMember(NodeId("x")),
            UpdateAddress(NodeId("x"), HOME),
            SeatVoter(NodeId("x")),
        ):
            assert code(apply(start(), command)[1]) == "not_found"

    def test_address(self) -> None:
        assert apply(start(), UpdateAddress(NodeId("n1"), HOME))[0] is None
        assert after(start(), UpdateAddress(NodeId("n1"), Address("x", 1))).members[NodeId("n1")].address.host == "x"


class TestVoters:
    def test_seven_at_most(self) -> None:
        state = start()
        for i in range(2, 10):
            state = joined(state, f"n{i}")
        assert state.voters == tuple(f"n{i}" for i in range(1, 8))
        assert apply(state, ActivateMember(NodeId("n9"))) == (None, {"node": "n9", "voter": False})

    def test_they_spread_over_zones_one_change_at_a_time(self) -> None:
        state = found(ClusterId("c"), NodeId("a1"), "a1", HOME, "a")
        for node in ("a2", "a3", "a4", "a5", "a6", "a7", "b1", "b2", "b3", "c1"):
            state = joined(state, node, node[0])
        for _ in range(50):
            steps = [node for node in sorted(state.members) if voter_change(state, node)]
            if not steps:
                break
            before = set(state.voters)
            state = after(state, SeatVoter(steps[0]))
            assert len(before ^ set(state.voters)) == 1
        zones = [state.members[voter].zone for voter in state.voters]
        assert sorted(zones) == ["a", "a", "a", "b", "b", "b", "c"]

    def test_the_seat_that_was_cleared_is_not_taken_back(self) -> None:
        state = found(ClusterId("c"), NodeId("a1"), "a1", HOME, "a")
        for node in ("a2", "a3", "a4", "a5", "a6", "a7", "b1"):
            state = joined(state, node, node[0])
        state = after(state, SeatVoter(NodeId("b1")))
        assert len(state.voters) == 6
        assert voter_change(state, NodeId("a7")) is None
        assert voter_change(state, NodeId("b1")) == ("b1", True)

    def test_voters_and_joiners_change_nothing(self) -> None:
        state = after(start(), AddMember(NodeId("n2"), "n2", HOME, ""))
        assert voter_change(state, NodeId("n1")) is None
        assert voter_change(state, NodeId("n2")) is None
        assert voter_change(state, NodeId("n9")) is None
        assert apply(state, SeatVoter(NodeId("n2"))) == (None, {"node": "n2", "voter": False})


class TestCollections:
    def test_create_places_every_shard(self) -> None:
        state = start()
        for i in (2, 3):
            state = joined(state, f"n{i}")
        state = after(state, create("o1", "docs", replicas=2))
        docs = state.collection("docs")
        assert docs is not None
        assert docs.shards == docs.options.shards == 4
        assert all(len(row) == 2 for row in docs.placement)
        assert state.owners(ShardId(docs.id, 3)) == docs.placement[3]
        assert sum(state.load().values()) == 8
        assert state.under_replicated() == 0

    def test_fewer_nodes_than_replicas(self) -> None:
        state = after(start(), create("o1", "docs"))
        assert state.under_replicated() == 1
        assert state.collection("docs").placement == (("n1",),)  # type: ignore[union-attr]

    def test_joining_nodes_own_nothing(self) -> None:
        state = after(start(), AddMember(NodeId("n2"), "n2", HOME, ""), create("o1", "docs"))
        assert list(state.load()) == ["n1"]

    def test_unknown_shards_have_no_owners(self) -> None:
        state = after(start(), create("o1", "docs"))
        for shard in (ShardId(CollectionId("x"), 0), ShardId(CollectionId("uuid-o1"), 1)):
            with pytest.raises(NotFound):
                state.owners(shard)

    def test_a_second_create_is_refused_and_remembered(self) -> None:
        state = after(start(), create("o1", "docs"))
        refused, result = apply(state, create("o2", "docs"))
        assert code(result) == "already_exists"
        assert refused is not None
        gone = after(refused, DeleteCollection(OperationId("o3"), "docs"))
        assert apply(gone, create("o2", "docs")) == (None, result)  # the same answer for ever

    def test_if_not_exists(self) -> None:
        state = after(start(), create("o1", "docs"))
        again = replace(create("o2", "docs"), if_not_exists=True)
        assert apply(state, again)[1] == {"collection": "uuid-o1", "created": False}

    def test_delete(self) -> None:
        state = after(start(), create("o1", "docs"))
        gone, result = apply(state, DeleteCollection(OperationId("o2"), "docs"))
        assert result == {"collection": "uuid-o1"}
        assert gone is not None
        assert gone.collections == {}
        assert code(apply(gone, DeleteCollection(OperationId("o3"), "docs"))[1]) == "not_found"

    def test_an_id_is_used_once(self) -> None:
        state = after(start(), create("o1", "docs"))
        assert code(apply(state, replace(create("o2", "other"), collection_id=CollectionId("uuid-o1")))[1]) == (
            "already_exists"
        )

    def test_so_many_and_no_more(self) -> None:
        state = after(start(), create("o1", "docs"))
        one = state.collection("docs")
        assert one is not None
        full = {
            CollectionId(f"u{i}"): replace(one, id=CollectionId(f"u{i}"), name=f"c{i}") for i in range(MAX_COLLECTIONS)
        }
        assert code(apply(replace(state, collections=full), create("o2", "new"))[1]) == "invalid_argument"

    def test_only_the_last_operations_are_kept(self) -> None:
        state = start()
        full = {OperationId(f"x{i}"): canonical({}) for i in range(KEPT_OPERATIONS)}
        state = after(replace(state, operations=full), create("o1", "docs"))
        assert len(state.operations) == KEPT_OPERATIONS
        assert state.result("x0") is None
        assert state.result("x1") == {}
        assert state.result("o1") == {"collection": "uuid-o1", "created": True}


COMMANDS: list[Command] = [
    AddMember(NodeId("n2"), "second", Address("::1", 7700), ""),
    ActivateMember(NodeId("n2")),
    UpdateAddress(NodeId("n2"), HOME),
    SeatVoter(NodeId("n2")),
    create("o1", "docs", shards=8, metric="l2"),
    DeleteCollection(OperationId("o2"), "docs"),
]


class TestWire:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_round_trip(self, command: Command) -> None:
        assert command_from_wire(unpack(canonical(command_to_wire(command)))) == command

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"kind": "x"}, "kind"),
            ({"name": "a b"}, "name"),
            ({"name": None}, "name"),
            ({"operation_id": ""}, "operation_id"),
            ({"operation_id": "x" * 301}, "operation_id"),
            ({"options": {}}, "dimension"),
            ({"options": {"dimension": 0}}, "dimension"),
            ({"options": {"dimension": 4, "shards": 3}}, "shards"),
            ({"options": {"dimension": 4, "magic": 3}}, "options"),
            ({"if_not_exists": 1}, "if_not_exists"),
            ({"extra": 1}, "extra"),
        ],
    )
    def test_faults_name_the_field(self, change: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            command_from_wire({**command_to_wire(COMMANDS[4]), **change})
        assert caught.value.field == field


class TestBytes:
    def test_round_trip(self) -> None:
        state = after(joined(start(), "n2", "z"), create("o1", "docs"), create("o2", "docs"))
        again = ClusterState.from_bytes(state.to_bytes())
        assert again == state
        assert again.to_bytes() == state.to_bytes()
        assert again.hash == state.hash

    def test_the_order_of_making_does_not_show(self) -> None:
        state = after(joined(start(), "n2"), create("o1", "a"), create("o2", "b"))
        turned = replace(
            state,
            members=dict(reversed([*state.members.items()])),
            collections=dict(reversed([*state.collections.items()])),
        )
        assert turned.to_bytes() == state.to_bytes()

    def test_every_field_is_in_the_hash(self) -> None:
        state = after(joined(start(), "n2"), create("o1", "a"))
        others = [
            replace(state, cluster=ClusterId("x")),
            replace(state, generation=1),
            replace(state, epoch=9),
            replace(state, entry=b"x"),
            replace(state, voters=(NodeId("n1"),)),
            replace(state, collections={}),
            replace(state, operations={}),
            after(state, UpdateAddress(NodeId("n2"), Address("x", 1))),
        ]
        assert len({each.hash for each in [state, *others]}) == 9

    @given(st.binary(max_size=200))
    def test_noise_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadCatalog):
            ClusterState.from_bytes(data)

    @given(st.data())
    def test_damage_is_refused_or_makes_another_state(self, data: st.DataObject) -> None:
        good = after(joined(start(), "n2"), create("o1", "docs")).to_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
        try:
            assert ClusterState.from_bytes(bad).to_bytes() == bad
        except BadCatalog:
            assert bad != good

    def test_an_unknown_format_says_so(self) -> None:
        with pytest.raises(BadCatalog, match="upgrade"):
            ClusterState.from_bytes(canonical([99]))


class TestRecords:
    def test_bootstrap_loads(self) -> None:
        persisted = load([(key, value) for key, value in bootstrap(start()) if value is not None])
        assert persisted is not None
        assert persisted.state == start()
        assert (persisted.entries, persisted.vote, persisted.round) == ({}, None, 0)

    def test_nothing_there(self) -> None:
        assert load([(b"other/key", b"x")]) is None

    @pytest.mark.parametrize("vote", [Vote(2), Vote(2, Ballot(3, NodeId("n")), Accepted(Ballot(1, NodeId("m")), b"v"))])
    def test_votes(self, vote: Vote) -> None:
        persisted = load([(STATE, start().to_bytes()), (VOTE, vote.to_bytes())])
        assert persisted is not None
        assert persisted.vote == vote

    @pytest.mark.parametrize(
        "items",
        [
            [(VOTE, Vote(2).to_bytes())],
            [(STATE, start().to_bytes()), (VOTE, Vote(7).to_bytes())],
            [(STATE, start().to_bytes()), (VOTE, b"noise")],
            [(STATE, b"noise")],
            [(STATE, start().to_bytes()), (entry_key(1), b"noise")],
            [(STATE, start().to_bytes()), (b"catalog/round", canonical("x"))],
        ],
    )
    def test_damage_is_named(self, items: list[tuple[bytes, bytes]]) -> None:
        with pytest.raises(BadCatalog):
            load(items)


def test_a_command_gives_the_same_wherever_the_state_came_from() -> None:
    """Simulation, seed 5008 of `admin`: the refusal of a drain named the first collection that stood in its way, which
    was another one on a node that had begun from a snapshot; so their states differed, and the catalog stopped.
    """
    state = start()
    for number in (2, 3):
        node = NodeId(f"n{number}")
        for command in (AddMember(node, f"name-{number}", HOME, "z1"), ActivateMember(node)):
            state = apply(state, command)[0] or state
    for name in ("zz", "aa", "mm"):
        options = CollectionOptions(dimension=2, shards=1, replicas=3)
        create = CreateCollection(OperationId(name), CollectionId(f"id-{name}"), name, options, if_not_exists=False)
        state = apply(state, create)[0] or state
    elsewhere = ClusterState.from_bytes(state.to_bytes())
    assert list(elsewhere.collections) == list(state.collections)
    assert list(elsewhere.members) == list(state.members)
    drain = DrainNode(OperationId("drain"), NodeId("n2"))
    assert apply(state, drain) == apply(elsewhere, drain)
