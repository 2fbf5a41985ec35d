"""`vectron import`: points from files."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.importing import ResumeFile, Watcher, shown
from vectron_p2p.cli.options import client, client_options, consistency_option
from vectron_p2p.cli.readers import open_source
from vectron_p2p.model.points import UploadReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.cli.readers import Row, Source

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWN_ERRORS = 5  # rejected rows on the terminal
MAX_REJECTED = 1_000  # as cqlsh's COPY: more are no slips, but the wrong file or a wrong column


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
@click.option("--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Rows not taken, as JSON lines.")
@click.option(
    "--max-rejected",
    type=click.IntRange(0),
    default=MAX_REJECTED,
    show_default=True,
    help="End when more rows than that are rejected.",
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep in this file how far it is, and go on from there. Removed when all is done.",
)
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
    rejects: Path | None,
    max_rejected: int,
    resume: Path | None,
    consistency: Any,
    connect: str,
    as_json: bool,
) -> int:
    """Import points into NAME from .npy, JSON lines or Parquet.

    The id is the key `id` of each payload, or else the row number (from 0). Rows that are no points of the collection
    are rejected, the others imported. Writing the same points again changes nothing, so an import that was interrupted
    may be run again; with --resume it goes on where it was.
    """
    # numpy and the client: `vectron import --help` does without
    from vectron_p2p.client.batches import UploadOptions
    from vectron_p2p.client.sync_upload import send

    found = open_source(source, vectors, payloads)
    paths = [path.resolve() for path in (*found.files, rejects, resume) if path is not None]
    if len(set(paths)) < len(paths):
        raise click.UsageError("--rejects, --resume and the files to import are files of their own")
    with client(connect) as db:
        if create and found.dimension:
            db.create_collection(
                name, dimension=found.dimension, metric=metric, shards=shards, replicas=replicas, if_not_exists=True
            )
        info = db.collection(name).info()
        # It has found the cluster: a node that is away from now on restarts, and is waited for as long as a call lasts.
        db.session.retry = replace(db.session.retry, unreachable_s=math.inf)
        if vectors is not None and found.dimension != info.dimension:
            raise click.ClickException(
                f"collection {name!r} has dimension {info.dimension}, the vectors in {vectors} {found.dimension}"
            )
        kept = ResumeFile(resume, info.id, found.files)
        done = kept.read()
        options = UploadOptions(
            batch, parallel, collect=True, only_rows=True, first=done.rows, dimension=info.dimension, metric=info.metric
        )
        with shown(quiet=as_json) as show:
            watcher = Watcher(kept, rejects, most=max_rejected, done=done, show=show)
            try:
                rows = _from(found, done.rows)
                send(db, name, rows, options, total=found.total, consistency=consistency, watch=watcher)
                watcher.save()
            except BaseException:
                watcher.save()
                _say_rejected(watcher, rejects)
                output.note(f"the first {watcher.prefix:,} rows are done; {_how_to_go_on(resume)}")
                raise
            finally:
                watcher.close()
    kept.remove()
    seconds = time.monotonic() - watcher.began
    if as_json:
        output.document(UploadReport(watcher.sent, watcher.rejected, watcher.errors, seconds))
    else:
        rate = watcher.sent / seconds if seconds else 0.0
        output.text(f"{output.plural(watcher.sent, 'point')} imported in {seconds:.1f} s ({rate:,.0f}/s)")
    _say_rejected(watcher, rejects)
    return 1 if watcher.rejected else 0


def _from(source: Source, first: int) -> Iterator[Row]:
    """The rows from number `first` on."""
    rows = iter(source.rows)
    for row in islice(rows, first):
        del row
    return rows


def _how_to_go_on(resume: Path | None) -> str:
    if resume is not None:
        return "run the same command again to go on from there"
    return "run it again: points that are there already are written again, which changes nothing (or see --resume)"


def _say_rejected(watcher: Watcher, rejects: Path | None) -> None:
    for entry in watcher.errors[:SHOWN_ERRORS]:
        point = "" if entry["id"] is None else f" (id {entry['id']!r:.60})"
        output.note(f"not imported: row {entry['rows'][0]}{point}: {entry['message']} ({entry['code']})")
    if watcher.rejected:
        where = f"; all of them are in {rejects}" if rejects is not None else ""
        were = "was" if watcher.rejected == 1 else "were"
        output.note(f"{output.plural(watcher.rejected, 'row')} {were} not imported{where}")
