"""Percentiles, spreads and recall, on cases counted by hand."""

from __future__ import annotations

import math

import pytest

from vectron_p2p.bench.figures import Row, Spread, percentile, recall, spread


def test_the_spread_is_median_least_and_most() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 51.0
    assert percentile(values, 99) == 100.0
    assert percentile([7.0], 99) == 7.0
    assert math.isnan(percentile([], 50))


def test_recall_counts_each_wanted_neighbour_once() -> None:
    assert recall([[1, 2, 3], [4, 5, 6]], [[1, 2, 9], [6, 5, 4]]) == pytest.approx(5 / 6)
    assert recall([[1, 1, 1]], [[1, 2, 3]]) == pytest.approx(1 / 3)
    assert recall([[]], [[1, 2]]) == 0.0


def test_a_query_with_few_matches_wants_only_those() -> None:
    assert recall([[1, 2]], [[1, 2]]) == 1.0
    assert math.isnan(recall([[]], [[]]))


def test_recall_of_an_answer_without_a_truth_is_refused() -> None:
    with pytest.raises(ValueError):
        recall([[1], [2]], [[1]])


def test_a_row_knows_its_figures_by_name() -> None:
    row = Row("batch", "batch", Spread(2.0, 1.0, 3.0), "q/s", ratio=0.9, recall=0.96, more={"p99_ms": 4.0})
    assert [row.figure(name) for name in ("value", "ratio", "recall", "p99_ms")] == [2.0, 0.9, 0.96, 4.0]
    assert row.figure("nothing") is None
