"""Scenarios of votes and promises that a node may have forgotten (PROTOCOLS §1.1, §5).

Calls are frequent and what is under way is late, so that at any moment something hangs on what was promised.
"""

from __future__ import annotations

from vectron_p2p.testing.simulation.scenario import Scenario

FORGOTTEN: dict[str, Scenario] = {
    "voters": Scenario(
        frozenset({"voters"}),
        plain=(0, 0),
        linear=(0, 0),
        churn=(2, 3),
        ones=(0, 0),
        fresh=(2, 3),
        kinds=frozenset({"votes and power"}),
        pause=(0.5, 1.5),
        hosts=(3,),
        durability="fsync",
        quick=True,
        rate=4.0,
    ),
    "forgotten promises": Scenario(
        frozenset({"promises"}),
        plain=(0, 0),
        linear=(8, 10),
        churn=(0, 0),
        ones=(0, 0),
        kinds=frozenset({"rot among rounds"}),
        pause=(0.25, 0.5),
        hosts=(3,),
        durability="fsync",
        quick=True,
        rate=4.0,
        shards=(1,),
        at_a_time=12,
        offset=0.2,
        repair_interval=60.0,
        mix={"get": 8, "put": 8, "erase": 1, "cas": 2, "set-payload": 8, "insert": 1, "delete": 1},
    ),
}
