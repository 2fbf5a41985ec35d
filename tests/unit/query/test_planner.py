"""The choice between scan and graph."""

from __future__ import annotations

import pytest

from vectron_p2p.query.planner import choose, effective_ef, wider


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
    assert wider(fetch=64, wanted=10, found=5, labels=100_000) == 256
    assert wider(fetch=64, wanted=10, found=1, labels=100_000) == 960
    assert wider(fetch=64, wanted=10, found=0, labels=100_000) == 256
    assert wider(fetch=10_000, wanted=10, found=1, labels=100_000) == 0
    rounds, fetch = 0, 64
    while fetch:
        fetch = wider(fetch=fetch, wanted=10, found=0, labels=1_000_000)
        rounds += 1
    assert rounds < 10
