"""Threads of lanes: what they keep, and how far they stand back."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

from vectron_p2p.runtime.real import Lane, open_executor


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
