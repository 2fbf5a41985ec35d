"""Whether the other side of a connection still lives, while something is awaited of it.

A stopped process and a cut cable keep their connections: only silence tells. A node that is merely slow answers a ping
at once, so a ping without any byte in return is the sign. One `Silence` stands for one span of waiting, from the first
request of it to the last answer. Must not know what is awaited, nor what follows from the verdict.

Invariant: nobody is given up in a pause of our own: who looks much later than agreed asks again first.
"""

from __future__ import annotations

import enum

PING_AFTER_S = 0.5  # most answers are there by then; a ping costs 14 bytes each way
SLOWEST_BYTES_PER_S = 1_000_000  # a ping waits behind what was sent before it: 8 Mbit/s is the slowest link we wait for
OWN_PAUSE_S = 0.25  # later than agreed by this much, it was us who slept; a loop that does its work is never as late


class Verdict(enum.Enum):
    WAIT = "wait"
    PING = "ping"
    """Send a ping now, and look again at the deadline."""
    LOST = "lost"


class Silence:
    """Begins with a request sent at `now`."""

    __slots__ = ("_pinged", "_since", "_unheard")

    def __init__(self, now: float) -> None:
        self._since = now
        self._pinged: float | None = None
        self._unheard = 0

    def sent(self, size: int) -> None:
        """Bytes were queued for the other side."""
        self._unheard += size

    def heard(self, now: float) -> None:
        """Bytes came from the other side."""
        self._since = now
        self._pinged = None
        self._unheard = 0

    def deadline(self, patience: float) -> float:
        """When to look; `patience`: seconds that the answer to a ping may take, besides the way of what was sent."""
        if self._pinged is None:
            return self._since + PING_AFTER_S
        return self._pinged + patience + self._unheard / SLOWEST_BYTES_PER_S

    def look(self, now: float, patience: float) -> Verdict:
        """What to do now."""
        late = now - self.deadline(patience)
        if late < 0:
            return Verdict.WAIT
        if self._pinged is None or late > OWN_PAUSE_S:
            self._pinged = now
            return Verdict.PING
        return Verdict.LOST
