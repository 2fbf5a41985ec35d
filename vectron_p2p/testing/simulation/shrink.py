"""Fewer faults, the same violation: delta debugging (Zeller and Hildebrandt 2002) over the actions of a plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vectron_p2p.testing.simulation.run import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.testing.simulation.report import Report

MAX_RUNS = 60  # about two minutes: what is left then is small enough to read
FAULT = re.compile(r" fault (\d+): ")


def shrink(report: Report, *, mutant: str | None = None, runs: int = MAX_RUNS) -> Report:
    """The report of a run with as few of the faults of `report` as still break the invariant that it broke first."""
    broken = report.violations[0].invariant
    best, left = report, runs

    def fails(numbers: list[int]) -> bool:
        nonlocal best, left
        left -= 1
        tried = simulate(report.seed, seconds=report.seconds, scenario=report.scenario, keep=numbers, mutant=mutant)
        if not any(violation.invariant == broken for violation in tried.violations):
            return False
        best = tried
        return True

    every = list(range(report.actions)) if report.kept is None else list(report.kept)
    before = _before_the_violation(report)
    fewest(before if before != every and fails(before) else every, fails, more=lambda: left > 0)
    return best


def _before_the_violation(report: Report) -> list[int]:
    numbers: list[int] = []
    for line in report.schedule:
        if " VIOLATION " in line:
            break
        fault = FAULT.search(line)
        if fault is not None:
            numbers.append(int(fault[1]))
    return numbers


def fewest(numbers: list[int], fails: Callable[[list[int]], bool], *, more: Callable[[], bool]) -> list[int]:
    """A part of `numbers` that `fails` and of which no element can be left out, if there is time (`more`) for that."""
    if more() and fails([]):
        return []
    parts = 2
    while len(numbers) > 1 and more():
        size = -(-len(numbers) // parts)
        chunks = [numbers[at : at + size] for at in range(0, len(numbers), size)]
        rests = [[number for number in numbers if number not in chunk] for chunk in chunks]
        candidates = [*chunks, *(rests if parts > 2 else [])]  # of two, each is the rest of the other
        smaller = next((each for each in candidates if more() and fails(each)), None)
        if smaller is not None:
            parts = 2 if smaller in chunks else max(parts - 1, 2)
            numbers = smaller
        elif size == 1:
            break
        else:
            parts = min(2 * parts, len(numbers))
    return numbers
