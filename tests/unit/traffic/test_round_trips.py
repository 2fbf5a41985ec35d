"""Estimates of round trips, and the standing of a peer."""

from __future__ import annotations

import random

import pytest

from vectron_p2p.traffic.peer_health import SLOW_FOR, PeerHealth, Standing
from vectron_p2p.traffic.round_trips import RoundTrip


def test_nothing_is_known_before_the_first_answer() -> None:
    assert RoundTrip().timeout == 0.0


def test_the_first_answer_counts_as_rfc_6298_says() -> None:
    trip = RoundTrip()
    trip.took(0.1)
    assert trip.timeout == pytest.approx(0.1 + 4 * 0.05)


def test_equal_answers_leave_little_more_than_their_time() -> None:
    trip = RoundTrip()
    for _ in range(100):
        trip.took(0.02)
    assert trip.timeout == pytest.approx(0.02, rel=0.01)


def test_few_answers_of_an_exponential_distribution_are_late() -> None:
    rng, trip, late = random.Random(3), RoundTrip(), 0
    for number in range(20_000):
        seconds = rng.expovariate(100.0)
        late += number >= 100 and seconds > trip.timeout
        trip.took(seconds)
    assert 0.001 < late / 20_000 < 0.08


def test_what_was_given_up_early_says_nothing_and_late_raises() -> None:
    trip = RoundTrip()
    for _ in range(20):
        trip.took(0.05)
    before = trip.timeout
    trip.took_longer(0.01)
    assert trip.timeout == before
    for _ in range(20):
        trip.took_longer(0.4)
    assert trip.timeout > 0.3


def test_a_late_answer_puts_a_peer_behind_others_for_a_while() -> None:
    health = PeerHealth()
    assert health.standing(0.0) is Standing.GOOD
    health.late(1.0)
    assert health.standing(1.0 + SLOW_FOR - 0.01) is Standing.SLOW
    assert health.standing(1.0 + SLOW_FOR) is Standing.GOOD
    health.breaker.failed(2.0, silent=True)
    assert health.standing(2.0) is Standing.OPEN
