"""Keys go before figures, but not for ever."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.tui.helpers import FakeClock
from tui.precedence import ANSWER_S, PATIENCE, Precedence
from vectron_p2p.client.steps import Sleep
from vectron_p2p.model.errors import Unavailable

pytestmark = pytest.mark.anyio


def _flow(steps: int) -> Generator[Any, Any, int]:
    total = 0
    for number in range(steps):
        try:
            total += yield float(number)
        except Unavailable:
            total += 100
    return total


def _driven(flow: Generator[Any, Any, int], key: object = None) -> tuple[list[object], int]:
    """The steps of `flow`, each answered with 1, and its result; `key()` before each."""
    seen: list[object] = []
    try:
        step = next(flow)
        while True:
            seen.append(step)
            if callable(key):
                key()
            step = flow.send(None if isinstance(step, Sleep) else 1)
    except StopIteration as done:
        return seen, done.value


async def test_without_keys_a_flow_goes_its_way():
    assert _driven(Precedence(FakeClock()).behind(_flow(3))) == ([0.0, 1.0, 2.0], 3)


async def test_a_step_waits_until_a_key_is_answered():
    clock = FakeClock()
    precedence = Precedence(clock)
    flow: Generator[Any, Any, int] = precedence.behind(_flow(2))
    assert next(flow) == 0.0
    precedence.key()
    assert isinstance(flow.send(1), Sleep)
    assert isinstance(next(flow), Sleep)
    clock.now += ANSWER_S
    assert next(flow) == 1.0
    with pytest.raises(StopIteration) as done:
        flow.send(1)
    assert done.value.value == 2


async def test_a_key_that_is_held_down_does_not_keep_an_event_away():
    precedence = Precedence(FakeClock())
    precedence.key()
    seen, result = _driven(precedence.behind(_flow(3)), key=precedence.key)
    assert [each for each in seen if not isinstance(each, Sleep)] == [0.0, 1.0, 2.0]
    assert len(seen) == 3 + PATIENCE
    assert result == 3
    await precedence.turn()  # ends too


async def test_what_becomes_of_a_step_is_for_the_flow_to_say():
    flow: Generator[Any, Any, int] = Precedence(FakeClock()).behind(_flow(2))
    next(flow)
    assert flow.throw(Unavailable("gone")) == 1.0
    with pytest.raises(StopIteration) as done:
        flow.send(1)
    assert done.value.value == 101
