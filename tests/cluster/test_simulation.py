"""The simulation itself: it finds nothing where nothing is wrong, and something where something is; a seed is a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vectron_p2p.testing.checks.violations import Violation
from vectron_p2p.testing.determinism import run_deterministic
from vectron_p2p.testing.mutants import MUTANTS
from vectron_p2p.testing.simulation import SCENARIOS, Report, simulate, sweep
from vectron_p2p.testing.simulation.faults import FAULTS
from vectron_p2p.testing.simulation.plan import Action, Clients, Shape, draw
from vectron_p2p.testing.simulation.run import Run
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
    kinds = Counter(action.kind for seed in range(60) for action in draw(seed, "moves and all", 60.0).actions)
    named = {kind for each in SCENARIOS.values() for kind in each.kinds}
    assert set(kinds) | named == set(FAULTS)
    assert {FAULTS[kind].group for kind in kinds} == set(SCENARIOS["moves and all"].groups)


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
    whole, part = simulate(1, seconds=12.0), simulate(1, seconds=12.0, keep=[0])
    assert whole.actions == part.actions > 1
    assert [line.split(" fault ")[1][0] for line in part.schedule if " fault " in line] == ["0"]
    assert part.replay() == "vectron simulate --seeds 1 --seconds 12 --keep 0 --schedule"


def test_shrinking_finds_the_faults_that_matter() -> None:
    tried: list[list[int]] = []

    def fails(numbers: list[int]) -> bool:
        tried.append(numbers)
        return {3, 11} <= set(numbers)

    assert fewest(list(range(16)), fails, more=lambda: True) == [3, 11]
    assert len(tried) < 60
    assert fewest(list(range(16)), lambda numbers: True, more=lambda: True) == []


def test_hints_that_count_as_acks_are_caught() -> None:
    """Two owners die, the third acknowledges for a moment what it alone has and dies too; the others are back first."""

    def actions() -> Iterator[Action]:
        for number in range(3):
            last, *others = (f"n{1 + (number + i) % 3}" for i in range(3))
            begin = 1.0 + 16.0 * number
            yield from (Action(begin, "kill", (other,), 5.0) for other in others)
            yield Action(begin + 1.0, "kill", (last,), 12.0)

    shape = Shape(("n1", "n2", "n3"), "n1", "n1", "fsync")
    calm = replace(draw(1, "network", 50.0), shape=shape, loss=0.0, duplication=0.0, delay=(0.001, 0.002))
    plan = replace(calm, clients=Clients(plain=4, linear=0, churn=0, ones=0, fresh=0), actions=tuple(actions()))
    with MUTANTS["hints_as_acks"]():
        report = run_deterministic(1, Run(plan).main)
    assert {violation.invariant for violation in report.violations} & {"D1", "D2", "D3", "D7"}
    assert run_deterministic(1, Run(plan).main).violations == []


def test_a_failing_run_is_shrunk_to_the_faults_that_break_the_same_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int, *, keep: list[int], **options: object) -> Report:
        broken = [Violation("D2", "x")] if 4 in keep else [Violation("L1", "y")]
        return Report(seed, "mixed", 60.0, 3, 9, kept=keep, violations=broken)

    monkeypatch.setattr("vectron_p2p.testing.simulation.shrink.simulate", run)
    smaller = shrink(run(7, keep=list(range(9))))
    assert smaller.kept == [4]
    assert smaller.replay() == "vectron simulate --seeds 7 --keep 4 --schedule"
