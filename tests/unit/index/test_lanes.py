"""Threads of lanes: what they keep, and how far they stand back."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest
import trio

from vectron_p2p.runtime.real import Lane, open_executor, usable_cores


class Large:
    """Stands for megabytes."""


async def test_a_thread_without_work_keeps_nothing_of_its_last() -> None:
    with open_executor({"disk": Lane(1)}) as executor:
        large = Large()
        gone = weakref.ref(large)
        await executor.run("disk", id, large)
        del large
        deadline = time.monotonic() + 10
        while gone() is not None and time.monotonic() < deadline:
            time.sleep(0.001)  # the thread wakes this one before it lets go
            gc.collect()
        assert gone() is None


@pytest.mark.skipif(not hasattr(os, "setpriority"), reason="threads have no priority here")
async def test_a_lane_stands_behind_the_threads_of_its_process() -> None:
    with open_executor({"index": Lane(1, nice=3)}) as executor:
        mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        theirs = await executor.run("index", lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert theirs == min(19, mine + 3)


async def cores_of_each_thread(lane: Lane) -> list[set[int]]:
    """Where the threads of a lane may run, told by all of them at one time."""
    together = threading.Barrier(lane.threads)
    cores: list[set[int]] = []

    def tell() -> None:
        together.wait(10)
        cores.append(os.sched_getaffinity(0))  # of this thread

    with open_executor({"search": lane}) as executor:
        async with trio.open_nursery() as nursery:
            for _ in range(lane.threads):
                nursery.start_soon(executor.run, "search", tell)
    return cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be kept to a core here")
async def test_threads_that_stay_apart_share_no_core_and_leave_the_others_alone() -> None:
    usable = usable_cores()
    assert sorted(await cores_of_each_thread(Lane(len(usable), apart=True)), key=min) == [{core} for core in usable]
    assert os.sched_getaffinity(0) == set(usable), "this thread, and what it starts, may run anywhere"
    for lane in (Lane(len(usable) + 1, apart=True), Lane(len(usable))):
        assert await cores_of_each_thread(lane) == [set(usable)] * lane.threads
