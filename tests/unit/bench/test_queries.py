"""No query is asked twice, and the variants keep the neighbours of their query."""

from __future__ import annotations

import numpy as np
import pytest

from vectron_p2p.bench.data import nearest, sample_data
from vectron_p2p.bench.figures import recall
from vectron_p2p.bench.queries import SIZE, Queries, Supply, moved


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_processes_and_later_windows_share_no_number() -> None:
    supply = Supply(np.eye(4, 8, dtype=np.float32), np.arange(4), 0)
    seen: list[int] = []
    for processes, turns in ((2, [5, 3]), (1, [7]), (2, [2, 2])):
        windows = supply.split(processes)
        for queries, used in zip(windows, turns, strict=True):
            seen += [queries.number(turn) for turn in range(used)]
        supply.asked(max(turns), processes)
    assert len(set(seen)) == len(seen) == 19


def test_variants_differ_even_after_normalising() -> None:
    (queries,) = Supply(np.ones((2, 16), dtype=np.float32), np.arange(2), 0).split(1)
    rows = unit(queries.matrix(50))
    assert len({row.tobytes() for row in rows[::2]}) == 25


def test_the_neighbours_stay() -> None:
    data = sample_data()
    assert data.truth is not None
    supply = Supply(data.queries, np.arange(len(data.queries)), 0)
    (queries,) = supply.split(1)
    found = nearest(data.vectors, queries.matrix(400)[200:], 10)
    numbers = [supply.query(number) for number in range(200, 400)]
    assert recall(found.tolist(), data.truth[numbers].tolist()) > 0.999


def test_a_subset_knows_which_queries_it_asks() -> None:
    supply = Supply(np.eye(5, dtype=np.float32), np.array([4, 1]), 0)
    (queries,) = supply.split(1)
    assert [supply.query(queries.number(turn)) for turn in range(4)] == [4, 1, 4, 1]
    assert int(np.argmax(queries.vector(0))) == 4


def test_when_all_were_asked_it_says_so() -> None:
    queries = Queries(
        np.eye(2, dtype=np.float32), np.zeros((3, 2), dtype=np.float32), np.ones((2, 1), dtype=np.float32), start=4
    )
    assert queries.number(1) == 5
    with pytest.raises(IndexError, match="all 6 variants"):
        queries.number(2)


def test_long_and_short_vectors_move_by_their_own_measure() -> None:
    rows = np.array([[1e-3, 0], [1e3, 0]], dtype=np.float32)
    noise = np.array([0, SIZE], dtype=np.float32)
    assert moved(rows, noise)[:, 1] == pytest.approx([1e-3 * SIZE, 1e3 * SIZE])
    (queries,) = Supply(rows, np.arange(2), 0).split(1)
    for number in range(4):
        distance = np.linalg.norm(queries.vector(number) - rows[number % 2])
        assert distance == pytest.approx(SIZE * rows[number % 2, 0], rel=1e-3)
