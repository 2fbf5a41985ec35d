"""§9: caches."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "cached_past_a_write",
        "§9",
        "a cached answer holds only until the next write that its owner acknowledges",
        (
            Edit(
                "node.search_cache:SearchCache._begin",
                "if kept is not None and kept.revisions == revisions:",
                "if kept is not None:",
            ),
        ),
        seeds=(1,),
    ),
)
