"""How long a suspect may refute (Lifeguard), and how many suspicions a node may start.

The wait begins at its longest and shrinks with each further independent accuser, on a logarithmic scale: the first
confirmations say most. A lone accuser thus waits long, since the fault may be its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.membership.config import SwimConfig
    from vectron_p2p.model.ids import NodeId


def minimum_wait(config: SwimConfig, nodes: int) -> float:
    """Seconds that any suspect has, in a cluster of `nodes` members not dead."""
    return config.suspicion_mult * max(1.0, math.log10(max(1, nodes))) * config.probe_interval


def confirmations_wanted(config: SwimConfig, nodes: int) -> int:
    """Further accusers that shorten the wait to its minimum; 0 where there cannot be that many."""
    wanted = config.suspicion_mult - 2
    return wanted if nodes - 2 >= wanted else 0  # neither the suspect nor the first accuser confirms


class Suspicion:
    """One running suspicion."""

    __slots__ = ("_accusers", "_maximum", "_minimum", "_started", "_wanted")

    def __init__(self, config: SwimConfig, nodes: int, accuser: NodeId, now: float) -> None:
        self._started = now
        self._wanted = confirmations_wanted(config, nodes)
        self._minimum = minimum_wait(config, nodes)
        self._maximum = self._minimum * (config.suspicion_max_mult if self._wanted else 1)
        self._accusers = {accuser}

    def confirm(self, accuser: NodeId) -> bool:
        """Take in an accuser; whether it was a new one that counts (and is worth telling others)."""
        if accuser in self._accusers or len(self._accusers) > self._wanted:
            return False
        self._accusers.add(accuser)
        return True

    def confirm_all(self) -> None:
        """The evidence needs no further accuser."""
        self._wanted = 0

    @property
    def wait(self) -> float:
        if not self._wanted:
            return self._minimum
        part = math.log(len(self._accusers)) / math.log(self._wanted + 1)
        return max(self._minimum, self._maximum - (self._maximum - self._minimum) * part)

    @property
    def deadline(self) -> float:
        return self._started + self.wait


class SuspicionBudget:
    """A token bucket for the suspicions that a node starts by itself."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = now

    def take(self, now: float) -> bool:
        self._tokens = min(max(self._rate, 1.0), self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
