from __future__ import annotations

import math

from vectron_p2p.membership.timers import Timers


def due(timers: Timers, now: float) -> list[object]:
    keys: list[object] = []
    while (key := timers.pop_due(now)) is not None:
        keys.append(key[1])
    return keys


def test_nothing_armed_is_never_due():
    timers = Timers()
    assert timers.next == math.inf
    assert timers.pop_due(1e9) is None


def test_the_earliest_is_next_and_equal_ones_keep_their_order():
    timers = Timers()
    for key, at in (("c", 3.0), ("b", 2.0), ("a", 2.0)):
        timers.set(("t", key), at)
    assert timers.next == 2.0
    assert due(timers, 2.0) == ["b", "a"]
    assert timers.next == 3.0


def test_setting_again_moves_both_ways():
    timers = Timers()
    timers.set(("t", "a"), 2.0)
    timers.set(("t", "a"), 5.0)
    assert timers.next == 5.0
    timers.set(("t", "a"), 1.0)
    assert due(timers, 10.0) == ["a"]
    assert timers.next == math.inf


def test_a_cancelled_one_wakes_nobody():
    timers = Timers()
    timers.set(("t", "a"), 1.0)
    timers.set(("t", "b"), 2.0)
    timers.cancel(("t", "a"))
    timers.cancel(("t", "unknown"))
    assert timers.next == 2.0
    assert ("t", "a") not in timers
    assert ("t", "b") in timers
    assert timers[("t", "b")] == 2.0


def test_a_fired_one_can_be_armed_again():
    timers = Timers()
    timers.set(("t", "a"), 1.0)
    assert due(timers, 1.0) == ["a"]
    timers.set(("t", "a"), 1.0)
    assert due(timers, 1.0) == ["a"]


def test_postpone_moves_only_its_kind_and_only_what_is_earlier():
    timers = Timers()
    timers.set(("probe", 1), 1.0)
    timers.set(("probe", 2), 9.0)
    timers.set(("other", 3), 1.0)
    timers.postpone("probe", 5.0)
    assert (timers[("probe", 1)], timers[("probe", 2)], timers[("other", 3)]) == (5.0, 9.0, 1.0)


def test_memory_stays_bounded_when_timers_are_moved_all_the_time():
    timers = Timers()
    for index in range(10_000):
        timers.set(("t", "a"), 1e6 + index)
    assert len(timers._heap) < 200
    assert timers.next == 1e6 + 9_999


def test_clear():
    timers = Timers()
    timers.set(("t", "a"), 1.0)
    timers.clear()
    assert timers.next == math.inf
