from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (12_345, "12,345"),
        (99_999, "99,999"),
        (99_999.6, "100k"),
        (123_456, "123k"),
        (999_499, "999k"),
        (999_600, "1.00M"),
        (1_240_000, "1.24M"),
        (52_400_000, "52.4M"),
        (7_300_000_000, "7.30G"),
        (2.5e15, "2500T"),
        (-1, "–"),
    ],
)
def test_count(value, text):
    assert fmt.count(value) == text


@given(st.integers(0, 10**15))
def test_a_count_is_short(value):
    assert len(fmt.count(value)) <= 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (180_000_000, "172 MiB"),
        (999.6 * 1024, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**5, "3.0 PiB"),
        (-1, "–"),
    ],
)
def test_size(value, text):
    assert fmt.size(value) == text


@given(st.integers(0, 2**59))
def test_a_size_is_short(value):
    assert len(fmt.size(value)) <= 8


def test_speed():
    assert [fmt.speed(value) for value in (0, 2048, -1)] == ["0 B/s", "2.0 KiB/s", "–"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0s"),
        (41, "41s"),
        (725, "12m 05s"),
        (12_000, "3h 20m"),
        (446_400, "5d 04h"),
        (-1, "–"),
    ],
)
def test_duration(seconds, text):
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (4.9, "4s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (200_000, "2d")]
)
def test_age(seconds, text):
    assert fmt.age(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 ms"), (7.5, "7.5 ms"), (250, "250 ms"), (1500, "1.5 s"), (-1, "–")]
)
def test_milliseconds(value, text):
    assert fmt.milliseconds(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 3, "33%"),
        (999, 1000, "99%"),
        (1000, 1000, "100%"),
        (0, 0, "100%"),
        (5, 3, "100%"),
        (-1, 3, "–"),
        (1, -1, "–"),
    ],
)
def test_share_is_rounded_down_so_that_all_means_all(part, whole, text):
    assert fmt.share(part, whole) == text


def test_plural_and_ellipsis():
    assert [fmt.plural(1, "shard"), fmt.plural(2000, "shard")] == ["1 shard", "2,000 shards"]
    assert fmt.plural(2, "address", "addresses") == "2 addresses"
    assert [fmt.ellipsis("abcd", 4), fmt.ellipsis("abcde", 4), fmt.ellipsis("abc", 0)] == ["abcd", "abc…", "…"]
    assert [fmt.percent(12.4), fmt.percent(-1)] == ["12%", "–"]
