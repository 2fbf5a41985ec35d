"""Named restrictions of what a seed may draw: kinds of faults, clients, the rest of a plan.

`mixed` is everything; the others look longer at one thing. The narrow ones at the end make the schedules likely that
one rule of the protocol is for: without them a build that lacks it would pass for hundreds of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = frozenset({"network", "process", "disk", "clock", "admin", "moves"})

ROOMY = (4, 4, 4, 5, 6)  # hosts: where three replicas have all three nodes, none can go anywhere


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
    at_a_time: int = 2
    """Points that linear clients compete for."""
    mix: Mapping[str, int] | None = None
    """Weights of what linear clients do; None: as it is."""
    offset: float = 0.0
    """Each host's wall clock is off by up to so many seconds, either way, from the beginning on."""
    repair_interval: float | None = None
    """Of the nodes; None: as it is. Where it is long, a replica that lacks a row goes on lacking it."""
    puts: bool = False
    """Linear clients also write and delete plainly, at quorum, so that many clients do so to one point."""


SCENARIOS: dict[str, Scenario] = {
    "mixed": Scenario(ALL),
    "network": Scenario(frozenset({"network"})),
    "crash": Scenario(frozenset({"process"})),
    "disk": Scenario(frozenset({"disk", "process"})),
    "clock": Scenario(frozenset({"clock", "process", "network"})),
    "admin": Scenario(frozenset({"admin", "moves", "process", "network"}), churn=(1, 2)),
    "moves": Scenario(frozenset({"moves", "network", "process"}), linear=(1, 3), hosts=ROOMY),
    "moves and all": Scenario(ALL, linear=(1, 3), hosts=ROOMY),
    "linearizable": Scenario(ALL, plain=(0, 1), linear=(2, 4), churn=(0, 0), ones=(0, 0)),
    "catalog": Scenario(
        frozenset({"network", "process"}),
        plain=(0, 0),
        linear=(0, 0),
        churn=(2, 3),
        ones=(0, 0),
        fresh=(2, 3),
        kinds=frozenset({"partition", "isolate", "half-partition", "ring", "resets", "kill", "power", "mass-restart"}),
        pause=(0.5, 2.0),
        rate=4.0,
    ),
    "contention": Scenario(
        frozenset({"network", "clock"}),
        plain=(0, 0),
        linear=(5, 7),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"slow", "one-way", "resets", "clock-step"}),
        rate=2.0,
        puts=True,
    ),
    "skew": Scenario(
        frozenset({"clock", "network", "process"}),
        plain=(5, 7),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"clock-step", "clock-astray", "clock-back", "isolate", "half-partition", "slow"}),
        pause=(1.0, 5.0),
        hosts=(3,),
        quick=True,
        doors=3,
        rate=3.0,
        points=4,
    ),
    "moving": Scenario(
        frozenset({"narrow"}),
        plain=(5, 7),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"contested move"}),
        pause=(0.5, 1.0),
        hosts=(4, 5, 5),
        quick=True,
        doors=3,
        rate=4.0,
        shards=(1, 1, 2),
        repair_interval=60.0,
    ),
    "handoff": Scenario(
        frozenset({"network", "process"}),
        plain=(5, 7),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"kill", "isolate", "half-partition", "resets", "slow"}),
        pause=(1.0, 5.0),
        hosts=(3,),
        quick=True,
        doors=3,
        rate=3.0,
        points=4,
    ),
    "rollback": Scenario(
        frozenset({"disk", "process"}),
        linear=(0, 0),
        churn=(0, 0),
        kinds=frozenset({"old-disk", "kill"}),
        rate=2.0,
        quick=True,
        doors=3,
    ),
    "forgetful": Scenario(
        frozenset({"disk", "narrow"}),
        plain=(3, 5),
        linear=(2, 4),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"bit-flip", "relay with rot", "late"}),
        pause=(0.5, 3.0),
        hosts=(3,),
        durability="fsync",
        rate=3.0,
        quick=True,
        doors=3,
    ),
    "interval": Scenario(
        frozenset({"narrow"}),
        plain=(4, 6),
        linear=(0, 1),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"relay with power"}),
        pause=(0.5, 1.5),
        hosts=(3,),
        durability="interval",
        rate=4.0,
        quick=True,
        doors=3,
    ),
    "power": Scenario(
        frozenset({"process"}),
        plain=(5, 7),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"power", "mass-restart"}),
        pause=(1.0, 5.0),
        hosts=(3,),
        durability="fsync",
        rate=3.0,
        points=4,
        quick=True,
        doors=3,
    ),
    "tombstones": Scenario(
        frozenset({"network", "process", "disk", "narrow"}),
        plain=(3, 4),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 1),
        kinds=frozenset({"kill", "bit-flip", "late", "slow"}),
        pause=(1.0, 3.0),
        hosts=(3, 4),
        short_floors=True,
        floors=(0.5, 0.3),
        rate=2.0,
        quick=True,
        doors=3,
    ),
    "restored": Scenario(
        frozenset({"network", "process", "disk", "narrow"}),
        plain=(3, 4),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 1),
        kinds=frozenset({"kill", "bit-flip", "old shards", "late", "slow"}),
        pause=(1.0, 3.0),
        hosts=(3, 4),
        short_floors=True,
        floors=(0.5, 0.3),
        rate=2.0,
        quick=True,
        doors=3,
    ),
    "rounds": Scenario(
        frozenset({"process", "network"}),
        plain=(0, 1),
        linear=(5, 7),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"kill", "isolate", "one-way", "half-partition", "freeze", "slow", "resets"}),
        pause=(0.5, 4.0),
        hosts=(3,),
        rate=3.0,
        quick=True,
        doors=3,
        puts=True,
    ),
    "lag": Scenario(
        frozenset({"narrow"}),
        plain=(0, 0),
        linear=(8, 10),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"lag"}),
        pause=(0.25, 0.5),
        hosts=(3, 4, 5),
        quick=True,
        rate=4.0,
        at_a_time=1,
        offset=0.2,
        repair_interval=60.0,
        mix={"get": 12, "put": 4, "erase": 1, "cas": 3, "set-payload": 3, "insert": 2, "delete": 1},
    ),
    "lost writes": Scenario(
        frozenset({"network", "narrow"}),
        plain=(0, 0),
        linear=(6, 8),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"resets", "lag"}),
        pause=(0.25, 0.5),
        hosts=(5,),
        quick=True,
        rate=2.0,
        at_a_time=40,
        offset=0.4,
        repair_interval=60.0,
        mix={"get": 6, "put": 3, "erase": 2},
    ),
    "island": Scenario(
        frozenset({"narrow"}),
        plain=(4, 6),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"island"}),
        pause=(1.0, 3.0),
        hosts=(3,),
        quick=True,
        doors=3,
        rate=4.0,
        points=3,
        repair_interval=60.0,
    ),
    "cut off": Scenario(
        frozenset({"narrow"}),
        plain=(0, 0),
        linear=(8, 10),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"lag", "island"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        quick=True,
        rate=4.0,
        at_a_time=2,
        repair_interval=60.0,
        mix={"get": 6, "upsert": 4, "insert": 2, "cas": 2, "set-payload": 4, "delete": 1},
    ),
    "astray": Scenario(
        frozenset({"clock", "narrow"}),
        plain=(4, 6),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"clock-astray", "island"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        quick=True,
        doors=3,
        rate=4.0,
        points=3,
        repair_interval=60.0,
    ),
    "retries": Scenario(
        frozenset({"narrow"}),
        plain=(0, 0),
        linear=(6, 8),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"hang-up"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        quick=True,
        rate=4.0,
        at_a_time=1,
        repair_interval=60.0,
        mix={"get": 4, "upsert": 1, "insert": 4, "cas": 2, "set-payload": 4, "delete": 3},
    ),
    "retries among puts": Scenario(
        frozenset({"narrow"}),
        plain=(0, 0),
        linear=(6, 8),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"hang-up"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        quick=True,
        rate=4.0,
        at_a_time=1,
        repair_interval=60.0,
        mix={"get": 8, "put": 3, "erase": 1, "upsert": 4, "insert": 2, "cas": 2, "set-payload": 4, "delete": 2},
    ),
    "restarts": Scenario(
        frozenset({"narrow", "process"}),
        plain=(0, 0),
        linear=(8, 10),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"lag", "clog", "kill-briefly"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        durability="fsync",
        quick=True,
        rate=4.0,
        at_a_time=1,
        offset=0.2,
        repair_interval=60.0,
        mix={"get": 8, "put": 6, "erase": 1, "cas": 4, "set-payload": 4, "insert": 2, "delete": 1},
    ),
}
