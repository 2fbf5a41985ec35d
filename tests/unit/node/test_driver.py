"""The driver: inputs in turn, effects in order, ticks when due."""

from __future__ import annotations

import math
from typing import Any

import trio

from vectron_p2p.node.driver import MAX_OFFERED, Driver
from vectron_p2p.runtime.real import TrioClock


class Echo:
    """A core that answers each input with effects, and ticks once at `due`."""

    def __init__(self, due: float = math.inf) -> None:
        self.due = due

    def hear(self, word: str) -> list[Any]:
        return [f"{word}-1", f"{word}-2"]

    def tick(self, now: float) -> list[Any]:
        self.due = math.inf
        return [("tick", now)]

    @property
    def next_deadline(self) -> float:
        return self.due


async def test_effects_of_one_call_are_performed_in_order_before_the_next_call(autojump_clock: object) -> None:
    core, done = Echo(), []

    async def perform(effect: Any) -> None:
        await trio.sleep(1)
        done.append(effect)

    driver = Driver(core, TrioClock(), perform)
    async with trio.open_nursery() as nursery:
        await nursery.start(driver.run)
        driver.post(lambda now: core.hear("a"))
        driver.post(lambda now: core.hear("b"))
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert done == ["a-1", "a-2", "b-1", "b-2"]


async def test_a_tick_comes_when_it_is_due_and_an_earlier_deadline_is_noticed(autojump_clock: object) -> None:
    core, done = Echo(due=trio.current_time() + 100), []

    async def perform(effect: Any) -> None:
        done.append(effect)

    driver = Driver(core, TrioClock(), perform)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(driver.run)
        await trio.sleep(1)

        def hurry(now: float) -> list[Any]:
            core.due = now + 5
            return []

        driver.post(hurry)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert done == [("tick", start + 6)]


async def test_what_the_network_offers_is_dropped_when_too_much_waits_and_what_the_node_posts_is_not() -> None:
    core = Echo()

    async def perform(effect: Any) -> None:
        raise AssertionError("the driver does not run")

    driver = Driver(core, TrioClock(), perform)
    offered = [driver.offer(lambda now: []) for _ in range(MAX_OFFERED + 5)]
    assert offered.count(False) == 5
    driver.post(lambda now: [])
    assert len(driver._inputs) == MAX_OFFERED + 1
