"""The checker of linearizability, and the point as a register: what they let pass and what they do not."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from vectron_p2p.testing.checks import linearizable as checker
from vectron_p2p.testing.checks.linearizable import Call, Undecided, linearizable
from vectron_p2p.testing.checks.registers import Content, History, Operation


def operation(kind: str, began: float, ended: float = math.inf, number: int = 0, **fields: object) -> Operation:
    outcome = fields.pop("outcome", "unknown" if ended == math.inf else "ok")
    return Operation(kind, began, number, ended=ended, outcome=str(outcome), **fields)  # type: ignore[arg-type]


def holds(*operations: Operation) -> bool:
    return History(1, list(operations)).holds()


def read(began: float, ended: float, content: Content | None) -> Operation:
    return operation("get", began, ended, result=content)


def test_a_read_sees_the_write_before_it() -> None:
    write = operation("upsert", 0, 1, 1)
    assert holds(write, read(2, 3, Content(1)))
    assert not holds(write, read(2, 3, None))
    assert holds(write, read(0.5, 0.6, None), read(0.7, 0.8, Content(1)))
    assert not holds(write, read(0.5, 0.6, Content(1)), read(0.7, 0.8, None))


def test_a_write_of_unknown_outcome_may_come_late_or_never() -> None:
    write = operation("upsert", 0, number=1)
    assert holds(write, read(50, 51, None), read(60, 61, Content(1)))
    assert holds(write, read(50, 51, None))
    assert not holds(write, read(50, 51, Content(1)), read(60, 61, None))


def test_what_was_refused_is_never_seen() -> None:
    write = operation("upsert", 0, 1, 1, outcome="refused")
    assert holds(write, read(2, 3, None))
    assert not holds(write, read(2, 3, Content(1)))


def test_a_deleted_point_does_not_come_back() -> None:
    history = [operation("upsert", 0, 1, 1), operation("delete", 2, 3, 2)]
    assert holds(*history, read(4, 5, None))
    assert not holds(*history, read(4, 5, Content(1)))


def test_of_two_conditional_writes_on_one_version_one_wins() -> None:
    write = operation("upsert", 0, 1, 1)
    first = operation("cas", 2, 4, 2, expected=Content(1))
    assert holds(write, first, operation("cas", 2, 4, 3, expected=Content(1), outcome="failed"))
    assert not holds(write, first, operation("cas", 2, 4, 3, expected=Content(1)))
    assert not holds(write, operation("cas", 2, 4, 3, expected=Content(1), outcome="failed"))


def test_modes() -> None:
    assert holds(operation("insert", 0, 1, 1), operation("insert", 2, 3, 2, outcome="failed"))
    assert not holds(operation("insert", 0, 1, 1), operation("insert", 2, 3, 2))
    assert not holds(operation("insert", 0, 1, 1, outcome="failed"))
    assert not holds(operation("update", 0, 1, 1))
    assert holds(operation("update", 0, 1, 1, outcome="failed"), read(2, 3, None))


def test_payload_changes_keep_the_rest_and_say_whether_they_did_anything() -> None:
    write = operation("upsert", 0, 1, 1)
    assert holds(write, operation("set-payload", 2, 3, 2, changed=1), read(4, 5, Content(1, 2)))
    assert not holds(write, operation("set-payload", 2, 3, 2, changed=1), read(4, 5, Content(1)))
    assert not holds(write, operation("set-payload", 2, 3, 2, changed=0))
    assert holds(operation("set-payload", 2, 3, 2, changed=0), read(4, 5, None))
    assert not holds(operation("set-payload", 2, 3, 2, changed=1))
    assert holds(write, operation("delete-payload", 2, 3, 2, changed=1), read(4, 5, Content(1, 0, False)))


def test_a_condition_may_fail_on_equal_content_only_where_that_had_several_versions() -> None:
    write, gone = operation("upsert", 0, 1, 1), Content(1, 0, False)
    once = [write, operation("delete-payload", 2, 3, 2, changed=1)]
    twice = [*once, operation("delete-payload", 4, 5, 3, changed=1)]
    refused = operation("cas", 6, 7, 4, expected=gone, outcome="failed")
    assert holds(*twice, refused)
    assert not holds(*once, refused)


def test_what_a_filter_deleted_may_be_deleted_once_more_while_it_lasts() -> None:
    history = [operation("upsert", 0, 1, 1), operation("upsert", 3, 4, 2), read(4.2, 4.4, None)]
    assert not holds(*history)
    assert holds(*history, operation("delete-filter", 2, 5, 3, changed=1))


def test_short_histories_are_judged_as_trying_every_order_judges_them() -> None:
    """Of a register with reads and writes, 400 histories of up to five calls."""
    rng = random.Random(1)
    verdicts = set()
    for _ in range(400):
        calls: list[tuple[Call[int], int, bool]] = []
        for number in range(1, rng.randint(2, 5) + 1):
            began = rng.uniform(0, 10)
            ended = began + rng.expovariate(0.3)
            looks = rng.random() < 0.5
            value = rng.randint(0, number) if looks else number
            step = (lambda state, value=value: (state,) if state == value else None) if looks else _set(value)
            calls.append((Call(began, ended, step, looks=looks), value, looks))
        expected = _by_trying([call for call, _, _ in calls])
        assert linearizable([call for call, _, _ in calls], 0) == expected
        verdicts.add(expected)
    assert verdicts == {True, False}


def _set(value: int) -> Callable[[int], tuple[int] | None]:
    return lambda state: (value,)


def _by_trying(calls: list[Call[int]]) -> bool:
    for order in itertools.permutations(calls):
        if any(later.ended < earlier.began for i, earlier in enumerate(order) for later in order[i + 1 :]):
            continue
        state: tuple[int] | None = (0,)
        for call in order:
            state = call.step(state[0]) if state is not None else None
        if state is not None:
            return True
    return False


def test_a_history_that_is_too_long_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "MAX_STATES", 50)
    with pytest.raises(Undecided):
        holds(*[operation("upsert", 0, number=number) for number in range(1, 12)], read(20, 21, Content(99)))


def test_what_was_read_cannot_have_been_refused() -> None:
    refused = operation("put", 0, 5, 1, outcome="refused")
    assert History(1, [refused, read(1, 2, None)]).denied() == []
    seen = History(1, [refused, read(1, 2, Content(1))])
    assert seen.denied() == [refused]
    assert not seen.holds()
