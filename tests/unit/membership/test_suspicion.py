from __future__ import annotations

import pytest

from vectron_p2p.membership import SwimConfig
from vectron_p2p.membership.suspicion import Suspicion, SuspicionBudget, confirmations_wanted, minimum_wait
from vectron_p2p.model.ids import NodeId

LAN = SwimConfig.lan()


@pytest.mark.parametrize(("nodes", "wait"), [(1, 4.0), (2, 4.0), (10, 4.0), (100, 8.0), (1000, 12.0)])
def test_the_shortest_wait_grows_with_the_logarithm(nodes, wait):
    assert minimum_wait(LAN, nodes) == pytest.approx(wait)


@pytest.mark.parametrize(("nodes", "wanted"), [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2), (100, 2)])
def test_clusters_too_small_for_confirmations_want_none(nodes, wanted):
    assert confirmations_wanted(LAN, nodes) == wanted


def test_a_lone_accuser_waits_longest_and_each_further_one_shortens():
    suspicion = Suspicion(LAN, 5, NodeId("a"), 100.0)
    assert suspicion.deadline == 124.0
    assert suspicion.confirm(NodeId("b"))
    assert 110.0 < suspicion.deadline < 112.0  # log 2 / log 3 of the way
    assert suspicion.confirm(NodeId("c"))
    assert suspicion.deadline == 104.0


def test_only_new_accusers_count_and_only_as_many_as_are_wanted():
    suspicion = Suspicion(LAN, 5, NodeId("a"), 0.0)
    assert not suspicion.confirm(NodeId("a"))
    assert suspicion.confirm(NodeId("b"))
    assert not suspicion.confirm(NodeId("b"))
    assert suspicion.confirm(NodeId("c"))
    assert not suspicion.confirm(NodeId("d"))
    assert suspicion.wait == 4.0


def test_without_confirmations_to_be_had_the_wait_is_the_shortest():
    suspicion = Suspicion(LAN, 3, NodeId("a"), 0.0)
    assert suspicion.wait == 4.0
    assert not suspicion.confirm(NodeId("b"))


def test_certain_evidence_makes_the_wait_the_shortest():
    suspicion = Suspicion(LAN, 5, NodeId("a"), 100.0)
    suspicion.confirm_all()
    assert suspicion.deadline == 104.0
    assert not suspicion.confirm(NodeId("b"))


def test_the_budget_refills_with_time_and_never_beyond_its_burst():
    budget = SuspicionBudget(5.0, 0.0)
    assert [budget.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert budget.take(0.2)
    assert not budget.take(0.2)
    assert [budget.take(100.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_budget_below_one_per_second_still_lets_one_through():
    budget = SuspicionBudget(0.5, 0.0)
    assert not budget.take(0.5)
    assert budget.take(2.0)
    assert not budget.take(2.0)
