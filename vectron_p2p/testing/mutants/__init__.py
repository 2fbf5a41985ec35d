"""Deliberately broken variants of the code: each leaves out one rule of the protocol, and the simulation must catch it.

This is how we know that it can. One file per chapter of the protocol; `python -m simulations.mutation` runs them.
"""

from __future__ import annotations

from vectron_p2p.testing.mutants import (
    caches,
    catalog,
    clocks,
    disk,
    floors,
    learners,
    moves,
    reads,
    rounds,
    wire,
    writes,
)
from vectron_p2p.testing.mutants.mutant import Mutant

CHAPTERS = (catalog, clocks, writes, reads, rounds, learners, moves, floors, disk, caches, wire)
MUTANTS: dict[str, Mutant] = {each.name: each for chapter in CHAPTERS for each in chapter.MUTANTS}

__all__ = ["CHAPTERS", "MUTANTS", "Mutant"]
