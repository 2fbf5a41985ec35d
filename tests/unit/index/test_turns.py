"""Turns: small while somebody searches, larger the longer nobody does, and by what a point costs."""

from __future__ import annotations

from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.turns import CALM_TURN, TURN, Turns


def turns(dimension: int = 384, **options: int) -> Turns:
    return Turns(IndexOptions(dimension, "cosine", **options))


def test_turns_grow_while_nobody_searches_and_the_first_search_makes_them_small() -> None:
    one = turns()
    sizes = [one.next(0) for _ in range(20)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (TURN, CALM_TURN)
    assert [one.next(1) for _ in range(3)] == [TURN, TURN, 2 * TURN]
    assert [one.next(searches) for searches in range(2, 6)] == [TURN] * 4


def test_turns_are_larger_where_the_graph_compares_fewer_dimensions() -> None:
    one = turns()
    one.dimensions = 96
    assert one.next(1) == round(TURN * 768 / 480)


def test_turns_are_smaller_for_costlier_points() -> None:
    for one, size in ((turns(), 40), (turns(4096), 7), (turns(4096, ef_construction=2000), 1), (turns(2), 80)):
        assert one.next(1) == size == one.aside
