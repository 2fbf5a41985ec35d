"""The simulation itself: it finds nothing where nothing is wrong, and something where something is; a seed is a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from vectron_p2p.testing.simulation import SCENARIOS, Report, simulate, sweep
from vectron_p2p.testing.simulation.faults import FAULTS
from vectron_p2p.testing.simulation.plan import draw
from vectron_p2p.testing.simulation.shrink import fewest, shrink


@pytest.mark.parametrize("seed", [3, 5, 6, 7])
def test_a_seed_passes(seed: int) -> None:
    report = simulate(seed, seconds=10.0)
    assert report.violations == []
    assert report.acknowledged > 0
    assert report.virtual_seconds > 10.0
    assert report.schedule


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_a_scenario_passes(scenario: str) -> None:
    report = simulate(2, seconds=8.0, scenario=scenario)
    assert report.violations == []
    assert report.operations > 0


def test_all_that_can_happen_happens_in_some_seed() -> None:
    kinds = Counter(action.kind for seed in range(60) for action in draw(seed, "mixed", 60.0).actions)
    assert set(kinds) == set(FAULTS)


def test_a_scenario_draws_its_own_faults_alone() -> None:
    kinds = {action.kind for seed in range(60) for action in draw(seed, "clock", 60.0).actions}
    assert {FAULTS[kind].group for kind in kinds} == set(SCENARIOS["clock"].groups)


IN_ANOTHER_PROCESS = """
import json, sys
from vectron_p2p.testing.simulation import simulate
report = simulate(int(sys.argv[1]), seconds=8.0)
print(json.dumps([report.trace, report.schedule]))
"""


def test_the_same_seed_gives_the_same_run_in_another_process_too() -> None:
    first = simulate(6, seconds=8.0)
    assert simulate(6, seconds=8.0) == first
    (elsewhere,) = sweep([6], seconds=8.0, mutant=None, jobs=1)
    assert elsewhere == first
    assert simulate(7, seconds=8.0).trace != first.trace


def test_the_hash_seed_of_the_interpreter_changes_nothing() -> None:
    traces = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", IN_ANOTHER_PROCESS, "6"],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]


def test_faults_that_are_left_out_do_not_happen() -> None:
    whole, part = simulate(3, seconds=8.0), simulate(3, seconds=8.0, keep=[0])
    assert whole.actions == part.actions > 1
    assert [line.split(" fault ")[1][0] for line in part.schedule if " fault " in line] == ["0"]
    assert part.replay() == "vectron simulate --seeds 3 --seconds 8 --keep 0 --schedule"


def test_shrinking_finds_the_faults_that_matter() -> None:
    tried: list[list[int]] = []

    def fails(numbers: list[int]) -> bool:
        tried.append(numbers)
        return {3, 11} <= set(numbers)

    assert fewest(list(range(16)), fails, more=lambda: True) == [3, 11]
    assert len(tried) < 60
    assert fewest(list(range(16)), lambda numbers: True, more=lambda: True) == []


def test_hints_that_count_as_acks_are_caught_and_the_faults_are_shrunk() -> None:
    """By the first seed as the code is now; a change of the code shifts what each seed does, hence some more."""
    caught: Report | None = None
    for seed in [3, *range(1, 34)]:
        report = simulate(seed, seconds=20.0, mutant="hints_as_acks", scenario="handoff")
        if report.violations:
            caught = report
            break
    assert caught is not None
    assert {violation.invariant for violation in caught.violations} & {"D1", "D2", "D3", "D7"}
    smaller = shrink(caught, mutant="hints_as_acks", runs=6)
    assert smaller.violations
    assert smaller.kept is None or len(smaller.kept) <= caught.actions
    assert simulate(caught.seed, seconds=20.0, scenario="handoff").violations == []
