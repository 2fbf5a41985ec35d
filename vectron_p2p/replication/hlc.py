"""The hybrid clock: stamps that follow wall time, never go back, and that other replicas accept.

A stamp is wall milliseconds << 16 | counter. Invariants:

- Stamps of one clock strictly rise, over restarts too: none is given out above the mark, and the mark is on disk first.
- Own wall time counts only within `MAX_SKEW_MS` of a majority of the clocks known: one bad clock stamps like the rest.
- A clock that has heard no other since its start goes on from its mark at the most: the machine's may have been set
  wrong since, and what it stamped ahead would win over all that is written before its time comes.
- Stamps from elsewhere move the clock only if they lie less than that ahead of this time.
- The mark is little enough ahead that a restarted clock, which begins at it, is still accepted everywhere.

Sans-IO: the caller passes the wall time, measures peers' offsets and persists the mark.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import ClockSkew

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId

COUNTER_BITS = 16  # 65,536 stamps a millisecond, more than any node makes; an overflow carries into the milliseconds
MAX_SKEW_MS = 500  # the usual bound of databases with such clocks; NTP keeps hosts within tens of milliseconds
RESERVE_MS = 400  # how far ahead the mark and stamps taken over may be: a restart at the mark is still accepted
STEP_MS = 50  # least room between the clock and a new mark; RESERVE_MS + STEP_MS < MAX_SKEW_MS
RENEW_MS = 200  # asks for the next mark while so much is left, longer than a usual fsync, so that nobody waits for one
STEP_MS = 50  # slewing moves a clock by less between two looks, and is followed by the next offsets
OFFSET_AGE_S = 60.0  # an offset not confirmed for longer says nothing about that clock


def stamp_of(ms: int) -> int:
    """The lowest stamp of a wall time."""
    return ms << COUNTER_BITS


def ms_of(stamp: int) -> int:
    """The wall time in a stamp."""
    return stamp >> COUNTER_BITS


def admit(stamp: int, wall_ms: int, held: int = 0) -> bool:
    """Whether a replica accepts `stamp` for a row that it holds at stamp `held` (0: none).

    A row that got its stamp from a bad clock thus still takes newer ones, and no other row is touched by it.
    """
    return stamp <= max(stamp_of(wall_ms), held) + stamp_of(MAX_SKEW_MS)


class MarkNeeded(ClockSkew):
    """The mark must be persisted before a stamp can be given; see `HybridClock.needs_mark`."""


class HybridClock:
    """One node's clock. `mark` is the last persisted one, 0 on a new disk."""

    def __init__(self, mark: int = 0) -> None:
        self._last = mark
        self._mark = mark
        self._offsets: dict[NodeId, tuple[int, float]] = {}
        self._base: float | None = None
        self._now = 0.0
        self._started: float | None = None
        self.resumed = ms_of(mark)
        """Where the clock went on at its start; 0: nowhere, it is new."""
        self._clocks = 1

    @property
    def last(self) -> int:
        """The highest stamp given out or taken over."""
        return self._last

    @property
    def mark(self) -> int:
        """The last persisted one: no stamp was given out above it."""
        return self._mark

    def notice(self, wall_ms: int, now: float) -> None:
        """Call before any other method: a step of this machine's wall clock shows against the monotonic `now`.

        The offsets measured before it are then off by as much, and are put right; otherwise the clock would follow the
        step until the peers are heard again, and a stamp of that moment would win over later writes.
        """
        self._now = now
        if self._started is None:
            self._started = now
        base = wall_ms - now * 1000.0
        step = 0.0 if self._base is None else base - self._base
        self._base = base
        if abs(step) >= STEP_MS:
            self._offsets = {node: (offset - round(step), at) for node, (offset, at) in self._offsets.items()}

    def expect(self, clocks: int) -> None:
        """So many nodes are in the cluster, this one included."""
        self._clocks = clocks

    @property
    def alone(self) -> bool:
        """Whether there are other clocks, and none of them was heard yet."""
        return self._clocks > 1 and not self._offsets

    def set_peer_offset(self, node: NodeId, offset_ms: int, now: float) -> None:
        """`node`'s wall clock is `offset_ms` ahead of this machine's."""
        self._offsets[node] = (offset_ms, now)
        for old in [peer for peer, (_, at) in self._offsets.items() if now - at > OFFSET_AGE_S]:
            del self._offsets[old]

    def forget_peer(self, node: NodeId) -> None:
        """`node` is no member any more."""
        self._offsets.pop(node, None)

    def wall(self, wall_ms: int) -> int:
        """`wall_ms` drawn to within `MAX_SKEW_MS` of a majority of the clocks known, this machine's included."""
        if self.alone and self.resumed and self._started is not None:
            return min(wall_ms, self.resumed + int((self._now - self._started) * 1000))
        offsets = sorted([0, *(offset for offset, _ in self._offsets.values())])
        majority = len(offsets) // 2 + 1
        # A majority of clocks stands at or above `high`, so a stamp up to MAX_SKEW_MS beyond it finds a quorum.
        high = wall_ms + offsets[-majority] + MAX_SKEW_MS
        low = wall_ms + offsets[majority - 1] - MAX_SKEW_MS
        # Two clocks that disagree have no majority between them: the upper bound wins, for a low stamp is accepted.
        return max(0, min(max(wall_ms, low), high))

    def off_by_ms(self) -> float:
        """How far this machine's clock is ahead of the middle of all that are known; of two clocks none is right."""
        return -median([0, *(offset for offset, _ in self._offsets.values())])

    def stamp(self, wall_ms: int, held: int = 0) -> int:
        """A new stamp, above `held` for a row that is held at that stamp.

        `held` never moves the clock itself: a row from a bad clock spoils its own id only.

        Raises:
            MarkNeeded: The stamp would exceed the persisted mark.
        """
        stamp = max(self._last + 1, stamp_of(self.wall(wall_ms)))
        if stamp > self._mark:
            raise MarkNeeded("the clock's mark is not on disk yet; try again", retryable=True)
        self._last = stamp
        return max(stamp, held + 1)

    def observe(self, stamp: int, wall_ms: int) -> bool:
        """Takes over a stamp seen elsewhere, so that later ones here are above it; False if it is too far ahead."""
        if stamp > stamp_of(self.wall(wall_ms) + RESERVE_MS):
            return False
        self._last = max(self._last, stamp)
        return True

    def needs_mark(self, wall_ms: int) -> int | None:
        """The mark to persist now, then to hand to `mark_persisted`; None while enough of the last is left.

        Ask before every stamp. As long as `stamp` still works the disk can be written in the background.
        """
        wall = self.wall(wall_ms)
        if self._mark >= max(stamp_of(wall + RENEW_MS), self._last + stamp_of(STEP_MS) // 2):
            return None
        return max(stamp_of(wall + RESERVE_MS), self._last + stamp_of(STEP_MS))

    def mark_persisted(self, mark: int) -> None:
        """`mark` is on disk."""
        self._mark = max(self._mark, mark)
