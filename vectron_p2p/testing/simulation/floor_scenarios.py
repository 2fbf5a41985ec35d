"""Scenarios of what is forgotten for good: tombstones, and the copies of those who had lost theirs (PROTOCOLS §5, §7).

Floors are as young as can be: their rules hold at any age, which only keeps late writes from being refused.
"""

from __future__ import annotations

from vectron_p2p.testing.simulation.scenario import Scenario

FLOORS: dict[str, Scenario] = {
    "old writes": Scenario(
        frozenset({"narrow", "forgotten"}),
        plain=(6, 8),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"old write"}),
        pause=(0.5, 1.0),
        hosts=(4, 5),
        short_floors=True,
        floors=(0.3, 0.2),
        quick=True,
        doors=3,
        rate=4.0,
        shards=(1,),
        points=4,
        repair_interval=60.0,
        writes=0.35,
        watch_floors=True,
    ),
    "stale copy": Scenario(
        frozenset({"narrow", "forgotten"}),
        plain=(7, 8),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"stale copy"}),
        pause=(0.5, 1.0),
        hosts=(4,),
        short_floors=True,
        floors=(0.1, 0.1),
        quick=True,
        doors=3,
        rate=3.0,
        shards=(1,),
        repair_interval=60.0,
        phase_timeout=0.5,
        writes=0.3,
        batch=9,
        watch_floors=True,
    ),
    "one after the other": Scenario(
        frozenset({"narrow", "forgotten"}),
        plain=(8, 8),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"one after the other"}),
        pause=(5.0, 6.0),
        hosts=(3,),
        short_floors=True,
        floors=(0.3, 0.2),
        durability="fsync",
        quick=True,
        doors=3,
        rate=0.25,
        shards=(1,),
        repair_interval=60.0,
        phase_timeout=1.0,
        writes=0.35,
        watch_floors=True,
    ),
}
