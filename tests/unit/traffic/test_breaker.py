"""The circuit breaker of one peer."""

from __future__ import annotations

from vectron_p2p.traffic.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker, BreakerState


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(at)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(5):
        for _ in range(FAILURES - 1):
            breaker.failed(1.0)
        assert breaker.ready(1.0)
        breaker.answered()
    assert (breaker.opens, breaker.failures) == (0, 5 * (FAILURES - 1))
    for _ in range(FAILURES):
        breaker.failed(2.0)
    assert not breaker.ready(2.0)
    assert breaker.opens == 1


def test_one_silence_is_enough() -> None:
    breaker = Breaker()
    breaker.failed(0.0, silent=True)
    assert breaker.state is BreakerState.OPEN


def test_while_open_no_call_is_wanted_and_after_the_pause_just_one() -> None:
    breaker = opened()
    assert not breaker.begin(FIRST_PAUSE - 0.01).wanted
    probe = breaker.begin(FIRST_PAUSE)
    assert probe.wanted
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.ready(FIRST_PAUSE)
    assert not breaker.begin(FIRST_PAUSE + 99).wanted


def test_the_answer_to_the_probe_closes() -> None:
    breaker = opened()
    probe = breaker.begin(FIRST_PAUSE)
    breaker.answered()
    breaker.probed(probe, FIRST_PAUSE)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.begin(FIRST_PAUSE).wanted


def test_the_pause_doubles_with_each_failed_probe_up_to_its_bound_and_begins_anew_after_an_answer() -> None:
    breaker, now, pauses = opened(), FIRST_PAUSE, []
    for _ in range(6):
        probe = breaker.begin(now)
        assert probe.wanted
        breaker.failed(now)
        breaker.probed(probe, now)
        pause = next(k / 4 for k in range(1, 1000) if breaker.ready(now + k / 4))
        pauses.append(pause)
        now += pause
    assert pauses == [2.0, 4.0, 8.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert breaker.opens == 1, "it was never closed in between"
    breaker.answered()
    for _ in range(FAILURES):
        breaker.failed(now)
    assert breaker.ready(now + FIRST_PAUSE)


def test_a_probe_that_was_cancelled_lets_the_next_go_at_once() -> None:
    breaker = opened()
    probe = breaker.begin(5.0)
    breaker.probed(probe, 5.1)
    assert breaker.begin(5.1).wanted


def test_the_end_of_an_old_probe_does_not_end_the_one_under_way() -> None:
    breaker = opened()
    old = breaker.begin(1.0)
    breaker.failed(1.5)  # the connection under the probe breaks; its call hears of that later
    breaker.begin(9.0)
    breaker.probed(old, 9.1)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.begin(9.1).wanted


def test_failures_of_calls_made_in_spite_of_it_do_not_keep_it_open() -> None:
    breaker = opened()
    for k in range(50):
        breaker.failed(FIRST_PAUSE * k / 50)
    assert breaker.ready(FIRST_PAUSE)


def test_an_answer_to_a_call_made_in_spite_of_it_closes() -> None:
    breaker = opened()
    breaker.answered()
    assert breaker.begin(0.0).wanted


def test_a_peer_that_membership_sees_is_probed_at_once() -> None:
    breaker = opened(10.0)
    breaker.seen(10.2)
    assert breaker.begin(10.2).wanted
