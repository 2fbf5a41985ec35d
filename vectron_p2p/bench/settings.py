"""How a run measures: windows, repeats, load."""

from __future__ import annotations

import os
from dataclasses import dataclass

GROUPS = (
    "ingest", "batch", "single", "payload", "cache", "filters", "engines", "memory", "mixed", "restart", "cluster",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    groups: tuple[str, ...] = GROUPS
    k: int = 10
    m: int = 16
    ef_construction: int = 100
    efs: tuple[int, ...] = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256)
    recall: float = 0.95
    """Speeds are measured at the lowest ef with which both sides reach it."""
    threads: int = min(os.cpu_count() or 1, 4)
    """Of raw hnswlib: as many as a node has for searches."""
    repeats: int = 3
    seconds: float = 3.0
    """Of a window, long beside the 100 ms in which a busy kernel moves threads between cores."""
    warm: int = 20
    """Queries on each connection before a window."""
    batch: int = 2000
    connections: tuple[int, ...] = (1, 8, 100)
    engine_clients: tuple[int, ...] = (1, 8)
    """Of other engines: threads of one process, as an engine in process has no other clients."""
    settle: float = 60.0
    """Seconds from the last link to the first window and the look at memory: snapshots, compactions and what the kernel
    writes back are over by then. Until then three nodes have 0.6 to 0.9 of the speed of one, as it happens.
    """
    mixed_seconds: float = 60.0
    mixed_searchers: int = 8
    mixed_rate: float = 1000.0
    mixed_batch: int = 100
    nodes: int = 3


QUICK_POINTS = 1000


def quick(groups: tuple[str, ...] = GROUPS) -> Settings:
    """Shows that everything works, in seconds; its figures mean nothing."""
    return Settings(
        groups=groups, efs=(16, 64), repeats=1, seconds=0.1, warm=1, batch=200, connections=(1, 4, 60), settle=0.0,
        engine_clients=(1, 4), mixed_seconds=0.5, nodes=2,
    )  # fmt: skip
