"""§7: tombstones."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "collected_by_age",
        "§7",
        "tombstones are never collected by age alone",
        (
            Edit(
                "node.services.floors:FloorKeeper.run_once",
                "if owners[:1] == (peers.me,) and replica.store.tombstones:",
                "if replica.store.tombstones:",
            ),
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "if replica.learner is not None or not all(map(peers.alive, owners)):\n        return",
                "pass",
            ),
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "if not leaves:\n        return",
                "if leaves:\n        await replica.commit.exclusive(replica.store.collect, floor, leaves)\n    return",
            ),
            Edit("replication.floors:to_adopt", "if theirs.highest > mine.floor:", "if False:"),
        ),
        scenario="restored",
        seeds=(1,),
        seconds=12.0,
    ),
    Mutant(
        "collected_where_owners_differ",
        "§7.2",
        "tombstones are collected where all owners hold the same below the floor",
        (
            Edit(
                "replication.floors:FloorRound.equal",
                "if len({each[leaf * SUM_SIZE : (leaf + 1) * SUM_SIZE] for each in sums}) == 1",
                "if True",
            ),
        ),
        scenario="restored",
        seeds=(93,),
        seconds=12.0,
    ),
    Mutant(
        "collected_by_a_majority",
        "§7.1",
        "every owner takes part, dead or alive",
        (
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "or not all(map(peers.alive, owners))",
                "or 2 * sum(map(peers.alive, owners)) <= len(owners)",
            ),
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "round_ = FloorRound(owners, floor)",
                "everybody, owners = owners, tuple(filter(peers.alive, owners))\n"
                "    round_ = FloorRound(owners, floor)",
            ),
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "list(owners), floor, equal)",
                "list(everybody), floor, equal)",
            ),
            Edit("replication.floors:to_adopt", "if theirs.highest > mine.floor:", "if False:"),
        ),
        scenario="tombstones",
        seeds=(14,),
        seconds=12.0,
    ),
    Mutant(
        "old_writes_below_the_floor",
        "§7.1",
        "from its floor on an owner refuses writes, hints and ballots at or below it",
        (
            Edit("replication.floors:refuses", "if path is Path.WRITE and floor and stamp <= floor:", "if False:"),
            Edit("storage.shard:ShardStore.promise", "stamp(ballot) <= self.refuse_below or", ""),
        ),
        scenario="old writes",
        seeds=(11,),
        seconds=10.0,
    ),
    Mutant(
        "old_rows_after_the_collection",
        "§7.3",
        "after the collection any row below the floor is refused of an id that is not held",
        (
            Edit(
                "replication.floors:refuses",
                "return bool(not held and collected and stamp <= collected)",
                "return False",
            ),
            Edit("replication.floors:refuses", "if path is Path.WRITE and floor and stamp <= floor:", "if False:"),
        ),
        scenario="tombstones",
        seconds=12.0,
        seeds=(19,),
    ),
    Mutant(
        "learned_without_the_floors",
        "§7.3",
        "the copy of a learner ends by taking over the floors of its sources",
        (
            Edit(
                "node.services.learning:Learning._learn",
                "lesson.floors = lesson.floors.merged(floors)",
                "lesson.floors.merged(floors)",
            ),
        ),
        scenario="one after the other",
        seeds=(1,),
        seconds=25.0,
    ),
    Mutant(
        "learner_keeps_what_was_collected",
        "§7.3",
        "a learner drops what full owners have deleted and collected",
        (
            Edit(
                "replication.learners:plan_copy",
                "return Copying(take, drop)",
                "return Copying(take, [])",
            ),
        ),
        scenario="one after the other",
        seeds=(1,),
        seconds=25.0,
    ),
    Mutant(
        "learner_agrees_to_a_floor",
        "§7",
        "nothing is collected while an owner is a learner",
        (
            Edit("node.services.floors:_check_full", "if replica.learner is not None:", "if False:"),
            Edit(
                "node.services.floors:FloorKeeper._attempt",
                "if replica.learner is not None or not",
                "if not",
            ),
        ),
        scenario="stale copy",
        seeds=(7,),
        seconds=15.0,
    ),
    Mutant(
        "copy_of_the_forgetful",
        "§5, §7",
        "an owner that was away while the others collected is a learner",
        (Edit("replication.floors:to_adopt", "if theirs.highest > mine.floor:", "if False:"),),
        scenario="tombstones",
        seconds=12.0,
        subsumed_by=(
            "none misses a floor: all agree, synced, before anybody collects (§7.1, collected_by_a_majority), and "
            "an owner that lost that record is a learner (§5, replaced_and_whole) or turned away (§1.4): "
            "this is the second line behind them"
        ),
    ),
)
