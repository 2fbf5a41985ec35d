"""Bytes per second, and copies that yield."""

from __future__ import annotations

import trio

from vectron_p2p.node.services.budget import LONGEST, REST, YieldingBudget
from vectron_p2p.runtime.real import TrioClock


async def _room() -> None:
    pass


async def test_a_stream_rests_for_a_multiple_of_what_its_last_portion_took(autojump_clock: object) -> None:
    budget = YieldingBudget(TrioClock(), 1e9, _room)
    began = trio.current_time()
    for portion in (0.2, 0.05, 0.4):  # the nodes at its ends are more or less busy
        await trio.sleep(portion)
        await budget.spend(1000)
    assert abs(trio.current_time() - began - (1 + REST) * 0.65) < 0.01
    await trio.sleep(60.0)  # a peer that stalled
    before = trio.current_time()
    await budget.spend(1000)
    assert abs(trio.current_time() - before - REST * LONGEST) < 0.01


async def test_a_stream_keeps_to_its_rate_and_waits_for_room(autojump_clock: object) -> None:
    room = trio.Event()
    budget = YieldingBudget(TrioClock(), 1000, room.wait)
    spent = [0]

    async def copy() -> None:
        for _ in range(5):
            await budget.spend(1000)
            spent[0] += 1

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(copy)
        await trio.sleep(30.0)
        assert spent[0] == 0
        room.set()
    assert spent[0] == 5
    assert trio.current_time() - began >= 33.0  # a second's worth is free
