"""Local health (Lifeguard): how much this node distrusts itself.

A node that is slow sees others as slow. Failed probes, missed nacks, accusations against itself and a lagging event
loop raise the score, good probes lower it; the higher it is, the longer this node waits before it accuses anybody.
"""

from __future__ import annotations


class Awareness:
    """A score in 0..levels - 1; 0 is healthy."""

    __slots__ = ("_levels", "score")

    def __init__(self, levels: int) -> None:
        self._levels = levels
        self.score = 0

    def add(self, delta: int) -> None:
        self.score = min(max(self.score + delta, 0), self._levels - 1)

    def scale(self, interval: float) -> float:
        """`interval` as a node of this health should take it."""
        return interval * (self.score + 1)
