"""Deterministic simulation: one seed draws a cluster, a workload and the faults it must survive, then heals and checks.

    simulate(7).violations                     # of one seed, in this process
    for report in sweep(range(1, 101), seconds=60.0, mutant=None, jobs=2): ...

The nodes are the real ones (`testing.cluster`); time is virtual. `plan` draws everything that a run depends on
beforehand, and the workload has random numbers of its own: a fault taken out of the plan changes nothing else of it,
which is what makes a failing plan shrink (`shrink`). What is checked is in `testing.checks`. The same seed gives the
same trace, in any process.

After TigerBeetle's VOPR and FoundationDB's simulation: faults are drawn per seed (swarm testing, Groce et al. 2012),
then everything heals and the cluster must come to rest.
"""

from __future__ import annotations

from vectron_p2p.testing.simulation.report import Report
from vectron_p2p.testing.simulation.run import simulate, sweep
from vectron_p2p.testing.simulation.scenarios import SCENARIOS

__all__ = ["SCENARIOS", "Report", "simulate", "sweep"]
