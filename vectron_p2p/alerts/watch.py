"""From what a node measures each second to what it claims: a condition counts once it has lasted, and a while longer.

Owns the clock of each condition, no thresholds. Invariant: what flickers around its threshold within `CLEAR_S` is
claimed without a break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vectron_p2p.alerts.episodes import Cause

CLEAR_S = 2.0  # two looks without it


@dataclass(frozen=True, slots=True)
class Sighting:
    """A condition that holds now, and how long it has to before it is claimed."""

    text: str
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A condition that has lasted: since when by the cluster's clock, and its newest words."""

    onset_ms: int
    text: str


@dataclass(slots=True)
class _Condition:
    since: float
    seen: float
    standing: Standing
    for_s: float


class Watch:
    """Of one node."""

    def __init__(self) -> None:
        self._conditions: dict[Cause, _Condition] = {}

    def look(self, sightings: Mapping[Cause, Sighting], now: float, wall_ms: int) -> dict[Cause, Standing]:
        """What is to be claimed, after a look that saw `sightings`."""
        for cause, sighting in sightings.items():
            known = self._conditions.get(cause)
            if known is None:
                self._conditions[cause] = _Condition(now, now, Standing(wall_ms, sighting.text), sighting.for_s)
            else:
                known.seen, known.for_s = now, sighting.for_s
                known.standing = Standing(known.standing.onset_ms, sighting.text)
        self._conditions = {
            cause: each for cause, each in self._conditions.items() if now - each.seen < CLEAR_S or cause in sightings
        }
        return {
            cause: each.standing for cause, each in self._conditions.items() if each.seen - each.since >= each.for_s
        }
