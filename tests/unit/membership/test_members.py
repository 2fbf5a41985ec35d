from __future__ import annotations

from random import Random

import pytest

from vectron_p2p.membership.members import Member, MemberTable
from vectron_p2p.membership.messages import Incarnation
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness


def member(name: str) -> Member:
    return Member(NodeId(name), Address(name, 1), Address(name, 1), since=0.0, by=NodeId(name))


@pytest.fixture
def table() -> MemberTable:
    table = MemberTable(Random(1))
    for name in "abcde":
        table.add(member(name))
    return table


def get(table: MemberTable, name: str) -> Member:
    found = table.get(NodeId(name))
    assert found is not None
    return found


def test_each_living_member_has_one_turn_per_round(table):
    for _ in range(5):
        assert sorted(table.next_in_turn().node for _ in range(5)) == list("abcde")


def test_rounds_differ(table):
    rounds = {tuple(table.next_in_turn().node for _ in range(5)) for _ in range(10)}
    assert len(rounds) > 1


def test_dead_and_removed_members_have_no_turn(table):
    table.next_in_turn()
    table.set_liveness(get(table, "a"), Liveness.DEAD, 1.0)
    table.set_liveness(get(table, "b"), Liveness.SUSPECT, 1.0)
    table.remove(NodeId("c"))
    assert {table.next_in_turn().node for _ in range(12)} == {"b", "d", "e"}


def test_with_nobody_alive_it_is_nobodys_turn(table):
    assert MemberTable(Random(1)).next_in_turn() is None
    for entry in table:
        table.set_liveness(entry, Liveness.DEAD, 1.0)
    assert table.next_in_turn() is None
    table.set_liveness(get(table, "a"), Liveness.ALIVE, 2.0)
    assert table.next_in_turn().node == "a"


def test_a_member_added_again_is_another_one(table):
    for _ in range(5):
        table.next_in_turn()
    table.next_in_turn()
    table.remove(NodeId("a"))
    table.add(member("a"))
    assert sorted(table.next_in_turn().node for _ in range(4)) != []
    assert sorted(table.next_in_turn().node for _ in range(5)) == list("abcde")


def test_the_count_of_nodes_has_this_one_and_no_dead(table):
    assert table.nodes == 6
    table.set_liveness(get(table, "a"), Liveness.DEAD, 1.0)
    assert table.nodes == 5
    table.remove(NodeId("b"))
    assert table.nodes == 4


def test_a_random_choice_keeps_to_its_conditions(table):
    table.set_liveness(get(table, "a"), Liveness.DEAD, 1.0)
    table.set_liveness(get(table, "b"), Liveness.SUSPECT, 1.0)
    assert {m.node for m in table.some(9)} == set("bcde")
    assert {m.node for m in table.some(9, alive=True)} == set("cde")
    assert {m.node for m in table.some(9, alive=True, but=get(table, "c"))} == set("de")
    assert len(table.some(2)) == 2
    assert table.a_dead_one() is get(table, "a")


def test_no_dead_one():
    assert MemberTable(Random(1)).a_dead_one() is None


def test_only_what_was_heard_is_told(table):
    assert table.words() == ()
    get(table, "a").incarnation = Incarnation(1, 0)
    get(table, "b").liveness = Liveness.SUSPECT  # our own doubt about somebody nobody has heard of is a word
    assert [update.node for update in table.words()] == ["a", "b"]


def test_round_trips_are_smoothed():
    entry = member("a")
    entry.sample_rtt(0.010)
    assert entry.rtt == 0.010
    entry.sample_rtt(0.110)
    assert entry.rtt == pytest.approx(0.030)
