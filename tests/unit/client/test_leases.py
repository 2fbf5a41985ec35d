"""What a request lost on its way may still do, and how long the call that lost it waits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.test_flows import DONE, World
from vectron_p2p.client.leases import LEASE_S, SKEW_S, leased
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import ConsistencyError, NotFound
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.silence import SLOWEST_BYTES_PER_S

UPSERT = m.Upsert("docs", [1], 1, bytes(SLOWEST_BYTES_PER_S), [b"\x80"], "quorum", "op")
DELETE = m.Delete("docs", [1], "quorum", "op")


def test_a_change_says_on_the_clock_of_the_node_until_when_it_may_be_begun() -> None:
    message, until = leased(DELETE, now=10.0, ahead=500.0, queued=0)
    assert message.expires == 510.0 + LEASE_S
    assert until == 10.0 + LEASE_S + SKEW_S
    assert message == m.Delete("docs", [1], "quorum", "op", message.expires)


def test_bytes_have_their_time_on_the_way() -> None:
    message, _ = leased(UPSERT, now=10.0, ahead=0.0, queued=2 * SLOWEST_BYTES_PER_S)
    assert message.expires == pytest.approx(13.0 + LEASE_S, abs=0.01)


def test_what_changes_nothing_and_what_goes_to_a_node_without_a_clock_has_no_lease() -> None:
    read = m.Get("docs", [1], True, True, "quorum")
    assert leased(read, now=10.0, ahead=0.0, queued=0) == (read, 0.0)
    assert leased(DELETE, now=10.0, ahead=None, queued=0) == (DELETE, 0.0)


def lost_once(answer: Any, until: float) -> World:
    first = [True]

    def reply(call: Call) -> Any:
        if first.pop() if first else False:
            raise LinkLost("broken", sent=True, until=until)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return World(reply)


@pytest.mark.parametrize("answer", [DONE, NotFound("no such collection", field="collection")])
def test_a_call_that_lost_an_attempt_is_over_when_that_can_no_longer_be_begun(answer: Any) -> None:
    world = lost_once(answer, until=1.5)
    if answer is DONE:
        assert world.ask(DELETE) == DONE
    else:
        with pytest.raises(NotFound):
            world.ask(DELETE)
    assert world.now == 1.5
    assert len(world.calls) == 2  # asked elsewhere at once


def test_nothing_is_waited_for_when_the_time_has_passed() -> None:
    world = lost_once(DONE, until=1 / 64)
    assert world.ask(DELETE) == DONE
    assert not world.sleeps


@pytest.mark.parametrize("last", [ConsistencyError("1 of 3", acked=0, required=2), LinkLost("refused", sent=False)])
@pytest.mark.parametrize(("message", "retryable"), [(DELETE, True), (m.DeleteIf("docs", [1], None, "op"), False)])
def test_nobody_is_told_that_nothing_was_written_when_an_attempt_was_lost(
    last: Exception, message: Any, retryable: bool
) -> None:
    answers = iter([LinkLost("broken", sent=True, until=1.5), ConsistencyError("1 of 3", acked=0, required=2), last])

    def reply(_: Call) -> Any:
        raise next(answers)

    world = World(reply)
    with pytest.raises(ConsistencyError, match="unknown") as caught:
        world.ask(message)
    assert (caught.value.acked, caught.value.required, caught.value.retryable) == (1, 2, retryable)
