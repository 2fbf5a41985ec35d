"""Turns: small while somebody searches, larger the longer nobody does, and by what a point costs."""

from __future__ import annotations

from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.turns import BUSY_TURN, CALM_TURN, IDLE_TURN, LONG_TAIL, Turns


def turns(dimension: int = 384, **options: int) -> Turns:
    return Turns(IndexOptions(dimension, "cosine", **options))


def test_turns_grow_while_nobody_searches_and_the_first_search_makes_them_small() -> None:
    one = turns()
    sizes = [one.next(0, 10) for _ in range(20)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (IDLE_TURN, CALM_TURN)
    assert one.next(1, 10) == BUSY_TURN
    assert one.next(1, 10) == IDLE_TURN


def test_a_long_tail_is_linked_in_longer_turns_beside_searches() -> None:
    one = turns()
    assert [one.next(searches, LONG_TAIL + 1) for searches in range(1, 5)] == [IDLE_TURN] * 4


def test_turns_are_larger_where_the_graph_compares_fewer_dimensions() -> None:
    one = turns()
    one.dimensions = 96
    assert one.next(1, 0) == round(BUSY_TURN * 768 / 480)


def test_turns_are_smaller_for_costlier_points() -> None:
    for one, size in ((turns(), 16), (turns(4096), 3), (turns(4096, ef_construction=2000), 1), (turns(2), 32)):
        assert one.next(1, 0) == size
        assert one.next(1, 0) <= one.aside
