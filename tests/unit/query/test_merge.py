"""Merging over shards, and the steps of a QUORUM search."""

from __future__ import annotations

from vectron_p2p.model.ids import NodeId
from vectron_p2p.query.merge import QuorumSearchRound, Scored, merge_hits, sort_hits

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def hit(point: int | str, score: float, version: int = 1) -> Scored:
    return Scored(point, score, version.to_bytes(40, "big"))


def ids(hits: list[Scored]) -> list[int | str]:
    return [one.id for one in hits]


def test_higher_is_better_but_for_l2() -> None:
    lists = [[hit(1, 0.9), hit(2, 0.5)], [hit(3, 0.7)]]
    assert ids(merge_hits(lists, 2, "cosine")) == [1, 3]
    assert ids(merge_hits([[hit(2, 0.5), hit(1, 0.9)], [hit(3, 0.7)]], 2, "l2")) == [2, 3]


def test_ties_are_in_order_of_id_bytes() -> None:
    assert ids(sort_hits([hit("a", 1.0), hit(300, 1.0), hit(2, 1.0), hit("", 2.0)], "dot")) == ["", 2, 300, "a"]


def test_the_newest_version_of_an_id_counts() -> None:
    assert merge_hits([[hit(1, 0.9, 1)], [hit(1, 0.2, 2), hit(2, 0.1)]], 5, "dot") == [hit(1, 0.2, 2), hit(2, 0.1)]


def test_offset() -> None:
    lists = [[hit(1, 0.9), hit(2, 0.5)], [hit(3, 0.7)]]
    assert ids(merge_hits(lists, 2, "cosine", offset=1)) == [3, 2]
    assert ids(merge_hits(lists[:1], 2, "cosine", offset=1)) == [2]
    assert merge_hits([], 2, "cosine") == []


def test_equal_lists_need_nothing_more() -> None:
    step = QuorumSearchRound(2, "cosine", 2)
    step.record(A, [hit(1, 0.9), hit(2, 0.8)])
    assert not step.ready
    step.record(B, [hit(1, 0.9), hit(2, 0.8)])
    assert step.ready
    assert step.to_verify() == []
    assert ids(step.result()) == [1, 2]
    assert not step.needs_refill


def test_what_not_all_returned_alike_is_verified() -> None:
    step = QuorumSearchRound(3, "cosine", 2)
    step.record(A, [hit(1, 0.9), hit(2, 0.8), hit("x", 0.7)])
    step.record(B, [hit(1, 0.9), hit(2, 0.6, 2), hit(3, 0.5)])
    assert step.to_verify() == [2, 3, "x"]
    step.verified({2: hit(2, 0.6, 2), 3: hit(3, 0.5), "x": hit("x", 0.7)})
    assert step.to_verify() == []
    assert ids(step.result()) == [1, "x", 2]


def test_a_deleted_point_that_one_owner_still_has_is_dropped_and_refilled() -> None:
    step = QuorumSearchRound(2, "cosine", 2)
    step.record(A, [hit(1, 0.9), hit(2, 0.8)])
    step.record(B, [hit(1, 0.9), hit(3, 0.7)])
    step.verified({2: None, 3: hit(3, 0.7)})
    assert ids(step.result()) == [1, 3]
    # A's list ended at 0.8: a row between 0.8 and 0.7 that only A holds may be hidden.
    assert step.needs_refill
    again = QuorumSearchRound(2, "cosine", 2, asked=step.next_k)
    again.record(A, [hit(1, 0.9), hit(2, 0.8), hit(4, 0.75)])
    again.record(B, [hit(1, 0.9), hit(3, 0.7)])
    again.verified({2: None, 3: hit(3, 0.7), 4: hit(4, 0.75)})
    assert ids(again.result()) == [1, 4]
    assert not again.needs_refill


def test_too_few_hits_from_full_lists_are_refilled_from_short_ones_not() -> None:
    step = QuorumSearchRound(2, "l2", 1)
    step.record(A, [hit(1, 0.1), hit(2, 0.2)])
    assert not step.needs_refill
    step = QuorumSearchRound(3, "l2", 2)
    step.record(A, [hit(1, 0.1)])
    step.record(B, [])
    step.verified({1: None})
    assert step.result() == []
    assert not step.needs_refill  # nobody cut anything off


def test_l2_bounds_are_distances() -> None:
    step = QuorumSearchRound(1, "l2", 2)
    step.record(A, [hit(1, 0.1)])
    step.record(B, [hit(2, 0.3)])
    step.verified({1: None, 2: hit(2, 0.3)})
    assert ids(step.result()) == [2]
    assert step.needs_refill


def test_verdicts_on_ids_not_asked_are_ignored() -> None:
    step = QuorumSearchRound(1, "dot", 1)
    step.record(C, [hit(1, 2.0)])
    step.verified({1: None, 9: hit(9, 5.0)})
    assert ids(step.result()) == [1]
