"""What a scenario may restrict: see `scenarios`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Scenario:
    """`groups` of faults; clients as (fewest, most)."""

    groups: frozenset[str]
    plain: tuple[int, int] = (1, 3)
    linear: tuple[int, int] = (0, 3)
    churn: tuple[int, int] = (0, 1)
    ones: tuple[int, int] = (0, 1)
    fresh: tuple[int, int] = (0, 0)
    kinds: frozenset[str] = frozenset()
    """If any: of the faults in `groups` these alone, and all of them."""
    pause: tuple[float, float] = (1.5, 10.0)
    """Bounds of the longest pause between two faults."""
    hosts: tuple[int, ...] = (3, 3, 3, 4, 5)
    durability: str | None = None
    short_floors: bool | None = None
    floors: tuple[float, float] = (5.0, 3.0)
    """Age of floors and time between two, in seconds, where floors are short: their rules hold at any age, which only
    keeps late writes from being refused.
    """
    quick: bool = False
    """A network without loss and duplication, and with small delays: more calls in the same time."""
    rate: float = 1.0
    """Times the calls that clients make."""
    shards: tuple[int, ...] = (1, 2, 4)
    """Of the collection of points."""
    points: int | None = None
    """Of each plain client; None: as it is."""
    doors: int = 1
    """Clients, each with connections of its own, among which a plain worker chooses for each call: what one node
    acknowledges is read through another.
    """
    one_address: bool = False
    """Each linear client asks one node, in turn, and hears what that one says instead of trying the others."""
    at_a_time: int = 2
    """Points that linear clients compete for."""
    length: int = 24
    """Operations on such a point before it is left for another: its history must be short enough to be judged."""
    mix: Mapping[str, int] | None = None
    """Weights of what linear clients do; None: as it is."""
    linearizable: float = 0.5
    """Of their reads so many are linearizable, which ends what is open on a point; the others are at quorum."""
    offset: float = 0.0
    """Each host's wall clock is off by up to so many seconds, either way, from the beginning on."""
    repair_interval: float | None = None
    """Of the nodes; None: as it is. Where it is long, a replica that lacks a row goes on lacking it."""
    hint_interval: float | None = None
    """Of the nodes; None: as it is. Where it is short, what is kept for an owner gets there at once."""
    phase_timeout: float | None = None
    """Of the nodes; None: as it is. Where no message takes as long, a learner may be whole sooner: twice this time."""
    batch: int = 3
    """Points that a plain client writes, deletes or reads at once, at most."""
    writes: float = 0.45
    """Of what plain clients do, the share of upserts; deletions are what is missing to three fifths."""
    watch_floors: bool = False
    """Looks often whether what was collected is gone everywhere (`checks.collected`)."""
    puts: bool = False
    """Linear clients also write and delete plainly, at quorum, so that many clients do so to one point."""
