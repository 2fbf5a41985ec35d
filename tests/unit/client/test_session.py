"""Which node is asked, which cluster and epoch are remembered, how long pauses are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from vectron_p2p.client.session import AVOID_S, MAX_ADDRESSES, RetryPolicy, Session, check_timeout
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address

A, B, C, D = (Address("127.0.0.1", port) for port in (1, 2, 3, 4))


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def session(*seeds: Address, seed: int = 0, **options: Any) -> tuple[Session, Time]:
    time = Time()
    options = {"timeout": 30.0, "now": time, "rng": random.Random(seed), "operation_id": lambda: "op", **options}
    return Session(seeds or (A, B, C), **options), time


def test_clients_of_one_list_start_at_different_nodes() -> None:
    assert {session(seed=seed)[0].route()[0] for seed in range(30)} == {A, B, C}


def test_the_node_that_answered_is_asked_again() -> None:
    state, _ = session()
    state.answered(C)
    assert all(state.route()[0] == C for _ in range(10))
    assert sorted(state.route()) == [A, B, C]


def test_the_rest_of_the_route_is_drawn() -> None:
    state, _ = session()
    state.answered(A)
    assert {tuple(state.route()[1:]) for _ in range(30)} == {(B, C), (C, B)}


def test_spread_begins_at_each_seed_in_turn_and_leaves_the_preference() -> None:
    state, _ = session()
    state.answered(B)
    state.learn([D])
    assert [state.route(number)[0] for number in range(6)] == [A, B, C, A, B, C]
    assert state.route()[0] == B


def test_a_lost_node_is_asked_last_for_a_while() -> None:
    state, time = session()
    state.answered(A)
    state.lost(A)
    assert state.route()[-1] == A
    time.at += AVOID_S + 0.1
    assert state.route()[0] == A


def test_an_answer_ends_the_avoidance() -> None:
    state, _ = session()
    state.lost(B)
    state.answered(B)
    assert state.route()[0] == B


def test_learnt_addresses_come_after_the_seeds_and_are_bounded() -> None:
    state, _ = session(A)
    state.learn([A, B, C])
    assert state.addresses == (A, B, C)
    state.learn(Address("10.0.0.1", port) for port in range(1, 200))
    assert len(state.addresses) == MAX_ADDRESSES + 1
    assert state.addresses[0] == A


def test_the_cluster_is_pinned() -> None:
    state, _ = session()
    state.welcomed(A, "one", 0, 5)
    state.welcomed(B, "one", 0, 4)
    assert (state.cluster, state.epoch) == ("one", 5)
    with pytest.raises(InvalidArgument, match="cluster two"):
        state.welcomed(C, "two", 0, 9)
    assert (state.cluster, state.epoch) == ("one", 5)


def test_a_higher_generation_outranks_a_higher_epoch() -> None:
    state, _ = session()
    state.saw(0, 90)
    state.saw(1, 3)
    state.saw(0, 95)
    assert (state.generation, state.epoch) == (1, 3)


def test_pauses_are_drawn_from_zero_to_a_doubling_bound() -> None:
    policy, rng = RetryPolicy(base_s=0.1, cap_s=5.0), random.Random(1)
    for count in range(1, 2000, 7):
        bound = min(5.0, 0.1 * 2 ** min(count - 1, 16))
        pauses = [policy.pause(count, rng) for _ in range(20)]
        assert min(pauses) >= 0
        assert max(pauses) <= bound
    assert max(policy.pause(9, rng) for _ in range(200)) > 4.0


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "3", None, True])
def test_a_timeout_is_a_number_above_zero(timeout: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_timeout(timeout)
    assert caught.value.field == "timeout"


def test_seeds_come_before_what_was_learnt() -> None:
    state, _ = session(A, B)
    state.answered(A)
    state.learn([C, D])
    for _ in range(20):
        assert state.route()[:2] == [A, B]
    assert {tuple(state.route()[2:]) for _ in range(30)} == {(C, D), (D, C)}


def test_the_newest_view_of_the_cluster_counts() -> None:
    state, _ = session(A)
    state.learn([A, B, C])
    state.learn([A, C, D])
    assert state.addresses == (A, C, D)
    assert state.seeds == (A,)


def test_a_client_of_fixed_seeds_learns_nothing() -> None:
    state, _ = session(A, learning=False)
    state.learn([B, C])
    assert state.addresses == (A,)
