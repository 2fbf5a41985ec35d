"""The choice between scan and graph."""

from __future__ import annotations

import pytest

from vectron_p2p.query.planner import (
    choose,
    choose_filtered,
    crossover,
    effective_ef,
    enough,
    sorted_by_id,
    weight,
    wider,
    worth_checking,
)


@pytest.mark.parametrize(
    ("k", "ef", "expected"),
    [
        (1, None, 64),
        (10, None, 64),
        (20, None, 80),
        (100, None, 400),
        (200, None, 500),
        (1000, None, 1000),
        (10, 5, 10),
        (10, 200, 200),
    ],
)
def test_default_ef(k: int, ef: int | None, expected: int) -> None:
    assert effective_ef(k, ef) == expected


def plan(k: int = 10, ef: int | None = None, exact: bool = False, labels: int = 100_000, live: int | None = None):
    return choose(k=k, ef=ef, exact=exact, labels=labels, live_labels=labels if live is None else live)


def test_few_points_are_scanned() -> None:
    assert plan(labels=0).kind == "exact"
    assert plan(labels=500).kind == "exact"
    assert plan(labels=100_000).kind == "graph"


def test_asking_for_exact_or_for_much_is_a_scan() -> None:
    assert plan(exact=True).kind == "exact"
    assert plan(k=10_000, labels=50_000).kind == "exact"
    assert plan(k=10, ef=30_000).kind == "exact"


def test_garbage_widens_the_beam() -> None:
    assert plan(ef=100).fetch == 100
    assert plan(ef=100, live=80_000).fetch == 125
    assert plan(live=0).kind == "exact"


def test_widening_follows_the_share_seen_and_ends_in_a_scan() -> None:
    assert wider(fetch=64, wanted=10, found=5, labels=100_000) == 192
    assert wider(fetch=64, wanted=10, found=1, labels=100_000) == 960
    assert wider(fetch=64, wanted=10, found=0, labels=100_000) == 128
    assert wider(fetch=10_000, wanted=10, found=1, labels=100_000) == 0
    rounds, fetch = 0, 64
    while fetch:
        fetch = wider(fetch=fetch, wanted=10, found=0, labels=1_000_000)
        rounds += 1
    assert rounds < 15


def filtered(matches: int, *, points: int = 100_000, queries: int = 1, exact: bool = False, ef: int | None = None):
    return choose_filtered(
        k=10, ef=ef, exact=exact, labels=points, live_labels=points, points=points, matches=matches, queries=queries
    )


def test_a_filter_goes_by_how_many_match() -> None:
    assert filtered(0).kind == "empty"
    assert filtered(1).kind == "exact"
    assert filtered(3_000).kind == "exact"
    assert filtered(10_000).kind == "graph"
    assert filtered(70_000, exact=True).kind == "exact"
    assert filtered(2_000, points=2_000).kind == "exact"


def test_a_filtered_beam_holds_more_matches_than_an_unfiltered_one_points() -> None:
    for matches in (10_000, 30_000, 70_000, 100_000):
        assert 1.5 * 64 * 100_000 / matches <= filtered(matches).fetch <= 1.8 * 64 * 100_000 / matches + 1
    assert filtered(20_000, points=60_000, ef=5_000).kind == "exact"  # a beam of a quarter of all


def test_a_beam_is_expected_to_hold_little_more_than_half_of_what_it_is_for() -> None:
    assert [enough(k, effective_ef(k, None)) for k in (1, 10, 100, 500, 2_000)] == [3, 30, 220, 500, 2_000]
    assert enough(10, effective_ef(10, 10)) == 10


def test_a_batch_with_one_filter_is_scanned_further() -> None:
    assert filtered(12_000).kind == "graph"
    assert filtered(12_000, queries=64).kind == "exact"
    assert crossover(64, 100_000, 1) < crossover(64, 100_000, 8) < crossover(64, 100_000, 64)
    assert crossover(64, 10, 1) == 2_000
    assert crossover(64, 100_000, 1) < crossover(64, 100_000, 1, copied=True)


def test_pages_of_rare_matches_are_found_by_the_index() -> None:
    assert sorted_by_id(limit=100, matches=0, points=100_000)
    assert sorted_by_id(limit=100, matches=1_000, points=100_000)
    assert not sorted_by_id(limit=100, matches=90_000, points=100_000)
    assert not sorted_by_id(limit=100, matches=100, points=100)
    assert sorted_by_id(limit=100_000, matches=1_000, points=100_000)


def test_a_count_reads_what_is_open_unless_that_is_most() -> None:
    assert worth_checking(undecided=0, points=0)
    assert worth_checking(undecided=20_000, points=100_000)
    assert not worth_checking(undecided=60_000, points=100_000)


@pytest.mark.parametrize(
    ("ef", "exact", "points", "dimension", "expected"),
    [
        (None, False, 100_000, 384, 1),
        (16, False, 100_000, 384, 1),
        (640, False, 100_000, 384, 10),
        (None, True, 100_000, 384, 8),
        (None, False, 500, 384, 1),
        (None, False, 100_000, 1536, 2),
    ],
)
def test_weight_is_in_ordinary_queries(ef: int | None, exact: bool, points: int, dimension: int, expected: int) -> None:
    assert weight(k=10, ef=ef, exact=exact, points=points, dimension=dimension) == expected
