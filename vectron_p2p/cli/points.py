"""Points by id: count, get, upsert, delete."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import Id, client, client_options, consistency_option, filter_option

if TYPE_CHECKING:
    from vectron_p2p.model.points import WriteResult


@click.command()
@click.argument("name")
@filter_option
@client_options
def count(name: str, where: dict[str, Any] | None, connect: str, as_json: bool) -> None:
    """Count the points of NAME."""
    with client(connect) as db:
        found = db.collection(name).count(filter=where)
    if as_json:
        output.document({"count": found})
    else:
        output.text(str(found))


@click.command()
@click.argument("name")
@click.argument("ids", metavar="ID...", type=Id(), nargs=-1, required=True)
@click.option("--with-vector", is_flag=True, help="Return vectors too.")
@consistency_option("quorum")
@client_options
def get(
    name: str, ids: tuple[int | str, ...], with_vector: bool, consistency: Any, connect: str, as_json: bool
) -> None:
    """Get points of NAME by id.

    In the order asked, null where there is none. An ID made of digits is an int; write '"1"' for the str.
    """
    with client(connect) as db:
        found = db.collection(name).get(ids, with_vector=with_vector, consistency=consistency)
    if as_json:
        output.document(found)
        return
    for point in found:
        output.text(json.dumps(output.plain(point), ensure_ascii=False))


@click.command()
@click.argument("name")
@click.argument("ids", metavar="ID...", type=Id(), nargs=-1, required=True)
@consistency_option("quorum")
@client_options
def delete(name: str, ids: tuple[int | str, ...], consistency: Any, connect: str, as_json: bool) -> None:
    """Delete points of NAME by id.

    What is not there is no error. An ID made of digits is an int; write '"1"' for the str.
    """
    with client(connect) as db:
        _written(db.collection(name).delete(ids=ids, consistency=consistency), "deleted", as_json=as_json)


@click.command()
@click.argument("name")
@consistency_option("quorum")
@client_options
def upsert(name: str, consistency: Any, connect: str, as_json: bool) -> None:
    """Write points to NAME, read from stdin.

    Each line is a JSON object with id, vector and payload.
    """
    rows = []
    for number, line in enumerate(sys.stdin.buffer, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise click.UsageError(f"line {number} of stdin is no JSON: {error}") from None
    with client(connect) as db:
        _written(db.collection(name).upsert(rows, consistency=consistency), "written", as_json=as_json)


def _written(result: WriteResult, word: str, *, as_json: bool) -> None:
    if as_json:
        output.document(result)
    else:
        output.text(f"{result.count} {word}")
