"""The faults that plans are made of: `FAULTS`, by kind. To add one, write a function with `@fault` in a module here.

A fault is drawn (`draw`) when the plan is made, and performed when its time comes: it does harm, waits as long as it
lasts, and takes the harm back, so that each is whole by itself. One that makes no sense at its time (the host is down
already, the victim is spent) does nothing.
"""

from __future__ import annotations

from vectron_p2p.testing.simulation.faults import admin, clocks, disks, floors, moves, network, processes, schedules
from vectron_p2p.testing.simulation.faults.table import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "admin", "clocks", "disks", "floors", "moves", "network", "processes", "schedules"]
