"""The threads of numpy's OpenBLAS: how many there are, and setting them to one.

OpenBLAS shuts its thread pool down before a fork; a product that another thread computes on the pool at that moment
never ends (measured: a search hung in two of four runs of saves beside scans). With one thread there is no pool to wait
for, and products of many searches do not fight for the cores either.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

MAPS = Path("/proc/self/maps")
_NAMES = [
    (prefix + "openblas_{}_num_threads" + suffix)
    for prefix in ("scipy_", "")  # numpy's wheels; distributions
    for suffix in ("64_", "_64", "")
]


def _libraries() -> list[ctypes.CDLL]:
    """Every OpenBLAS loaded into this process."""
    try:
        lines = MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []  # no Linux: nothing is known, so `threads` says so
    paths = {line.split(maxsplit=5)[5] for line in lines if "openblas" in line.rpartition("/")[2]}
    return [ctypes.CDLL(path) for path in sorted(paths)]


def threads() -> int | None:
    """Threads that a product may use in this process; None where it cannot be told."""
    counts = [
        int(getattr(library, name)())
        for library in _libraries()
        for name in (pattern.format("get") for pattern in _NAMES)
        if hasattr(library, name)
    ]
    return max(counts, default=None)


def use_one_thread() -> None:
    """From here on products run on the thread that asks for them. For a process that is ours alone (a node), not for a
    program that embeds one.
    """
    for library in _libraries():
        for name in (pattern.format("set") for pattern in _NAMES):
            if hasattr(library, name):
                getattr(library, name)(1)
