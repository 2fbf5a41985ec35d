"""Percentiles are as near to the true ones as the module says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.observability.histogram import BUCKETS, ERROR, LONGEST_US, Histogram, bucket_of, middle_us

durations = st.lists(st.integers(0, LONGEST_US), min_size=1, max_size=200)
shares = st.floats(0.001, 1.0)


def histogram(values: list[int]) -> Histogram:
    found = Histogram()
    for value in values:
        found.record(value)
    return found


@given(durations, shares)
def test_a_quantile_is_within_the_error_of_the_true_one(values: list[int], share: float) -> None:
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert histogram(values).quantiles(share)[0] * 1e6 == pytest.approx(true, rel=ERROR, abs=1e-6)


@given(st.integers(0, LONGEST_US - 1))
def test_buckets_grow_with_durations(us: int) -> None:
    assert bucket_of(us) <= bucket_of(us + 1) <= bucket_of(us) + 1 <= BUCKETS
    assert bucket_of(round(middle_us(bucket_of(us)))) == bucket_of(us)


@given(durations, durations)
def test_the_sum_of_two_is_the_histogram_of_all(one: list[int], other: list[int]) -> None:
    total = histogram(one)
    total.add(histogram(other))
    everything = histogram(one + other)
    assert total.buckets == everything.buckets
    assert total.count == everything.count


@given(durations)
def test_bytes_carry_it(values: list[int]) -> None:
    sent = histogram(values)
    received = Histogram.from_bytes(sent.to_bytes())
    assert received.buckets == sent.buckets
    assert received.count == sent.count


def test_nothing_has_no_quantiles_but_zeros() -> None:
    assert Histogram().quantiles(0.5, 0.99) == [0.0, 0.0]


@pytest.mark.parametrize("data", [b"12345", b"\xff\xff\x01\x00\x00\x00", b"\x00" * 6 * (BUCKETS + 1)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no histogram"):
        Histogram.from_bytes(data)
