"""`vectron logs`: what the nodes last logged, through any of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options
from vectron_p2p.model.logs import LEVELS, MAX_LIMIT

if TYPE_CHECKING:
    from vectron_p2p.model.logs import LogRecord


@click.command()
@click.argument("node", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--level", type=click.Choice(list(LEVELS)), default="info", show_default=True, help="The lowest shown.")
@click.option("--slow", is_flag=True, help="Slow requests only.")
@click.option("--trace", metavar="ID", help="Only what belongs to one call: the trace id of an error or a record.")
@click.option(
    "--limit", "-n", type=click.IntRange(1, MAX_LIMIT), default=200, show_default=True, help="Newest records at first."
)
@client_options
def logs(
    node: str | None,
    follow: bool,
    level: str,
    slow: bool,
    trace: str | None,
    limit: int,
    connect: str,
    as_json: bool,
) -> None:
    """The last log records of NODE (name or id), or of all nodes, by time.

    Nodes keep about a megabyte of them in memory. With --follow and --json: an object per line.
    """
    with client(connect) as db:
        if follow:
            for record in db.logs(node, level=level, slow=slow, trace=trace, limit=limit, follow=True):
                click.echo(json.dumps(output.plain(record), ensure_ascii=False) if as_json else _line(record))
            return
        records = db.logs(node, level=level, slow=slow, trace=trace, limit=limit)
    if records.silent:
        output.note(f"no answer from {', '.join(records.silent)}: their records are missing")
    if as_json:
        output.document(records)
        return
    for record in records:
        output.text(_line(record))


def _line(record: LogRecord) -> str:
    from vectron_p2p.observability.logs import line

    at = datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    trace = {"trace": record.trace} if record.trace else {}
    return line(
        at, record.level, record.event, {"node": record.node, "logger": record.logger, **trace, **record.fields}
    )
