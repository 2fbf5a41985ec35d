"""The hybrid clock: rising stamps, bad clocks, restarts."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.hlc import (
    MAX_SKEW_MS,
    OFFSET_AGE_S,
    RESERVE_MS,
    HybridClock,
    MarkNeeded,
    admit,
    ms_of,
    stamp_of,
)

NOW = 1_700_000_000_000
N1, N2, N3, N4 = (NodeId(f"n{i}") for i in range(1, 5))


def ready(clock: HybridClock, wall: int = NOW) -> HybridClock:
    mark = clock.needs_mark(wall)
    if mark is not None:
        clock.mark_persisted(mark)
    return clock


def test_a_new_clock_gives_nothing_before_its_mark_is_on_disk() -> None:
    clock = HybridClock()
    with pytest.raises(MarkNeeded) as caught:
        clock.stamp(NOW)
    assert caught.value.retryable
    assert ready(clock).stamp(NOW) == stamp_of(NOW)


def test_stamps_rise_while_the_wall_stands_still_or_goes_back() -> None:
    clock = ready(HybridClock())
    stamps = [clock.stamp(wall) for wall in (NOW, NOW, NOW - 50, NOW + 3, NOW + 1)]
    assert stamps == sorted(set(stamps))


def test_the_counter_carries_into_the_milliseconds() -> None:
    clock = ready(HybridClock())
    clock.observe(stamp_of(NOW) + 0xFFFF, NOW)
    assert ms_of(clock.stamp(NOW)) == NOW + 1


def test_the_mark_is_renewed_early_enough_that_nobody_waits() -> None:
    clock = ready(HybridClock())
    assert clock.needs_mark(NOW + 100) is None
    assert clock.needs_mark(NOW + 250) is not None
    clock.stamp(NOW + 250)  # the old mark still covers it


def test_a_restart_at_once_is_above_all_before_and_still_accepted() -> None:
    clock = ready(HybridClock())
    before = clock.stamp(NOW)
    mark = clock.needs_mark(NOW + 300)
    assert mark is not None
    after = ready(HybridClock(mark), NOW + 300).stamp(NOW + 300)
    assert after > before
    assert admit(after, NOW + 300)


def test_even_a_clock_that_took_over_the_furthest_stamp_restarts_acceptably() -> None:
    clock = ready(HybridClock())
    assert clock.observe(stamp_of(NOW + RESERVE_MS), NOW)
    mark = clock.needs_mark(NOW)
    assert mark is not None
    assert admit(ready(HybridClock(mark), NOW).stamp(NOW), NOW)


def test_stamps_too_far_ahead_never_move_the_clock() -> None:
    clock = ready(HybridClock())
    assert not clock.observe(stamp_of(NOW + MAX_SKEW_MS + 1), NOW)
    assert clock.observe(stamp_of(NOW + 100), NOW)
    assert clock.stamp(NOW) == stamp_of(NOW + 100) + 1


def test_a_held_stamp_from_a_bad_clock_is_outdone_for_its_id_only() -> None:
    clock = ready(HybridClock())
    far = stamp_of(NOW + 10**9)
    assert clock.stamp(NOW, held=far) == far + 1
    assert ms_of(clock.stamp(NOW)) == NOW


def test_a_clock_ahead_of_a_majority_is_held_back_to_what_they_accept() -> None:
    clock = HybridClock()
    clock.set_peer_offset(N1, -10_000, 0.0)
    clock.set_peer_offset(N2, -10_020, 0.0)
    wall = clock.wall(NOW)
    assert admit(stamp_of(wall), NOW - 10_000)
    assert wall > NOW - 10_000


def test_a_clock_behind_a_majority_is_pulled_up() -> None:
    clock = HybridClock()
    clock.set_peer_offset(N1, 10_000, 0.0)
    clock.set_peer_offset(N2, 10_020, 0.0)
    assert clock.wall(NOW) == NOW + 10_000 - MAX_SKEW_MS


def test_one_bad_peer_moves_nothing() -> None:
    clock = HybridClock()
    clock.set_peer_offset(N1, 3, 0.0)
    clock.set_peer_offset(N2, 10**9, 0.0)
    assert clock.wall(NOW) == NOW
    clock.set_peer_offset(N2, -(10**9), 1.0)
    assert clock.wall(NOW) == NOW


def test_two_clocks_that_disagree_stamp_what_both_accept() -> None:
    for offset in (-60_000, 60_000):
        clock = HybridClock()
        clock.set_peer_offset(N1, offset, 0.0)
        stamp = stamp_of(clock.wall(NOW))
        assert admit(stamp, NOW)
        assert admit(stamp, NOW + offset)


def test_old_offsets_and_former_peers_say_nothing() -> None:
    clock = HybridClock()
    clock.set_peer_offset(N1, -10_000, 0.0)
    clock.set_peer_offset(N2, -10_000, 0.0)
    clock.set_peer_offset(N3, 0, OFFSET_AGE_S + 1)
    assert clock.wall(NOW) == NOW
    clock.set_peer_offset(N4, -10_000, OFFSET_AGE_S + 1)
    clock.set_peer_offset(N1, -10_000, OFFSET_AGE_S + 1)
    clock.forget_peer(N4)
    clock.forget_peer(N1)
    assert clock.wall(NOW) == NOW


def test_a_replica_refuses_what_is_far_ahead_of_its_clock_and_of_what_it_holds() -> None:
    limit = stamp_of(NOW + MAX_SKEW_MS)
    assert admit(limit, NOW)
    assert not admit(limit + 1, NOW)
    assert admit(limit + 1, NOW, held=stamp_of(NOW + 10))


def test_a_step_of_the_wall_clock_is_not_followed_until_the_peers_are_heard_again() -> None:
    clock = HybridClock()
    clock.mark_persisted(stamp_of(10_000_000))
    clock.notice(1_000_000, 10.0)
    for peer in (NodeId("p"), NodeId("q")):
        clock.set_peer_offset(peer, 0, 10.0)
    clock.notice(1_003_000, 11.0)  # a second later the wall clock is two seconds ahead
    assert ms_of(clock.stamp(1_003_000)) <= 1_001_000 + MAX_SKEW_MS
    clock.notice(1_004_000, 12.0)  # no further step: nothing is put right twice
    assert ms_of(clock.stamp(1_004_000)) <= 1_002_000 + MAX_SKEW_MS


def test_a_clock_that_has_heard_no_other_goes_on_from_its_mark() -> None:
    clock = HybridClock(stamp_of(NOW))
    clock.expect(3)
    wrong = NOW + 300_000
    clock.notice(wrong, 10.0)
    assert clock.alone
    assert clock.wall(wrong) == NOW
    clock.notice(wrong + 2_000, 12.0)
    assert clock.wall(wrong + 2_000) == NOW + 2_000
    assert ready(clock, wrong + 2_000).stamp(wrong + 2_000) >= stamp_of(NOW + 2_000)
    clock.set_peer_offset(N1, -300_000, 12.0)
    assert not clock.alone
    assert clock.wall(wrong + 2_000) == NOW + 2_000 + MAX_SKEW_MS


def test_a_clock_without_others_or_without_a_mark_has_only_its_machine() -> None:
    only = HybridClock(stamp_of(NOW))
    only.notice(NOW + 300_000, 0.0)
    assert not only.alone
    assert only.wall(NOW + 300_000) == NOW + 300_000
    new = HybridClock()
    new.expect(3)
    new.notice(NOW, 0.0)
    assert new.alone
    assert not new.resumed
    assert new.wall(NOW) == NOW
