"""What a simulated process takes of its simulated machine: as much as the test says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SimUsage:
    """`Usage`; the real one would make a run depend on the machine that it runs on."""

    cpu: float = 0.0
    rss: int = 64 << 20
    memory: float = 10.0
    """Percent of the machine's."""

    def cpu_seconds(self) -> float:
        return self.cpu

    def rss_bytes(self) -> int:
        return self.rss

    def memory_percent(self) -> float:
        return self.memory
