"""What malloc keeps of freed memory, given back to the system. For a process that is ours alone (a node).

glibc keeps what is freed in the heap of the thread that allocated it, for that thread: after an import of 100,000
points of 384 dimensions that was 60 MB in a dozen heaps, for good.
"""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.runtime.interfaces import Clock, Executor

PERIOD = 20.0  # seconds; what is in use all the time is faulted in again, 60 MB in 15 ms

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim = getattr(_libc, "malloc_trim", None)  # musl has none, and keeps little


def trim() -> None:
    """Give back all whole pages that are free; without the interpreter lock."""
    if _trim is not None:
        _trim(ctypes.c_size_t(0))


async def keep_trimmed(executor: Executor, clock: Clock) -> None:
    """`trim` now and then, until cancelled; behind the linking that fills the heaps."""
    while True:
        await clock.sleep(PERIOD)
        await executor.run("index", trim)
