"""What a query costs in CPU time, and where: figures that hardly change when others use the machine too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from vectron_p2p.bench.load import Generators
    from vectron_p2p.bench.stage import Stage


class _Spent(NamedTuple):
    """Seconds since the processes began, and single queries that the nodes answered."""

    loop: float
    threads: float
    clients: float
    queries: int


class Cost:
    """Of all single queries since it was made; of one node."""

    def __init__(self, stage: Stage, generators: Generators) -> None:
        self._stage = stage
        self._generators = generators
        self._before = self._spent()

    def per_query(self) -> dict[str, float]:
        """Microseconds of the node's event loop, of its search and other threads, and of the clients."""
        loop, threads, clients, queries = (now - then for now, then in zip(self._spent(), self._before, strict=True))
        each = 1e6 / max(1, queries)
        return {"loop_us": loop * each, "threads_us": threads * each, "clients_us": clients * each}

    def _spent(self) -> _Spent:
        pid = self._stage.cluster[0].pid
        loop = threads = 0.0
        for thread in psutil.Process(pid).threads():
            spent = thread.user_time + thread.system_time
            if thread.id == pid:  # a process's first thread
                loop += spent
            else:
                threads += spent
        times = [psutil.Process(each).cpu_times() for each in self._generators.pids]
        clients = sum(each.user + each.system for each in times)
        return _Spent(loop, threads, clients, self._stage.cached()[1])
