from __future__ import annotations

import pytest

from vectron_p2p.membership import push_pull
from vectron_p2p.membership.messages import Incarnation, Update
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness


@pytest.mark.parametrize(("nodes", "seconds"), [(1, 30), (32, 30), (33, 60), (64, 60), (65, 90), (200, 120)])
def test_large_clusters_exchange_less_often(nodes, seconds):
    assert push_pull.interval(30.0, nodes) == seconds


def test_a_node_without_an_answer_yet_asks_sooner():
    assert [push_pull.first_intervals(30.0, tried) for tried in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert push_pull.first_intervals(30.0, 10_000) == 30


def update(liveness: Liveness, by: str) -> Update:
    return Update(NodeId("x"), Address("x", 1), Incarnation(3, 1), liveness, NodeId(by))


def test_the_dead_of_another_table_are_suspects_by_its_word():
    heard = push_pull.as_hearsay(update(Liveness.DEAD, "a"), NodeId("s"))
    assert heard == update(Liveness.SUSPECT, "s")


@pytest.mark.parametrize(
    "said", [update(Liveness.ALIVE, "x"), update(Liveness.SUSPECT, "a"), update(Liveness.DEAD, "x")]
)
def test_all_else_is_taken_as_it_is_a_clean_stop_too(said):
    assert push_pull.as_hearsay(said, NodeId("s")) is said
