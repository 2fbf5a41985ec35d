"""Hints: bounded, and never gone without a trace."""

from __future__ import annotations

from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.replication.hints import HintBook, HintLimits

A, B = NodeId("a"), NodeId("b")
S0, S1 = ShardId(CollectionId("c1"), 0), ShardId(CollectionId("c2"), 1)


def book(target: int = 100, total: int = 150, age: float = 10.0) -> HintBook[str]:
    return HintBook(HintLimits(target_bytes=target, total_bytes=total, age_s=age))


def items(hints: HintBook[str], target: NodeId, max_bytes: int = 10**6) -> list[str]:
    return [hint.item for hint in hints.peek(target, max_bytes=max_bytes)]


def test_oldest_first_and_only_gone_when_delivered() -> None:
    hints = book()
    for name in "xyz":
        assert hints.add(A, S0, name, 10, 0.0)
    assert items(hints, A) == ["x", "y", "z"]
    assert items(hints, A, max_bytes=20) == ["x", "y"]
    assert items(hints, A, max_bytes=1) == ["x"]
    hints.delivered(A, hints.peek(A, max_bytes=20)[-1].sequence)
    assert items(hints, A) == ["z"]
    assert (hints.count, hints.bytes, hints.count_for(A)) == (1, 10, 1)
    hints.delivered(A, 10**9)
    assert (hints.count, hints.bytes, hints.targets) == (0, 0, [])
    assert hints.needs_repair == []


def test_a_target_over_its_limit_loses_the_oldest_and_needs_repair() -> None:
    hints = book()
    hints.add(A, S0, "old", 60, 0.0)
    hints.add(A, S1, "new", 60, 0.0)
    assert items(hints, A) == ["new"]
    assert hints.needs_repair == [(A, S0)]
    hints.repaired(A, S0)
    assert hints.needs_repair == []


def test_the_total_is_bounded_at_the_cost_of_the_largest() -> None:
    hints = book()
    hints.add(A, S0, "a", 90, 0.0)
    hints.add(B, S0, "b", 50, 0.0)
    hints.add(B, S0, "c", 20, 0.0)
    assert items(hints, A) == []
    assert items(hints, B) == ["b", "c"]
    assert hints.needs_repair == [(A, S0)]


def test_what_is_too_large_is_only_marked() -> None:
    hints = book()
    assert not hints.add(A, S0, "huge", 101, 0.0)
    assert hints.count == 0
    assert hints.needs_repair == [(A, S0)]


def test_old_hints_expire_into_repair() -> None:
    hints = book()
    hints.add(A, S0, "a", 1, 0.0)
    hints.add(A, S1, "b", 1, 5.0)
    assert hints.expire(10.0) == 0
    assert hints.expire(11.0) == 1
    assert items(hints, A) == ["b"]
    assert hints.needs_repair == [(A, S0)]


def test_nothing_is_owed_to_a_node_or_collection_that_is_gone() -> None:
    hints = book()
    hints.add(A, S0, "a", 101, 0.0)
    hints.add(A, S0, "b", 1, 0.0)
    hints.forget(A)
    assert (hints.count, hints.bytes, hints.needs_repair) == (0, 0, [])
    hints.add(B, S0, "c", 1, 0.0)
    hints.add(B, S1, "d", 2, 0.0)
    hints.add(B, S0, "huge", 101, 0.0)
    hints.forget_collection("c1")
    assert items(hints, B) == ["d"]
    assert (hints.bytes, hints.needs_repair) == (2, [])
    hints.forget_collection("c2")
    assert hints.targets == []
