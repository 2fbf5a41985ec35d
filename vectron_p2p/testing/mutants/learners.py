"""§5: replicas that may have forgotten."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "learner_answers",
        "§5",
        "a learner answers no reads and gives no promises",
        (
            Edit(
                "node.replica_service:ReplicaService._reader",
                "if replica.learner is not None and not learning:",
                "if False:",
            ),
            Edit(
                "node.replica_service:ReplicaService._promiser",
                "if replica.learner is not None and",
                "if False and",
            ),
        ),
        scenario="forgetful",
        seeds=(3,),
        seconds=20.0,
    ),
    Mutant(
        "learner_promises",
        "§5",
        "a learner gives no promises",
        (
            Edit(
                "node.replica_service:ReplicaService._promiser",
                "if replica.learner is not None and",
                "if False and",
            ),
            Edit("storage.shard:ShardStore.promise", "stamp(ballot) <= self.refuse_below or", ""),
        ),
        scenario="forgetful",
        seconds=20.0,
        seeds=(5,),
    ),
    Mutant(
        "learned_from_one",
        "§5",
        "a learner has merged N-W+1 other owners before it answers",
        (
            Edit(
                "replication.learners:sources_needed",
                "return owners - Consistency.QUORUM.required(owners) + 1",
                "return 1",
            ),
        ),
        scenario="forgetful",
        seconds=20.0,
        seeds=(6,),
    ),
    Mutant(
        "learner_takes_old_stamps",
        "§5",
        "a learner refuses stamps up to its clock and the skew at its beginning: its promises are gone too",
        (
            Edit(
                "storage.retention:Retaining.refuses",
                "if path is Path.WRITE and records.refuse_below and row_stamp <= records.refuse_below:",
                "if False:",
            ),
            Edit("storage.shard:ShardStore.promise", "stamp(ballot) <= self.refuse_below or", ""),
        ),
        scenario="forgotten promises",
        seeds=(18,),
        seconds=10.0,
    ),
    Mutant(
        "replaced_and_whole",
        "§5",
        "a replica that took the place of a damaged one is a learner",
        (
            Edit(
                "node.opening:Opening._forgot",
                "if others:\n            replica.store",
                "if False:\n            replica.store",
            ),
        ),
        scenario="forgetful",
        seeds=(3,),
        seconds=20.0,
    ),
    Mutant(
        "unclean_restart_unseen",
        "§5",
        "after an unclean restart of the machine a replica that wrote without fsync is a learner",
        (
            Edit(
                "storage.retention:Retaining.begin_life",
                "if before is not None and before != machine:",
                "if False:",
            ),
        ),
        scenario="interval",
        seeds=(8,),
        seconds=15.0,
    ),
)
