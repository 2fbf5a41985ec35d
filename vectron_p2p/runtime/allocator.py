"""Pages of memory: how large they are, and how many malloc keeps when they are free. For a process that is ours alone.

A search of a graph reads from all over it, and with pages of 4 KiB most of its steps look up an address that the
processor has forgotten. Linux makes pages of 2 MiB of them when told so, of what is there (MADV_COLLAPSE, since 6.1),
whatever its settings for programs that say nothing: search threads then take 0.9 of the time (50,000 points of 384
dimensions). It is done now and then, as a graph that grows moves, and its pages are small again.

glibc gives nearly every thread a heap of its own, and keeps there what is freed, for good: after an import of 30,000
points of 384 dimensions a dozen heaps kept 60 MB. So there are few heaps, what is large is kept out of them (it leaves
holes that nothing fits, and comes from a graph that was built anew), and what is free in them is given back to the
system now and then.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.runtime.interfaces import Clock, Executor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of <malloc.h>
MOST_HEAPS = 4  # as many threads as ever compute at once; more would only wait for a core
# Beyond that an allocation is a mapping of its own, which goes back whole: a graph of 4,000 points of sentences, but no
# frame of an import, as fresh pages cost 0.25 ms per MB. glibc's own bound follows what is freed, up to 32 MB.
LARGE_BLOCK = 4 * 1024 * 1024
KEPT_FREE = 64 * 1024 * 1024  # at the end of a heap, until `trim`: what glibc comes to by itself as well
PERIOD = 10.0  # seconds; what is in use all the time is faulted in again, 60 MB in 15 ms

MADV_COLLAPSE = 25  # of <linux/mman.h>
HUGE = 2 * 1024 * 1024
LARGE = 16 * 1024 * 1024  # mappings worth it: of half as much a processor remembers all addresses; stacks have 8 MB
HEAP = 64 * 1024 * 1024  # address space of one heap of glibc's, aligned to as much; what it does not use yet is `---p`
_MAPPING = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *$", re.MULTILINE)  # of no file, and not the heap

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_trim = getattr(_libc, "malloc_trim", None)  # musl has neither, and keeps little
_madvise = getattr(_libc, "madvise", None)
_mallopt = getattr(_libc, "mallopt", None)


def use_few_heaps() -> None:
    """As many as threads can run at once, nothing large in them. Before the first thread: one keeps the heap it has."""
    if _mallopt is None:
        return
    wanted = {  # unless who runs the node has decided
        "MALLOC_ARENA_MAX": (M_ARENA_MAX, min(os.cpu_count() or 1, MOST_HEAPS)),
        "MALLOC_MMAP_THRESHOLD_": (M_MMAP_THRESHOLD, LARGE_BLOCK),
        "MALLOC_TRIM_THRESHOLD_": (M_TRIM_THRESHOLD, KEPT_FREE),
    }
    for variable, (option, value) in wanted.items():
        if variable not in os.environ:
            _mallopt(ctypes.c_int(option), ctypes.c_int(value))


def trim() -> None:
    """Give back all whole pages that are free; without the interpreter lock."""
    if _trim is not None:
        _trim(ctypes.c_size_t(0))


def use_huge_pages() -> None:
    """For large mappings; without the interpreter lock. What cannot be, as there is no such memory now or the kernel is
    older, is left as it is.
    """
    if _madvise is None:
        return
    for match in _MAPPING.finditer(Path("/proc/self/maps").read_bytes()):
        start, end = (int(address, 16) for address in match.groups())
        start, end = -(-start // HUGE) * HUGE, end // HUGE * HUGE
        if end - start >= LARGE and not _is_heap(match):
            _madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(MADV_COLLAPSE))


def _is_heap(mapping: re.Match[bytes]) -> bool:
    """Whether it is what one of malloc's heaps uses: huge pages would fill the holes again that `trim` has made."""
    start = int(mapping[1], 16)
    rest = b"\n%x-%x ---p " % (int(mapping[2], 16), start + HEAP)
    return start % HEAP == 0 and mapping.string.startswith(rest, mapping.end())


async def keep_tidy(executor: Executor, clock: Clock, *, calm: Callable[[], bool]) -> None:
    """`trim` now and then, until cancelled; behind the linking that fills the heaps. `use_huge_pages` when nothing is
    linked (`calm`): it takes up to half a second, and a graph that grows moves again.
    """
    while True:
        await clock.sleep(PERIOD)
        await executor.run("index", trim)
        if calm():
            await executor.run("index", use_huge_pages)
