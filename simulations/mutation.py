"""`python -m simulations.mutation`: proves that the checkers bite.

Every rule of the protocol that can be left out is a mutant (`vectron_p2p.testing.mutants`). Each is run over seeds of
its scenario until some invariant breaks, first those that are known to catch it; the same seed of the unbroken code
must pass. Exit code 1 when a mutant survives all seeds. Rules that others subsume are named with the reason, and are
run only when they are asked for (`--only`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from vectron_p2p.testing.mutants import MUTANTS
from vectron_p2p.testing.simulation import simulate


@dataclass(frozen=True, slots=True)
class Hunt:
    """What became of one mutant. `seed` None: no seed caught it."""

    mutant: str
    rule: str
    leaves_out: str
    scenario: str
    seed: int | None
    invariants: tuple[str, ...]
    text: str
    """The first violation."""
    tried: int
    noise: tuple[int, ...]
    """Seeds at which the code breaks without the mutant too: they prove nothing."""
    cpu_s: float


def hunt(name: str, seeds: int, first: int = 1) -> Hunt:
    """Runs at most so many seeds until one catches the mutant `name`: those known to, then from `first` on."""
    mutant = MUTANTS[name]
    order = dict.fromkeys([*mutant.seeds, *range(first, first + seeds)])
    began, tried, broken = time.process_time(), 0, list[int]()
    for seed in list(order)[:seeds]:
        tried += 1
        report = simulate(seed, seconds=mutant.seconds, scenario=mutant.scenario, mutant=name)
        if not report.violations:
            continue
        if simulate(seed, seconds=mutant.seconds, scenario=mutant.scenario).violations:
            broken.append(seed)
            continue
        invariants = tuple(sorted({violation.invariant for violation in report.violations}))
        text = report.violations[0].text
        return _hunt(name, seed, invariants, text, tried, broken, began)
    return _hunt(name, None, (), "", tried, broken, began)


def _hunt(
    name: str, seed: int | None, invariants: tuple[str, ...], text: str, tried: int, broken: list[int], began: float
) -> Hunt:
    mutant, cpu = MUTANTS[name], time.process_time() - began
    return Hunt(
        name, mutant.rule, mutant.leaves_out, mutant.scenario, seed, invariants, text, tried, tuple(broken), cpu
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulations.mutation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="at most, per mutant")
    parser.add_argument("--first", type=int, default=1, help="the first seed, after those that are known to catch one")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write what became of them there too")
    options = parser.parse_args()
    unknown = sorted(set(options.only or ()) - set(MUTANTS))
    if unknown:
        parser.error(f"no such mutant: {', '.join(unknown)}; there are {', '.join(sorted(MUTANTS))}")
    subsumed = [] if options.only else [mutant for mutant in MUTANTS.values() if mutant.subsumed_by]
    names = options.only or [name for name, mutant in MUTANTS.items() if not mutant.subsumed_by]
    hunts: list[Hunt] = []
    # Spawned: what one mutant leaves in the memory of its process must not reach the next.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        pending = [pool.submit(hunt, name, options.seeds, options.first) for name in names]
        for future in as_completed(pending):
            hunts.append(future.result())
            _say(line(hunts[-1]))
    hunts.sort(key=lambda each: names.index(each.mutant))
    sys.stdout.write(table(hunts))
    for mutant in subsumed:
        sys.stdout.write(f"not run: {mutant.rule:6} {mutant.name}: {mutant.subsumed_by}\n")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in hunts], indent=1) + "\n")
    survivors = [each.mutant for each in hunts if each.seed is None]
    if survivors:
        _say(f"FAILED: not caught within {options.seeds} seeds: {', '.join(survivors)}")
    return 1 if survivors else 0


def line(each: Hunt) -> str:
    caught = "SURVIVED" if each.seed is None else f"seed {each.seed}: {', '.join(each.invariants)}"
    noise = f"  (broken without it: {each.noise})" if each.noise else ""
    return f"{each.mutant:36} {each.scenario:13} {caught:40} {each.tried:4} seeds {each.cpu_s:7.1f} CPU s{noise}"


def table(hunts: list[Hunt]) -> str:
    """For people, by rule."""
    caught = sum(each.seed is not None for each in hunts)
    cpu = sum(each.cpu_s for each in hunts)
    rows = [f"{each.rule:11} {line(each)}\n{'':12}without: {each.leaves_out}" for each in hunts]
    return "\n".join([*rows, f"{caught} of {len(hunts)} mutants caught, {cpu:.0f} CPU s", ""])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
