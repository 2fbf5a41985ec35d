"""`vectron simulate`: runs seeds of the deterministic simulation, on all cores."""

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


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> range:
    match = SEEDS.fullmatch(value)
    if match is None:
        raise click.BadParameter("give A..B (both included) or one number")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first:
        raise click.BadParameter("A..B with A <= B")
    return range(first, last + 1)


@click.command()
@click.option("--seeds", default="1..10", show_default=True, callback=_seeds, metavar="A..B", help="Both included.")
@click.option("--seconds", default=60.0, show_default=True, help="Virtual seconds under faults, per seed.")
@click.option("--mutant", default=None, help="Run a deliberately broken variant, which has to be caught.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Seeds run at a time.")
@click.option("--schedule", is_flag=True, help="Print the faults of each failing seed.")
@json_option
def simulate(seeds: range, seconds: float, mutant: str | None, jobs: int, schedule: bool, as_json: bool) -> None:
    """Run whole clusters under simulated faults.

    The nodes are the real ones; network, disk and clock are simulated, and the faults drawn from each seed.

    Exit code 1 when any seed violates what the database promises; the command that replays it is printed.
    """
    from vectron_p2p.testing.mutants import MUTANTS
    from vectron_p2p.testing.simulation import sweep

    if mutant is not None and mutant not in MUTANTS:
        raise click.BadParameter(f"one of {', '.join(sorted(MUTANTS))}", param_hint="--mutant")
    failed = 0
    reports: list[Report] = []
    for report in sweep(seeds, seconds=seconds, mutant=mutant, jobs=jobs):
        reports.append(report)
        failed += bool(report.violations)
        if not as_json:
            _print(report, seconds, mutant, schedule)
    if as_json:
        output.document({"seeds": len(reports), "failed": failed, "reports": reports})
    else:
        output.text(f"{len(reports)} seeds, {failed} with violations")
    if failed:
        sys.exit(1)


def _print(report: Report, seconds: float, mutant: str | None, schedule: bool) -> None:
    word = "FAILED" if report.violations else "ok"
    output.text(
        f"seed {report.seed}: {word}  {report.nodes} nodes, {report.virtual_seconds:.0f} virtual s, "
        f"{report.acknowledged} writes acknowledged, {report.failed} operations failed, trace {report.trace[:16]}"
    )
    if not report.violations:
        return
    for violation in report.violations:
        output.text(f"  {violation}")
    if schedule:
        for line in report.schedule:
            output.text(f"  | {line}")
    variant = f" --mutant {mutant}" if mutant else ""
    output.text(f"  replay: vectron simulate --seeds {report.seed} --seconds {seconds:g}{variant} --schedule")
