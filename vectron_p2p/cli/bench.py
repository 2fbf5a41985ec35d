"""`vectron bench`: real nodes beside raw hnswlib and other engines on this machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vectron_p2p.bench.settings import GROUPS
from vectron_p2p.cli import output

if TYPE_CHECKING:
    from vectron_p2p.bench.run import Report
    from vectron_p2p.bench.targets import Target

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


def _groups(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return GROUPS
    asked = {word.strip() for word in value.split(",")}
    if unknown := asked.difference(GROUPS):
        raise click.BadParameter(f"no {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return tuple(name for name in GROUPS if name in asked)


def _efs(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        found = tuple(sorted({int(word) for word in value.split(",")}))
    except ValueError:
        raise click.BadParameter("give numbers, as 32,64,128") from None
    if found[0] < 10:
        raise click.BadParameter("at least 10, as ten neighbours are asked for")
    return found


@click.command()
@click.option("--vectors", type=FILE, help="A .npy array, one vector a row; default: the shipped sample.")
@click.option("--queries", type=FILE, help="A .npy array.")
@click.option("--truth", type=FILE, help="A .npy array: row numbers of the nearest by cosine; default: computed.")
@click.option("--payloads", type=FILE, help="JSON lines (.gz too), one for each row of --vectors.")
@click.option("--points", type=click.IntRange(100), help="Use only the first rows.")
@click.option("--only", "groups", callback=_groups, metavar="NAME,NAME", help=f"Of {', '.join(GROUPS)}.")
@click.option("--quick", is_flag=True, help="Show in seconds that all of it works; the figures mean nothing.")
@click.option("--ef", "efs", callback=_efs, metavar="N,N", help="Of the curve; default: ten from 10 to 256.")
@click.option("--repeats", type=click.IntRange(1, 100), help="Of each measurement; default 3.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), help="Of each window of single searches; default 3.")
@click.option("--threads", type=click.IntRange(1, 256), help="Of raw hnswlib; default: as many as a node has.")
@click.option("--json", "json_file", type=NEW_FILE, metavar="FILE", help="Write everything that was measured.")
@click.option("--plot", "picture", type=NEW_FILE, metavar="FILE.png", help="Draw q/s against recall for each ef.")
@click.option("--targets", "targets_file", type=FILE, help="TOML with what figures should be; exit code 1 when short.")
def bench(
    vectors: Path | None,
    queries: Path | None,
    truth: Path | None,
    payloads: Path | None,
    points: int | None,
    groups: tuple[str, ...],
    quick: bool,
    efs: tuple[int, ...] | None,
    repeats: int | None,
    seconds: float | None,
    threads: int | None,
    json_file: Path | None,
    picture: Path | None,
    targets_file: Path | None,
) -> int:
    """Measure this machine: real nodes beside raw hnswlib, and other engines where installed, in one run.

    Starts nodes of its own in a temporary folder and leaves nothing behind. Both sides have the same M, ef_construction
    and ef (the lowest with recall@10 >= 0.95 on both), and no query is asked twice. Chroma, Qdrant Edge and zvec are
    measured too where they are installed (the extra [engines]), each at its own lowest such ef.
    """
    from vectron_p2p.bench import settings as configured
    from vectron_p2p.bench.data import load_files
    from vectron_p2p.bench.load import BenchFailed
    from vectron_p2p.bench.plot import available, plot
    from vectron_p2p.bench.report import document
    from vectron_p2p.bench.run import bench as run
    from vectron_p2p.bench.targets import read_targets
    from vectron_p2p.testing.processes import ProcessFailed

    if picture is not None and not available():
        raise click.ClickException("--plot needs matplotlib: pip install matplotlib (the extra [bench])")
    targets = read_targets(targets_file) if targets_file is not None else []
    settings = configured.quick(groups) if quick else configured.Settings(groups=groups)
    settings = dataclasses.replace(
        settings,
        efs=efs or settings.efs,
        repeats=repeats or settings.repeats,
        seconds=seconds or settings.seconds,
        threads=threads or settings.threads,
    )
    data = load_files(vectors, queries, truth, payloads, points or (configured.QUICK_POINTS if quick else None))
    try:
        report = run(data, settings, output.note)
    except (BenchFailed, ProcessFailed) as error:
        raise click.ClickException(str(error)) from None
    if json_file is not None:
        text = json.dumps(output.plain(document(report, targets)), ensure_ascii=False, indent=2)
        json_file.write_text(f"{text}\n", encoding="utf-8")
    if picture is not None:
        plot(report, picture)
    return _print(report, targets)


def _print(report: Report, targets: list[Target]) -> int:
    """The tables; 1 when a figure falls short of a target."""
    from vectron_p2p.bench.report import COLUMNS, CURVE_COLUMNS, NUMBERS, curve_cells, lines, shortfalls

    about = report.about
    settings = about["settings"]
    output.text(
        f"{about['data']}: {about['points']:,} points x {about['dimension']}, {about['queries']:,} queries; "
        f"M {settings.m}, ef_construction {settings.ef_construction}, raw hnswlib on {settings.threads} threads "
        f"(add_items {about['raw_add_items_per_s']:,.0f} points/s), {about['cpus']} cores shared by nodes and clients\n"
    )
    output.table(CURVE_COLUMNS, curve_cells(report), numbers=NUMBERS)
    output.text(f"\nspeeds at ef {report.ef}; median of {settings.repeats}, each of its own queries\n")
    columns = [*COLUMNS, *(("target",) if targets else ())]
    output.table(columns, [line for row in report.rows for line in lines(row, targets)], numbers=NUMBERS)
    short = shortfalls(report, targets)
    for line in short:
        output.note(f"short: {line}")
    return 1 if short else 0
