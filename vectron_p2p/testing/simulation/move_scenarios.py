"""Scenarios of moves among tombstones that are collected meanwhile (PROTOCOLS §6, §7).

Floors are as young as can be, so that a deletion comes of age during one move. One shard and no repair: what a new
owner got from its move it has.
"""

from __future__ import annotations

from vectron_p2p.testing.simulation.scenario import Scenario

MOVES: dict[str, Scenario] = {
    "deleted while moving": Scenario(
        frozenset({"late deletions"}),
        plain=(5, 7),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"late deletions"}),
        pause=(0.5, 1.0),
        hosts=(4, 5),
        short_floors=True,
        floors=(0.5, 0.3),
        quick=True,
        doors=3,
        shards=(1,),
        repair_interval=60.0,
    ),
    "restored among new owners": Scenario(
        frozenset({"old shards among new owners"}),
        plain=(5, 7),
        linear=(0, 0),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"old shards among new owners"}),
        pause=(0.5, 1.0),
        hosts=(5,),
        short_floors=True,
        floors=(0.5, 0.3),
        quick=True,
        doors=3,
        rate=0.5,
        shards=(1,),
        repair_interval=60.0,
    ),
}
