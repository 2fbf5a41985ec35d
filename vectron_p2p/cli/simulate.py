"""`vectron simulate`: runs seeds of the deterministic simulation, on all cores, and shrinks what fails."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import json_option

if TYPE_CHECKING:
    from vectron_p2p.testing.simulation import Report

SEEDS = re.compile(r"(\d+)(?:\.\.(\d+))?")
SHRUNK = 3  # failing seeds of a call that are shrunk: each takes about a minute, and they tend to be one defect


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> range:
    match = SEEDS.fullmatch(value)
    if match is None:
        raise click.BadParameter("give A..B (both included) or one number")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first:
        raise click.BadParameter("A..B with A <= B")
    return range(first, last + 1)


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None or value == "none":
        return None if value is None else []
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        raise click.BadParameter("give numbers of faults, as 3,7,9, or none") from None


@click.command()
@click.option("--seeds", default="1..10", show_default=True, callback=_seeds, metavar="A..B", help="Both included.")
@click.option("--scenario", default="mixed", show_default=True, help="What may happen; an unknown name lists them all.")
@click.option("--seconds", default=60.0, show_default=True, help="Virtual seconds under faults, per seed.")
@click.option("--keep", callback=_numbers, metavar="N,N", help="Of one seed: do these of its faults alone.")
@click.option("--mutant", default=None, help="Run a deliberately broken variant, which has to be caught.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Seeds run at a time.")
@click.option("--schedule", is_flag=True, help="Print what happened in each failing seed, or in the only one.")
@click.option("--shrink/--no-shrink", default=True, show_default=True, help="Look for fewer faults that still fail.")
@json_option
def simulate(
    seeds: range,
    scenario: str,
    seconds: float,
    keep: list[int] | None,
    mutant: str | None,
    jobs: int,
    schedule: bool,
    shrink: bool,
    as_json: bool,
) -> None:
    """Run whole clusters under simulated faults.

    The nodes are the real ones; network, disk and clock are simulated, and the faults drawn from each seed.

    Exit code 1 when any seed violates what the database promises; the invariant is named, the faults are shrunk to few
    that still break it, and the command that replays them is printed.
    """
    from vectron_p2p.testing import simulation
    from vectron_p2p.testing.mutants import MUTANTS
    from vectron_p2p.testing.simulation.shrink import shrink as shrunk

    for name, value, known in (("--mutant", mutant, MUTANTS), ("--scenario", scenario, simulation.SCENARIOS)):
        if value is not None and value not in known:
            raise click.BadParameter(f"one of {', '.join(sorted(known))}", param_hint=name)
    if keep is not None:
        if len(seeds) > 1:
            raise click.BadParameter("the numbers are those of one seed", param_hint="--keep")
        report = simulation.simulate(seeds[0], seconds=seconds, scenario=scenario, keep=keep, mutant=mutant)
        runs = iter([report])
        shrink = False
    else:
        runs = simulation.sweep(seeds, seconds=seconds, mutant=mutant, jobs=jobs, scenario=scenario)
    reports: list[Report] = []
    failed = 0
    for report in runs:
        failed += bool(report.violations)
        if report.violations and shrink and failed <= SHRUNK:
            report = shrunk(report, mutant=mutant)
        reports.append(report)
        if not as_json:
            _print(report, mutant, schedule and (bool(report.violations) or len(seeds) == 1))
    if as_json:
        output.document({"seeds": len(reports), "failed": failed, "reports": reports})
    else:
        output.text(f"{len(reports)} seeds, {failed} with violations")
    if failed:
        sys.exit(1)


def _print(report: Report, mutant: str | None, schedule: bool) -> None:
    word = "FAILED" if report.violations else "ok"
    faults = report.actions if report.kept is None else f"{len(report.kept)} of {report.actions}"
    output.text(
        f"seed {report.seed}: {word}  {report.nodes} nodes, {faults} faults, {report.virtual_seconds:.0f} virtual s, "
        f"{report.operations} operations, {report.failed} of them failed, trace {report.trace[:16]}"
    )
    for violation in report.violations:
        output.text(f"  {violation}")
    if schedule:
        for line in report.schedule:
            output.text(f"  | {line}")
    elif report.violations:
        for line in report.schedule:
            if " fault " in line or " begins" in line:
                output.text(f"  | {line}")
    if report.violations:
        output.text(f"  replay: {report.replay(mutant)}")
