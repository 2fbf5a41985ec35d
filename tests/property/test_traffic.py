"""Breakers, budgets and buckets under any sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.traffic.breaker import LONGEST_PAUSE, Admission, Breaker, BreakerState
from vectron_p2p.traffic.hedge_budget import BURST, SHARE, HedgeBudget
from vectron_p2p.traffic.tokens import BURST_S, SWEEP_AT, TokenBucket, TokenBuckets

WAITS = st.floats(0, 3, allow_nan=False)


@given(st.lists(st.tuples(WAITS, st.sampled_from(["begin", "answer", "fail", "silence", "end", "seen"])), max_size=80))
def test_a_breaker_probes_one_at_a_time_and_is_never_shut_for_longer_than_its_pause(
    events: list[tuple[float, str]],
) -> None:
    breaker, now, probes = Breaker(), 0.0, list[Admission]()
    for wait, event in events:
        now += wait
        before = breaker.state
        if event == "begin":
            ready = breaker.ready(now)
            admission = breaker.begin(now)
            assert admission.wanted is ready
            assert bool(admission.probe) is (admission.wanted and before is BreakerState.OPEN)
            if admission.probe:
                probes.append(admission)
        elif event == "answer":
            breaker.answered()
            assert breaker.state is BreakerState.CLOSED
        elif event in ("fail", "silence"):
            breaker.failed(now, silent=event == "silence")
            assert breaker.state is not BreakerState.HALF_OPEN
        elif event == "end" and probes:
            breaker.probed(probes.pop(0), now)
        elif event == "seen":
            breaker.seen(now)
        if breaker.state is BreakerState.OPEN:
            assert breaker.ready(now + LONGEST_PAUSE)
        if breaker.state is BreakerState.HALF_OPEN:
            assert probes, "whoever probes has not ended"
            assert not breaker.ready(now)


@given(st.lists(st.booleans(), max_size=400))
def test_hedges_never_exceed_their_share_of_the_requests(hedged: list[bool]) -> None:
    budget = HedgeBudget()
    for hedge in hedged:
        if hedge:
            before = budget.sent
            assert budget.take() is (budget.sent == before + 1)
        else:
            budget.requested()
        assert budget.sent <= BURST + SHARE * budget.requests + 1e-9
    for _ in range(int(BURST / SHARE) + 1):
        budget.requested()
    assert budget.take(), "tokens come back with requests"


@settings(max_examples=200)
@given(
    st.floats(0.5, 1000),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 50)), min_size=1, max_size=60),
)
def test_a_bucket_gives_no_more_than_its_rate_and_says_when_there_is_more(
    rate: float, wishes: list[tuple[float, float]]
) -> None:
    bucket, now, taken, largest = TokenBucket(rate, 0.0), 0.0, 0.0, 0.0
    for wait, cost in wishes:
        now += wait
        left = bucket.wait(cost, now)
        assert left >= 0
        if left == 0:
            bucket.take(cost, now)
            taken += cost
            largest = max(largest, cost)
        else:
            assert bucket.wait(cost, now + left * 0.9) > 0
            assert bucket.wait(cost, now + left) == pytest.approx(0.0, abs=1e-6)
        assert taken <= rate * now + max(rate * BURST_S, 1.0) + largest + 1e-6


def test_many_buckets_do_not_stay_when_they_are_full_again() -> None:
    buckets: TokenBuckets[int] = TokenBuckets(10.0)
    for number in range(20 * SWEEP_AT):
        bucket = buckets.of(number, now=number / 100)
        bucket.take(5, now=number / 100)
    assert len(buckets) <= 2 * SWEEP_AT


def test_a_bucket_in_debt_outlives_a_sweep() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(1.0)
    buckets.of("greedy", 0.0).take(10_000, 0.0)
    for number in range(5 * SWEEP_AT):
        buckets.of(f"{number}", 1.0 + number)
    assert buckets.of("greedy", 6000.0).wait(1, 6000.0) > 0
