"""Aids for tests and simulations, also of programs that use this package.

Owns stand-ins for the network, the disk, the clock and threads, with faults on demand, and whole clusters built on
them: `open_cluster` makes a `Cluster` of nodes in this program on simulated parts, `ProcessCluster` one of real
processes. No other package imports it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectron_p2p.testing.cluster import Cluster, open_cluster
    from vectron_p2p.testing.processes import ProcessCluster

__all__ = ["Cluster", "ProcessCluster", "open_cluster"]

_HOMES = {
    "Cluster": "vectron_p2p.testing.cluster",
    "ProcessCluster": "vectron_p2p.testing.processes",
    "open_cluster": "vectron_p2p.testing.cluster",
}


def __getattr__(name: str) -> Any:  # lazy: who uses the disk double alone does without the node and its libraries
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
