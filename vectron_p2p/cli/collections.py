"""`vectron collection`: create, show, change, delete."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options

if TYPE_CHECKING:
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.payload_fields import PayloadField

SHOWN = 60  # characters of values: a table fits a screen; `--json` has them all


def show_info(info: CollectionInfo, *, as_json: bool) -> None:
    if as_json:
        output.document(info)
    else:
        output.table(
            ("FIELD", "VALUE"), [(field.name, getattr(info, field.name)) for field in dataclasses.fields(info)]
        )


@click.group()
def collection() -> None:
    """Create, show, change and delete a collection."""


@collection.command()
@click.argument("name")
@click.option("--dimension", type=int, required=True, help="Of the vectors, 1 to 4096.")
@click.option("--metric", type=click.Choice(["cosine", "dot", "l2"]), default="cosine", show_default=True)
@click.option("--shards", type=int, help="A power of two; default: the smallest one >= the active nodes.")
@click.option("--replicas", type=int, default=3, show_default=True, help="Copies of each shard.")
@click.option("--m", type=int, default=16, show_default=True, help="Links per point in the graph.")
@click.option("--ef-construction", type=int, default=100, show_default=True, help="Effort when a point is linked.")
@click.option("--payload-index", multiple=True, metavar="FIELD", help="Index only these payload fields; default: all.")
@click.option("--no-payload-index", is_flag=True, help="Index no payload field: filters read payloads.")
@click.option("--if-not-exists", is_flag=True, help="An existing collection of that name is fine.")
@client_options
def create(
    name: str, payload_index: tuple[str, ...], no_payload_index: bool, connect: str, as_json: bool, **options: Any
) -> None:
    """Create the collection NAME."""
    if payload_index and no_payload_index:
        raise click.UsageError("give --payload-index or --no-payload-index")
    options["payload_index"] = payload_index or not no_payload_index
    with client(connect) as db:
        show_info(db.create_collection(name, **options).info(), as_json=as_json)


@collection.command()
@click.argument("name")
@client_options
def show(name: str, connect: str, as_json: bool) -> None:
    """Options and figures of the collection NAME."""
    with client(connect) as db:
        show_info(db.collection(name).info(), as_json=as_json)


@collection.command()
@click.argument("name")
@client_options
def fields(name: str, connect: str, as_json: bool) -> None:
    """What stands in the payloads of the collection NAME, field by field, of one replica of each shard."""
    with client(connect) as db:
        found = db.collection(name).fields()
    if as_json:
        output.document(found)
        return
    output.table(
        ("FIELD", "KINDS", "POINTS", "DISTINCT", "VALUES", "MEMORY"),
        [
            (
                each.name,
                ", ".join(each.kinds),
                f"{each.points:,}",
                f"{'' if each.distinct_exact else '>= '}{each.distinct:,}",
                _values(each),
                output.size(each.bytes),
            )
            for each in found.fields
        ],
        numbers=("POINTS", "DISTINCT", "MEMORY"),
    )
    if found.more:
        output.note(f"{output.plural(found.more, 'rarer field')} left out")
    if found.unindexed:
        output.note(
            f"{output.plural(found.unindexed, 'point')} of {found.points:,} not in the payload index, nor counted"
        )
    if found.missing_shards:
        output.note(
            f"{output.plural(found.missing_shards, 'shard')} of {found.shards} without figures: the sums lack them"
        )


def _values(field: PayloadField) -> str:
    """Those that there are, or between which ones they lie."""
    if field.values:
        shown = json.dumps(field.values, ensure_ascii=False)[1:-1]
        return shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."
    return "" if field.lowest is None else f"{field.lowest:g} .. {field.highest:g}"


@collection.command("set")
@click.argument("name")
@click.option("--replicas", type=int, required=True, help="Copies of each shard.")
@client_options
def set_(name: str, replicas: int, connect: str, as_json: bool) -> None:
    """Change the collection NAME. Replicas come and go in the background: see `vectron cluster moves`."""
    with client(connect) as db:
        info = db.set_replicas(name, replicas)
    if as_json:
        output.document(info)
    else:
        fewer = "shard has" if info.under_replicated == 1 else "shards have"
        wanted = output.plural(info.replicas, "replica")
        output.text(f"{name} is to have {wanted}; {info.under_replicated} {fewer} fewer")


@collection.command()
@click.argument("name")
@client_options
def delete(name: str, connect: str, as_json: bool) -> None:
    """Delete the collection NAME with all its points."""
    with client(connect) as db:
        db.delete_collection(name)
    if as_json:
        output.document({"deleted": name})
    else:
        output.text(f"deleted {name}")
