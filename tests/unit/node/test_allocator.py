"""Freed memory goes back to the system, also where something in use lies above it."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
import trio

from tests.unit.index.doubles import InlineExecutor, TrioClock
from vectron_p2p.runtime import allocator

BLOCK, BLOCKS = 32_000, 2_000  # 64 MB in blocks that malloc takes from a heap


@pytest.mark.skipif(sys.platform != "linux" or allocator._trim is None, reason="malloc of this system has no trim")
def test_what_was_freed_is_given_back() -> None:
    process = psutil.Process()
    held = [bytearray(b"x" * BLOCK) for _ in range(BLOCKS)]
    last = bytearray(b"x" * BLOCK)
    before = process.memory_info().rss
    held.clear()
    allocator.trim()
    assert process.memory_info().rss < before - BLOCK * BLOCKS // 2
    assert len(last) == BLOCK


async def test_it_happens_again_and_again_on_the_thread_that_links(autojump_clock: object) -> None:
    asked: list[tuple[str, object]] = []

    class Recording(InlineExecutor):
        async def run(self, lane, fn, *args):
            asked.append((lane, fn))
            return await super().run(lane, fn, *args)

    calm = iter([True, False, True])
    with trio.move_on_after(3.5 * allocator.PERIOD):
        await allocator.keep_tidy(Recording(), TrioClock(), calm=lambda: next(calm))
    trimmed, enlarged = ("index", allocator.trim), ("index", allocator.use_huge_pages)
    assert asked == [trimmed, enlarged, trimmed, trimmed, enlarged]


HUGE_PAGES = """
import mmap, re
from vectron_p2p.runtime import allocator
with mmap.mmap(-1, 2 * allocator.LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
    for at in range(0, len(block), 4096):
        block[at] = at % 251
    def huge():
        return int(re.search(r"AnonHugePages: *([0-9]+)", open("/proc/self/smaps_rollup").read())[1]) * 1024
    before = huge()
    allocator.use_huge_pages()
    gained = huge() - before
    assert all(block[at] == at % 251 for at in range(0, len(block), 4096))
    print("huge" if gained >= len(block) - 2 * allocator.HUGE else "small" if not gained else gained)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_large_mappings_get_huge_pages_and_keep_what_is_in_them() -> None:
    done = subprocess.run([sys.executable, "-c", HUGE_PAGES], capture_output=True, text=True, check=True, timeout=60)
    if done.stdout == "small\n":
        pytest.skip("this kernel makes no huge pages on demand, or has none now")
    assert done.stdout == "huge\n", done.stderr


FREED_BY_THREADS = """
import ctypes, re, sys, threading
from vectron_p2p.runtime import allocator
if sys.argv[1] == "few":
    allocator.use_few_heaps()
libc = ctypes.CDLL(None)
held, together = [], threading.Barrier(16)
def work():
    together.wait()
    held.append(bytearray(30_000))
    together.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
for each in threads: each.start()
for each in threads: each.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(sys.platform != "linux" or allocator._mallopt is None, reason="malloc of this system has one heap")
def test_threads_share_few_heaps() -> None:
    heaps = {}
    for how in ("few", "many"):
        program = [sys.executable, "-c", FREED_BY_THREADS, how]
        environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment, timeout=60)
        heaps[how] = done.stderr.count("Arena ")
    assert heaps["few"] <= allocator.MOST_HEAPS < heaps["many"]


LARGE_BLOCKS = """
import ctypes, sys
from vectron_p2p.runtime import allocator
if sys.argv[1] == "apart":
    allocator.use_few_heaps()
class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
graph = bytearray(30_000_000)
del graph  # glibc takes blocks as large as this one from its heaps now
before = libc.mallinfo2().hblkhd
anew = bytearray(2 * allocator.LARGE_BLOCK)
print(libc.mallinfo2().hblkhd - before >= len(anew))
"""


@pytest.mark.skipif(sys.platform != "linux" or allocator._mallopt is None, reason="malloc of this system has one heap")
def test_large_blocks_leave_no_holes_in_heaps() -> None:
    apart = {}
    for how in ("apart", "glibc"):
        program = [sys.executable, "-c", LARGE_BLOCKS, how]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment, timeout=60)
        apart[how] = done.stdout.strip()
    assert apart == {"apart": "True", "glibc": "False"}


HOLES = """
import re, threading
from pathlib import Path
from vectron_p2p.runtime import allocator
def anonymous():
    return int(re.search(r"Anonymous: *([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) * 1024
held = []
def fill():
    held.extend(bytearray(b"x" * 30_000) for _ in range(3_200))  # 96 MB: more than one heap of a thread
    del held[::2]
thread = threading.Thread(target=fill)
thread.start()
thread.join()
del held[100:]  # holes, with something in use at the end
held.append(bytearray(30_000))
allocator.trim()
heaps = [each for each in allocator._MAPPING.finditer(Path("/proc/self/maps").read_bytes()) if allocator._is_heap(each)]
sizes = [int(each[2], 16) - int(each[1], 16) for each in heaps]
before = anonymous()
allocator.use_huge_pages()
print(max(sizes, default=0) >= allocator.LARGE, anonymous() - before < 2 * allocator.HUGE)
"""


@pytest.mark.skipif(sys.platform != "linux" or allocator._mallopt is None, reason="malloc of this system has one heap")
def test_huge_pages_do_not_fill_the_holes_of_heaps() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    program = [sys.executable, "-c", HOLES]
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert done.stdout == "True True\n"
