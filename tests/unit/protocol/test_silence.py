"""When a node that owes an answer is pinged, and when it is given up."""

from __future__ import annotations

from vectron_p2p.protocol.silence import OWN_PAUSE_S, PING_AFTER_S, SLOWEST_BYTES_PER_S, Silence, Verdict

PATIENCE = 1.0


def looked_at(silence: Silence, *, until: float) -> list[tuple[float, Verdict]]:
    """All verdicts of a shell that looks when it is told to."""
    found: list[tuple[float, Verdict]] = []
    while (now := silence.deadline(PATIENCE)) <= until:
        found.append((now, silence.look(now, PATIENCE)))
        if found[-1][1] is Verdict.LOST:
            break
    return found


def test_a_silent_node_is_pinged_once_and_then_lost() -> None:
    lost = 10.0 + PING_AFTER_S + PATIENCE
    assert looked_at(Silence(10.0), until=60.0) == [(10.0 + PING_AFTER_S, Verdict.PING), (lost, Verdict.LOST)]


def test_a_look_too_early_changes_nothing() -> None:
    silence = Silence(10.0)
    assert silence.look(10.0 + PING_AFTER_S / 2, PATIENCE) is Verdict.WAIT
    assert silence.deadline(PATIENCE) == 10.0 + PING_AFTER_S


def test_any_byte_begins_the_wait_anew() -> None:
    silence = Silence(0.0)
    assert silence.look(PING_AFTER_S, PATIENCE) is Verdict.PING
    silence.heard(1.0)
    assert looked_at(silence, until=60.0) == [
        (1.0 + PING_AFTER_S, Verdict.PING),
        (1.0 + PING_AFTER_S + PATIENCE, Verdict.LOST),
    ]


def test_a_ping_waits_behind_what_was_sent_before_it_and_has_that_much_longer() -> None:
    silence = Silence(0.0)
    silence.sent(2 * SLOWEST_BYTES_PER_S)
    silence.sent(SLOWEST_BYTES_PER_S)
    assert looked_at(silence, until=60.0)[-1] == (PING_AFTER_S + PATIENCE + 3.0, Verdict.LOST)
    silence.heard(100.0)
    assert looked_at(silence, until=160.0)[-1] == (100.0 + PING_AFTER_S + PATIENCE, Verdict.LOST)


def test_after_a_pause_of_our_own_the_other_side_is_asked_again_before_it_is_given_up() -> None:
    silence = Silence(0.0)
    assert silence.look(PING_AFTER_S, PATIENCE) is Verdict.PING
    woken = PING_AFTER_S + PATIENCE + OWN_PAUSE_S + 5.0
    assert silence.look(woken, PATIENCE) is Verdict.PING
    assert silence.look(woken + PATIENCE, PATIENCE) is Verdict.LOST
