"""How many points a linking turn takes: searches wait for a turn, and large turns link faster.

Between two turns a thread plans alone and new threads start, and at the end of one a core waits for the other. At 384
dimensions and ef_construction 100 on two threads 16 points take 5 ms, 48 take 13 ms, 120 take 30 ms; a search that
comes meanwhile waits that long. So turns grow while nobody searches, and the first search makes them small again.
Turns of 240 were at best 3 % faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.index.layer import IndexOptions

BUSY_TURN, IDLE_TURN = 16, 40  # points; after a turn in which somebody searched, and after one in which nobody did
CALM_TURN = 120  # when nobody has searched for some turns: what the first one waits for, a fifth of what it may
GROWTH = 10  # points more after each turn without a search: the largest after about 0.2 s
LONG_TAIL = 1_000  # slots that wait: beyond, every search pays more for scanning them than for waiting

# (dimension + what a hop costs besides distances) * ef_construction that those were measured at
COST = (384 + 384) * 100


class Turns:
    """The turns of one shard."""

    def __init__(self, options: IndexOptions) -> None:
        scale = COST / ((options.dimension + 384) * max(options.ef_construction, options.m))
        self._scale = min(2.0, scale)
        self._seen = 0
        self._calm = 0

    def next(self, searches: int, tail: int) -> int:
        """Points of the next turn: `searches` have ever come, `tail` slots wait."""
        idle = searches == self._seen
        self._seen = searches
        self._calm = self._calm + 1 if idle else 0
        if not idle and tail <= LONG_TAIL:
            return self._scaled(BUSY_TURN)
        return self._scaled(min(CALM_TURN, IDLE_TURN + GROWTH * max(0, self._calm - 1)))

    @property
    def aside(self) -> int:
        """Points of a turn that no search waits for."""
        return self._scaled(IDLE_TURN)

    def _scaled(self, points: int) -> int:
        return max(1, round(points * self._scale))
