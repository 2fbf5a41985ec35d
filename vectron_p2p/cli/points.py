"""Points: count, get, upsert, delete, and changes of payloads."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import Id, Json, client, client_options, consistency_option, filter_option

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
@consistency_option("quorum", linearizable=True)
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
@filter_option
@click.option("--order-by", metavar="FIELD", help="In the order of a payload field; default: of the ids.")
@click.option("--desc", is_flag=True, help="With --order-by: from the greatest on.")
@click.option("--start-from", type=Json((int, float, str), "2020"), help="With --order-by: from this value on.")
@click.option("--limit", default=100, show_default=True, type=int, help="Points at most.")
@click.option("--cursor", help="Go on behind an earlier page.")
@click.option("--with-vector", is_flag=True, help="Return vectors too.")
@client_options
def scroll(
    name: str,
    where: dict[str, Any] | None,
    order_by: str | None,
    desc: bool,
    start_from: Any,
    limit: int,
    cursor: str | None,
    with_vector: bool,
    connect: str,
    as_json: bool,
) -> None:
    """List the points of NAME, a page at a time; the cursor of the next page goes to stderr."""
    if order_by is None and (desc or start_from is not None):
        raise click.UsageError("--desc and --start-from go with --order-by")
    order = None if order_by is None else {"key": order_by, "direction": "desc" if desc else "asc"}
    if order is not None and start_from is not None:
        order["start_from"] = start_from
    with client(connect) as db:
        page = db.collection(name).scroll(
            filter=where, limit=limit, cursor=cursor, with_vector=with_vector, order_by=order
        )
    if as_json:
        output.document(page)
        return
    for point in page.points:
        output.text(json.dumps(output.plain(point), ensure_ascii=False))
    if page.cursor is not None:
        output.note(f"more: --cursor {page.cursor}")


@click.command()
@click.argument("name")
@click.argument("ids", metavar="[ID]...", type=Id(), nargs=-1)
@filter_option
@consistency_option("quorum", linearizable=True)
@client_options
def delete(
    name: str,
    ids: tuple[int | str, ...],
    where: dict[str, Any] | None,
    consistency: Any,
    connect: str,
    as_json: bool,
) -> None:
    """Delete points of NAME by id, or all that match --filter.

    What is not there is no error. An ID made of digits is an int; write '"1"' for the str.
    """
    chosen = _chosen(ids, where)
    with client(connect) as db:
        _written(db.collection(name).delete(**chosen, consistency=consistency), "deleted", as_json=as_json)


@click.command("set-payload")
@click.argument("name")
@click.argument("payload", type=Json(dict, """'{"year": 2024}'"""))
@click.argument("ids", metavar="[ID]...", type=Id(), nargs=-1)
@filter_option
@client_options
def set_payload(
    name: str,
    payload: dict[str, Any],
    ids: tuple[int | str, ...],
    where: dict[str, Any] | None,
    connect: str,
    as_json: bool,
) -> None:
    """Set the top-level keys of PAYLOAD in points of NAME, by id or by --filter."""
    chosen = _chosen(ids, where)
    with client(connect) as db:
        _written(db.collection(name).set_payload(payload, **chosen), "changed", as_json=as_json)


@click.command("delete-payload")
@click.argument("name")
@click.argument("ids", metavar="[ID]...", type=Id(), nargs=-1)
@click.option("--key", "keys", multiple=True, required=True, help="A top-level key; may be given several times.")
@filter_option
@client_options
def delete_payload(
    name: str,
    ids: tuple[int | str, ...],
    keys: tuple[str, ...],
    where: dict[str, Any] | None,
    connect: str,
    as_json: bool,
) -> None:
    """Take top-level keys out of the payloads of points of NAME, by id or by --filter."""
    chosen = _chosen(ids, where)
    with client(connect) as db:
        _written(db.collection(name).delete_payload(keys, **chosen), "changed", as_json=as_json)


def _chosen(ids: tuple[int | str, ...], where: dict[str, Any] | None) -> dict[str, Any]:
    if bool(ids) == (where is not None):
        raise click.UsageError("give either IDs or --filter")
    return {"ids": ids} if ids else {"filter": where}


@click.command()
@click.argument("name")
@click.option(
    "--mode",
    type=click.Choice(["upsert", "insert", "update"]),
    default="upsert",
    show_default=True,
    help="insert: only what is not there; update: only what is.",
)
@click.option("--if-version", metavar="VERSION", help="Write the one point only if it is at this version.")
@consistency_option("quorum", linearizable=True)
@client_options
def upsert(name: str, mode: Any, if_version: str | None, consistency: Any, connect: str, as_json: bool) -> None:
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
        result = db.collection(name).upsert(rows, consistency=consistency, mode=mode, if_version=if_version)
        _written(result, "written", as_json=as_json)


def _written(result: WriteResult, word: str, *, as_json: bool) -> None:
    if as_json:
        output.document(result)
    else:
        output.text(f"{result.count} {word}")
