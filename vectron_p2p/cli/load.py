"""`vectron import`: points from files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options, consistency_option
from vectron_p2p.cli.readers import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWN_ERRORS = 5  # of rows that were not taken; --json has them all


@click.command("import")
@click.argument("name")
@click.argument("source", metavar="[F.jsonl[.gz] | F.parquet]", type=FILE, required=False)
@click.option("--vectors", type=FILE, help="A .npy array, one vector a row.")
@click.option("--payloads", type=FILE, help="JSON lines (.gz too), one payload for each row of --vectors.")
@click.option("--create", is_flag=True, help="Create the collection if there is none, by the dimension of the data.")
@click.option(
    "--metric", type=click.Choice(["cosine", "dot", "l2"]), default="cosine", show_default=True, help="With --create."
)
@click.option("--shards", type=int, help="With --create.")
@click.option("--replicas", type=int, default=3, show_default=True, help="With --create.")
@click.option("--batch", type=click.IntRange(1, 100_000), help="Points per batch; default: about 1 MiB.")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Batches in flight.")
@consistency_option("quorum")
@client_options
def load(
    name: str,
    source: Path | None,
    vectors: Path | None,
    payloads: Path | None,
    create: bool,
    metric: str,
    shards: int | None,
    replicas: int,
    batch: int | None,
    parallel: int,
    consistency: Any,
    connect: str,
    as_json: bool,
) -> int:
    """Import points into NAME from .npy, JSON lines or Parquet.

    The id is the key `id` of each payload, or else the row number. Writing the same points again changes nothing, so an
    import that was interrupted is resumed by running it again.
    """
    found = open_source(source, vectors, payloads)
    with client(connect) as db:
        if create and found.dimension:
            db.create_collection(
                name, dimension=found.dimension, metric=metric, shards=shards, replicas=replicas, if_not_exists=True
            )
        target = db.collection(name)
        if not found.dimension:
            target.info()  # nothing to write is fine, a collection that does not exist is not
        with _bar(found.total) as advance:
            report = target.upload(
                found.rows,
                batch_size=batch or "auto",
                parallel=parallel,
                progress=advance,
                on_error="collect",
                consistency=consistency,
            )
    if as_json:
        output.document(report)
    else:
        rate = report.sent / report.seconds if report.seconds else 0.0
        output.text(f"{report.sent:,} points imported in {report.seconds:.1f} s ({rate:,.0f}/s)")
    for entry in report.errors[:SHOWN_ERRORS]:
        first, after = entry["rows"]
        rows = f"row {first}" if after == first + 1 else f"rows {first} to {after - 1}"
        output.note(f"not imported: {rows}: {entry['message']} ({entry['code']})")
    if report.failed:
        output.note(f"{report.failed:,} points were not imported")
    return 1 if report.failed else 0


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int, int | None], None] | bool]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("importing", total=total)

        def advance(rows: int, _: int | None) -> None:
            bar.update(task, completed=rows)

        yield advance
