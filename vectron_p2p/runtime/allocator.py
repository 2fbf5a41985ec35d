"""How much malloc keeps of freed memory. For a process that is ours alone (a node).

glibc gives nearly every thread a heap of its own, and keeps there what is freed, for good: after an import of 30,000
points of 384 dimensions a dozen heaps kept 60 MB. So there are few heaps, and what is free in them is given back to the
system now and then.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.runtime.interfaces import Clock, Executor

M_ARENA_MAX = -8  # of <malloc.h>
MOST_HEAPS = 4  # as many threads as ever compute at once; more would only wait for a core
PERIOD = 10.0  # seconds; what is in use all the time is faulted in again, 60 MB in 15 ms

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim = getattr(_libc, "malloc_trim", None)  # musl has neither, and keeps little
_mallopt = getattr(_libc, "mallopt", None)


def use_few_heaps() -> None:
    """As many as threads can run at once. Before the first thread: one that has a heap keeps it."""
    if _mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:  # else it was decided by who runs the node
        _mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(min(os.cpu_count() or 1, MOST_HEAPS)))


def trim() -> None:
    """Give back all whole pages that are free; without the interpreter lock."""
    if _trim is not None:
        _trim(ctypes.c_size_t(0))


async def keep_trimmed(executor: Executor, clock: Clock) -> None:
    """`trim` now and then, until cancelled; behind the linking that fills the heaps."""
    while True:
        await clock.sleep(PERIOD)
        await executor.run("index", trim)
