"""Time that jumps, timers that cost nothing, processes that freeze. (These lean on trio's private run queue.)"""

from __future__ import annotations

import gc

import pytest
import trio

from vectron_p2p.testing.clock import SimClock
from vectron_p2p.testing.determinism import run_deterministic
from vectron_p2p.testing.virtual_time import PROCESS, VirtualClock


def clock() -> VirtualClock:
    found = trio.lowlevel.current_clock()
    assert isinstance(found, VirtualClock)
    return found


def test_time_jumps_to_what_is_due_first() -> None:
    woken: list[tuple[float, str]] = []

    async def sleeper(name: str, seconds: float, sleep: object) -> None:
        await sleep(seconds)  # type: ignore[operator]
        woken.append((trio.current_time(), name))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper, "late", 3000.0, SimClock().sleep)
            nursery.start_soon(sleeper, "early", 1.0, SimClock().sleep)
            nursery.start_soon(sleeper, "trio", 2.0, trio.sleep)

    run_deterministic(1, main)
    assert woken == [(1.0, "early"), (2.0, "trio"), (3000.0, "late")]


def test_a_sleep_that_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> float:
        sim = SimClock()
        for _ in range(3):
            with trio.move_on_after(1.0):
                await sim.sleep(1000.0)
        await sim.sleep(0.0)
        await sim.sleep(1.0)
        return trio.current_time()

    assert run_deterministic(1, main) == 4.0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # trio leaves its tasks lying about then
def test_waiting_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await trio.Event().wait()

    with pytest.raises(trio.TrioInternalError):
        run_deterministic(1, main)
    gc.collect()


def test_a_frozen_process_finds_at_once_what_came_meanwhile() -> None:
    seen: list[tuple[float, str]] = []

    async def process(message: trio.Event) -> None:
        PROCESS.set("p")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hears, message)
            with trio.move_on_after(2.0):
                await trio.sleep_forever()
            seen.append((trio.current_time(), "deadline"))
            await SimClock().sleep(100.0)
            seen.append((trio.current_time(), "slept"))

    async def hears(message: trio.Event) -> None:
        await message.wait()
        seen.append((trio.current_time(), "message"))

    async def main() -> None:
        message = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process, message)
            await trio.sleep(1.0)
            clock().freeze("p")
            clock().freeze("p")
            await trio.sleep(4.0)
            message.set()
            await trio.sleep(5.0)
            assert seen == []
            clock().thaw("p")
            clock().thaw("p")
            await trio.sleep(0.5)
            assert sorted(seen) == [(10.0, "deadline"), (10.0, "message")]

    run_deterministic(1, main)
    assert seen[-1] == (110.0, "slept")


def test_what_is_ready_when_its_process_freezes_waits_too() -> None:
    seen: list[float] = []

    async def process(go: trio.Event) -> None:
        PROCESS.set("p")
        await go.wait()
        seen.append(trio.current_time())

    async def main() -> None:
        go = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process, go)
            await trio.sleep(1.0)
            go.set()
            clock().freeze("p")
            await trio.sleep(1.0)
            clock().thaw("p")

    run_deterministic(1, main)
    assert seen == [2.0]
