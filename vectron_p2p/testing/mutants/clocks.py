"""§2: clocks.

While each clock is drawn to those of a majority nobody stamps far ahead, so the rules about such stamps are a second
line: two mutants leave out that first rule with theirs (a seed of `astray` was well without the first rule alone, and
was not without the second too).
"""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "wall_clock_believed",
        "§2.1",
        "a node follows its wall clock only within the skew of a majority of its peers",
        (
            Edit(
                "replication.hlc:HybridClock.wall",
                "return max(0, min(max(wall_ms, low), high))",
                "return max(0, wall_ms)",
            ),
        ),
        scenario="skew",
        seeds=(5,),
    ),
    Mutant(
        "far_stamps_taken_over",
        "§2.1",
        "stamps that are too far ahead never advance the clock",
        (
            Edit(
                "replication.hlc:HybridClock.observe",
                "if stamp > stamp_of(self.wall(wall_ms) + RESERVE_MS):",
                "if False:",
            ),
            Edit(
                "replication.hlc:HybridClock.wall",
                "return max(0, min(max(wall_ms, low), high))",
                "return max(0, wall_ms)",
            ),
        ),
        scenario="skew",
        seeds=(5,),
    ),
    Mutant(
        "step_of_the_clock_followed",
        "§2.1",
        "a step of the wall clock is not followed until the peers are heard again",
        (Edit("replication.hlc:HybridClock.notice", "if abs(step) >= STEP_MS:", "if False:"),),
        scenario="skew",
        seeds=(5,),
    ),
    Mutant(
        "mark_not_on_disk",
        "§2.1",
        "the mark of the clock is on disk ahead of its use",
        (
            Edit("node.identity:Identity.__init__", 'int.from_bytes(mark, "big") if mark else 0', "0"),
            Edit("replication.hlc:HybridClock.stamp", "if stamp > self._mark:", "if False:"),
        ),
        scenario="skew",
        seeds=(1,),
        seconds=10.0,
    ),
    Mutant(
        "any_stamp_admitted",
        "§2.2",
        "a replica refuses a stamp that is too far ahead",
        (
            Edit(
                "replication.hlc:admit",
                "return stamp <= max(stamp_of(wall_ms), held) + stamp_of(MAX_SKEW_MS)",
                "return True",
            ),
            Edit(
                "replication.hlc:HybridClock.wall",
                "return max(0, min(max(wall_ms, low), high))",
                "return max(0, wall_ms)",
            ),
        ),
        scenario="astray",
        seeds=(21,),
        seconds=15.0,
    ),
    Mutant(
        "held_stamp_blocks",
        "§2.2",
        "a stamp is admitted as well above the version held of that id, however far ahead that is",
        (Edit("replication.hlc:admit", "max(stamp_of(wall_ms), held)", "stamp_of(wall_ms)"),),
        scenario="skew",
        subsumed_by=(
            "§2.1: while clocks are drawn to a majority no row is held more than a second ahead, so what is "
            "refused is refused for less than that, as retryable, and the client's next attempt succeeds. It "
            "counts after a node alone stamped far ahead: the schedule is in tests/cluster/test_stamped_ahead.py"
        ),
    ),
    Mutant(
        "stamp_below_held",
        "§2.2",
        "a write over an id is stamped above what is held of it",
        (Edit("replication.hlc:HybridClock.stamp", "return max(stamp, held + 1)", "return stamp"),),
        scenario="skew",
        subsumed_by=(
            "§2.1: stamps met in answers are taken over unless they are further ahead than 400 ms, which while "
            "clocks are drawn to a majority lasts less than a second. It counts after a node alone stamped far "
            "ahead: the schedule is in tests/cluster/test_stamped_ahead.py"
        ),
    ),
)
