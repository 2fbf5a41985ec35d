"""§3: reads and searches."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "read_without_write_back",
        "§3.4",
        "a row is returned only once enough owners hold exactly its version",
        (
            Edit(
                "replication.reads:ReadRound.confirmed",
                "if newest == _NEVER:",
                "if True:",
            ),
        ),
        scenario="lag",
        seeds=(5,),
        seconds=10.0,
    ),
    Mutant(
        "read_of_one_copy",
        "§3.4",
        "a quorum read asks a quorum",
        (
            Edit(
                "node.coordinator.reads:_Round.__init__",
                "self._required = level.required(len(route.read))",
                "self._required, level = 1, Consistency.ONE",
            ),
        ),
        scenario="handoff",
        seeds=(5,),
    ),
    Mutant(
        "search_not_confirmed",
        "§3.6",
        "ids that not all owners returned in one version are read from a quorum and scored anew",
        (
            Edit(
                "query.merge:QuorumSearchRound.to_verify",
                "return sorted(self._open, key=encode_point_id)",
                "self._open.clear()\n    return []",
            ),
        ),
        scenario="handoff",
        seeds=(9,),
    ),
    Mutant(
        "search_of_one_owner",
        "§3.6",
        "a search at quorum asks a quorum of the owners of each shard",
        (
            Edit(
                "node.coordinator.searches:Searches._gather",
                "asked = await self._scatter(collection, shards, ask, level, timeout)",
                "asked = await self._scatter(collection, shards, ask, Consistency.ONE, timeout)",
            ),
        ),
        scenario="handoff",
        seeds=(7,),
    ),
)
