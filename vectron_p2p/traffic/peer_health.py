"""What a node knows of one peer from its own calls: breaker, round trips, and whether an answer was late just now.

Membership says who is alive; this says who is worth asking first. It never makes a peer an unreachable one.
"""

from __future__ import annotations

import enum
import math

from vectron_p2p.traffic.breaker import Breaker
from vectron_p2p.traffic.round_trips import RoundTrip

SLOW_FOR = 3.0  # seconds that others are asked first after an answer was late: a paused process is back or suspected
# by then, and of a peer that is slow for long one call in three seconds pays for finding out


class Standing(enum.IntEnum):
    """In the order of preference."""

    GOOD = 0
    SLOW = 1
    OPEN = 2


class PeerHealth:
    """Of one peer."""

    __slots__ = ("_slow_until", "breaker", "late_answers", "refused", "round_trips")

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.round_trips: dict[str, RoundTrip] = {}
        """By kind of call."""
        self.late_answers = 0
        self.refused = 0
        """Calls that were not made because the breaker was open."""
        self._slow_until = -math.inf

    def standing(self, now: float) -> Standing:
        if not self.breaker.ready(now):
            return Standing.OPEN
        return Standing.SLOW if now < self._slow_until else Standing.GOOD

    def late(self, now: float) -> None:
        """An answer has not come in the time that the round trips promise."""
        self.late_answers += 1
        self._slow_until = now + SLOW_FOR

    def round_trip(self, kind: str) -> RoundTrip:
        found = self.round_trips.get(kind)
        if found is None:
            found = self.round_trips[kind] = RoundTrip()
        return found
