"""How many points a linking turn takes: searches wait for a turn, and large turns link faster.

Between two turns a thread plans alone, and new threads start: until the scheduler has found each a core of its own,
which takes milliseconds where others compute too, they share one. So turns grow while nobody searches, and one in which
somebody comes ends early. At 384 dimensions and ef_construction 100 on two threads 40 points take 13 ms; a search that
comes meanwhile waits for no more than these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.index.layer import IndexOptions

# Points, where somebody searches. Beside 1,000 writes a second eight searchers get 0.63 of what they get from a quiet
# node, and 0.57 with turns of 16 points.
TURN = 40
CALM_TURN = 960  # when nobody has searched for some turns: 0.2 s, so that new threads and the planning between cost 1 %
GROWTH = 2  # times as many after each turn without a search: what a turn cut short has planned in vain stays small

# (dimension + what a hop costs besides distances) * ef_construction that those were measured at
COST = (384 + 384) * 100


class Turns:
    """The turns of one shard."""

    def __init__(self, options: IndexOptions) -> None:
        self._beam = max(options.ef_construction, options.m)
        self.dimensions = options.dimension
        """Of what the graph compares."""
        self._seen = 0
        self._calm_turn = TURN

    def next(self, searches: int) -> int:
        """Points of the next turn: `searches` have ever come."""
        if searches != self._seen:
            self._seen = searches
            self._calm_turn = TURN
            return self.aside
        turn = self._calm_turn
        self._calm_turn = min(CALM_TURN, GROWTH * turn)
        return self._scaled(turn)

    @property
    def aside(self) -> int:
        """Points of a turn that no search waits for, and those of a longer one that a search may have to wait for."""
        return self._scaled(TURN)

    def _scaled(self, points: int) -> int:
        return max(1, round(points * min(2.0, COST / ((self.dimensions + 384) * self._beam))))
