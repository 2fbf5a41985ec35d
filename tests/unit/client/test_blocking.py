"""The blocking shell and flows that go together: what is sent when and what is given up, on a scripted transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vectron_p2p.client import blocking
from vectron_p2p.client.blocking import Exchange
from vectron_p2p.client.steps import UNDONE, Call, Flow, LinkLost, Sleep, Together
from vectron_p2p.model.errors import NotFound, Unavailable
from vectron_p2p.model.ids import Address

HERE = Address("127.0.0.1", 1)


class Wire:
    """A transport that notes what happens to each message; `answer` gives replies or raises."""

    def __init__(self, answer: Callable[[Any], Any] = lambda message: -message) -> None:
        self.answer = answer
        self.log: list[str] = []

    def exchange(self, step: Call) -> Exchange:
        self.log.append(f"sent {step.message}")
        try:
            yield
            reply = self.answer(step.message)
        except GeneratorExit:
            self.log.append(f"given up {step.message}")
            raise
        self.log.append(f"answered {step.message}")
        return reply

    def close(self) -> None:
        pass


def ask(message: int, attempts: int = 1) -> Flow[int]:
    for _ in range(attempts - 1):
        try:
            return (yield Call(HERE, message, 1.0, 1.0))
        except LinkLost:
            continue
    return (yield Call(HERE, message, 1.0, 1.0))


def together(wire: Wire, *flows: Flow[Any], width: int = 2) -> list[Any]:
    def flow() -> Flow[list[Any]]:
        return (yield Together(flows, width))

    return blocking.run(wire, flow())


def raising(errors: dict[int, BaseException]) -> Callable[[Any], Any]:
    def answer(message: int) -> int:
        if message in errors:
            raise errors.pop(message)
        return -message

    return answer


def test_the_next_request_is_sent_before_the_answer_to_the_oldest_is_waited_for() -> None:
    wire = Wire()
    assert together(wire, *map(ask, range(1, 5))) == [-1, -2, -3, -4]
    assert wire.log == [
        "sent 1", "sent 2", "answered 1", "sent 3", "answered 2", "sent 4", "answered 3", "answered 4",
    ]  # fmt: skip


def test_no_more_are_under_way_than_wanted() -> None:
    for width in (1, 3, 9):
        wire = Wire()
        assert together(wire, *map(ask, range(1, 7)), width=width) == [-1, -2, -3, -4, -5, -6]
        under_way = [0]
        for line in wire.log:
            under_way.append(under_way[-1] + (1 if line.startswith("sent") else -1))
        assert max(under_way) == min(width, 6)


def test_nothing_to_do_together() -> None:
    assert together(Wire()) == []


def test_the_failure_of_the_first_gives_up_the_second_and_begins_no_third() -> None:
    error = NotFound("gone")
    wire = Wire(raising({1: error}))
    assert together(wire, ask(1), ask(2), ask(3)) == [error, UNDONE, UNDONE]
    assert wire.log == ["sent 1", "sent 2", "given up 2"]


def test_the_failure_of_the_second_comes_after_the_answer_to_the_first() -> None:
    error = NotFound("gone")
    wire = Wire(raising({2: error}))
    assert together(wire, ask(1), ask(2), ask(3), ask(4)) == [-1, error, UNDONE, UNDONE]
    assert wire.log == ["sent 1", "sent 2", "answered 1", "sent 3", "given up 3"]


def test_one_that_cannot_be_sent_lets_those_before_it_end() -> None:
    def unsendable() -> Flow[int]:
        raise Unavailable("nobody there")
        yield Sleep(1.0)

    wire = Wire()
    found = together(wire, ask(1), unsendable(), ask(3))
    assert (found[0], type(found[1]), found[2]) == (-1, Unavailable, UNDONE)
    assert wire.log == ["sent 1", "answered 1"]


def test_a_lost_connection_is_tried_again_while_the_other_request_stays_under_way() -> None:
    wire = Wire(raising({1: LinkLost("broke", sent=True)}))
    assert together(wire, ask(1, attempts=2), ask(2), ask(3)) == [-1, -2, -3]
    assert wire.log == ["sent 1", "sent 2", "sent 1", "answered 1", "sent 3", "answered 2", "answered 3"]


def test_flows_that_ask_nobody_have_their_results_in_their_places() -> None:
    def known() -> Flow[str]:
        return "known"
        yield Sleep(1.0)

    assert together(Wire(), known(), ask(2), known()) == ["known", -2, "known"]


def test_a_defect_is_an_outcome_too() -> None:
    wire = Wire(raising({1: ZeroDivisionError()}))
    assert isinstance(together(wire, ask(1), ask(2))[0], ZeroDivisionError)
    assert wire.log[-1] == "given up 2"


def test_an_interrupt_gives_up_all_that_is_under_way() -> None:
    wire = Wire(raising({1: KeyboardInterrupt()}))
    with pytest.raises(KeyboardInterrupt):
        together(wire, ask(1), ask(2), ask(3))
    assert wire.log == ["sent 1", "sent 2", "given up 2"]
