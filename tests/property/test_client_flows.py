"""Whatever nodes do, a call ends in time with an answer or a typed error, and asks in a sane way."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.test_flows import DONE, World
from vectron_p2p.client.flows import GRACE_S, LAST_ATTEMPT_S
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import (
    ClockSkew,
    ConsistencyError,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    ReadOnly,
    Unavailable,
    VectronError,
)
from vectron_p2p.model.ids import Address

OUTCOMES = st.one_of(
    st.just(DONE),
    st.booleans().map(lambda sent: LinkLost("lost", sent=sent)),
    st.floats(0, 100).map(lambda after: Overloaded("busy", retry_after=after)),
    st.integers(0, 3).map(lambda acked: ConsistencyError("few", acked=acked, required=2)),
    st.sampled_from([Unavailable("x"), ClockSkew("x"), ReadOnly("x"), DeadlineExceeded("x"), NotFound("x")]),
)


@given(
    outcomes=st.lists(OUTCOMES, max_size=30),
    last=OUTCOMES,
    latencies=st.lists(st.floats(0.001, 3.0), min_size=1, max_size=5),
    nodes=st.integers(1, 5),
    timeout=st.floats(0.01, 60.0),
)
def test_every_call_ends_in_time(
    outcomes: list[Any], last: Any, latencies: list[float], nodes: int, timeout: float
) -> None:
    script = iter(outcomes)
    answered: list[Any] = []

    def answer(call: Call) -> Any:
        outcome = next(script, last)
        answered.append(outcome)
        world.latency = latencies[len(answered) % len(latencies)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    seeds = [Address("n", port) for port in range(1, nodes + 1)]
    world = World(answer, *seeds, latency=0.001, timeout=timeout)
    raised: VectronError | None = None
    try:
        assert world.ask() == DONE
    except VectronError as error:
        raised = error
    # The client's own words only when no node has the last one.
    assert raised is None or raised in answered or isinstance(raised, Unavailable | DeadlineExceeded)
    assert answered.count(DONE) == (raised is None)

    assert world.now <= timeout + max(latencies) + 1e-6
    assert all(0 < call.timeout <= timeout + GRACE_S + 1e-9 for call in world.calls)
    assert all(call.dial_timeout <= call.timeout for call in world.calls)
    # No spinning: between two pauses no address is asked twice because a connection was lost.
    losses = sum(isinstance(outcome, LinkLost) for outcome in answered)
    others = len(answered) - losses
    assert losses <= nodes * (len(world.sleeps) + others + 1)


@given(nodes=st.integers(1, 5), timeout=st.floats(LAST_ATTEMPT_S * 2, 60.0), back=st.floats(0.0, 1.0))
def test_a_cluster_that_is_back_in_time_is_found(nodes: int, timeout: float, back: float) -> None:
    back_at = back * (timeout - LAST_ATTEMPT_S)

    def answer(_: Call) -> Any:
        if world.now < back_at:
            raise LinkLost("refused", sent=False)
        return DONE

    world = World(answer, *(Address("n", port) for port in range(1, nodes + 1)), latency=1 / 1024, timeout=timeout)
    assert world.ask() == DONE
