"""Who must have a step's fence before the next, and who sees to it."""

from __future__ import annotations

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.fencing import FenceRound, driver

A, B, C, D, E, F = (NodeId(name) for name in "abcdef")


def passed(round_: FenceRound, *owners: NodeId) -> bool:
    for owner in owners:
        round_.passed(owner)
    return round_.complete


def test_too_few_old_owners_to_acknowledge_are_left_and_all_new_ones_have_it() -> None:
    assert not passed(FenceRound((A, B, C), (B, C, D), A, ()), B, C, D)  # what A alone acknowledges would be lost
    assert not passed(FenceRound((A, B, C), (B, C, D), A, ()), A, B, C)
    assert not passed(FenceRound((A, B, C), (B, C, D), A, ()), A, B, D)  # C will count in the new set
    assert passed(FenceRound((A, B, C), (B, C, D), A, ()), A, B, C, D)


def test_an_owner_that_was_given_up_is_left_out_and_still_counts_as_one() -> None:
    round_ = FenceRound((A, B, C), (B, C, D), A, {A})
    assert A not in round_.owners
    assert not passed(round_, B, D)  # A and C would still be a quorum of the old owners
    assert passed(round_, C)
    assert not passed(FenceRound((A, B), (B, D), A, {A, B}), D)  # who could know what they acknowledged?


def test_old_owners_beyond_the_new_ones_are_needed_as_far_as_they_make_a_quorum() -> None:
    assert passed(FenceRound((A,), (D,), A, ()), A, D)
    assert not passed(FenceRound((A,), (D,), A, ()), D)
    assert passed(FenceRound((A, B, C), (A, B, C, D), None, ()), A, B, C, D)
    assert passed(FenceRound((A, B, C), (B, C), A, ()), A, B, C)


def test_the_node_that_comes_drives_then_the_one_that_leaves_then_any_other() -> None:
    def alive(node: NodeId) -> bool:
        return node != C

    assert driver((A, B, C), A, D, (), alive) == D
    assert driver((A, B, C), C, D, (), alive) == D  # also while it seems dead to others: it goes on when it is back
    assert driver((A, B, C, D), A, D, {D}, alive) == A
    assert driver((A, B, C), A, None, (), alive) == A
    assert driver((A, B, C), C, None, (), alive) == A
    assert driver((A, B, C), A, None, {A}, alive) == B
    assert driver((C,), C, None, {C}, alive) is None
