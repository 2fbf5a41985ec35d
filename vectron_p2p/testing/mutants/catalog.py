"""§1: the catalog."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "catalog_minority",
        "§1.1",
        "an entry is chosen by a majority of the voters",
        (Edit("catalog.voters:majority", "len(state.voters) // 2 + 1", "max(1, len(state.voters) // 2)"),),
        scenario="catalog",
        seeds=(2,),
    ),
    Mutant(
        "accepted_value_ignored",
        "§1.1",
        "a proposer takes over the value that some voter of its majority accepted under the highest ballot",
        (
            Edit(
                "catalog.round:Round.bound_value",
                "return max(accepted, key=lambda each: each.ballot).value if accepted else None",
                "return None",
            ),
        ),
        scenario="catalog",
        seeds=(8,),
    ),
    Mutant(
        "accepts_below_promise",
        "§1.1",
        "a voter accepts nothing below the ballot that it promised",
        (Edit("catalog.vote:Vote.accept", "None if ballot < self.promised else ", ""),),
        scenario="catalog",
        seeds=(1,),
    ),
    Mutant(
        "vote_in_memory",
        "§1.1",
        "a voter votes only with its vote on disk",
        (
            Edit(
                "catalog.log:EpochLog._set_vote",
                "out.append(Persist([*([also] if also else []), (VOTE, vote.to_bytes())]))",
                "out.append(Persist([*([also] if also else [])]))",
            ),
        ),
        scenario="voters",
        seeds=(11,),
    ),
    Mutant(
        "ballot_used_twice",
        "§1.1",
        "a proposer uses no ballot twice, not after a restart either",
        (
            Edit("catalog.log:EpochLog._begin", "used = round_put(ballot.round)", "used = round_put(0)"),
            Edit("catalog.log:EpochLog.__init__", "max(persisted.round, self._vote.promised.round)", "0"),
            Edit("catalog.log:EpochLog._begin", "if vote is None:", "if False:"),
        ),
        scenario="catalog",
        seeds=(3,),
    ),
    Mutant(
        "applied_in_memory",
        "§1.1",
        "a voter answers for the next entry only with this one on disk",
        (
            Edit(
                "catalog.log:EpochLog._follow",
                "out += [Persist(step.puts), Applied(self.state)",
                "out += [Applied(self.state)",
            ),
        ),
        scenario="catalog",
        seeds=(1,),
    ),
    Mutant(
        "retry_is_new",
        "§1.2",
        "a client's operation id is found again, and a retry gets the first result",
        (Edit("catalog.state:ClusterState.result", "return None if packed is None else", "return None if True else"),),
        scenario="catalog",
        seeds=(15,),
    ),
    Mutant(
        "rollback_unseen",
        "§1.4",
        "a node that comes back with a lower counter, or another past, is refused",
        (
            Edit(
                "node.identity:Identity.rolled_back",
                'if known is None or not known["boot"] or boot == known["boot"]:',
                "if True:",
            ),
        ),
        scenario="rollback",
        seeds=(21,),
    ),
    Mutant(
        "not_found_at_once",
        "§1.6",
        "a node pulls the catalog before it says that there is no such collection",
        (
            Edit(
                "node.client_service:ClientService._collection",
                "asked = await self._catalog.catch_up_with_peers()",
                "await trio.lowlevel.checkpoint()",
            ),
            Edit(
                "node.catalog:Catalog.catch_up",
                "if epoch > self.state.epoch:\n        await",
                "if False:\n        await",
            ),
        ),
        scenario="catalog",
        seeds=(1,),
    ),
)
