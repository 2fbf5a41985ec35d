"""`vectron search`."""

from __future__ import annotations

import json
from typing import Any

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import Id, Json, client, client_options, consistency_option, filter_option

PAYLOAD_WIDTH = 100  # of a payload in the table; --json has it whole


@click.command()
@click.argument("name")
@click.option("--vector", type=Json(list, "'[0.1, 0.2, 0.3]'"), help="The query.")
@click.option("--like", type=Id(), help="Points near this one (itself left out).")
@click.option("-k", default=10, show_default=True, type=int, help="How many hits.")
@filter_option
@click.option("--ef", type=int, help="Effort in the graph; default: chosen by k.")
@click.option("--exact", is_flag=True, help="Compare with every point.")
@click.option("--explain", is_flag=True, help="Show how each shard was searched.")
@consistency_option("one")
@client_options
def search(
    name: str,
    vector: list[float] | None,
    like: int | str | None,
    where: dict[str, Any] | None,
    connect: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the points of NAME nearest to a vector or a point."""
    if (vector is None) == (like is None):
        raise click.UsageError("give exactly one of --vector and --like")
    with client(connect) as db:
        result = db.collection(name).search(vector, id=like, filter=where, **options)
    if as_json:
        output.document(result)
        return
    output.table(
        ("ID", "SCORE", "PAYLOAD"),
        [
            (
                json.dumps(hit.id, ensure_ascii=False),
                f"{hit.score:.4f}",
                _short(json.dumps(output.plain(hit.payload), ensure_ascii=False)),
            )
            for hit in result
        ],
        numbers=("SCORE",),
    )
    if result.plan is not None:
        for step in result.plan:
            output.text(json.dumps(output.plain(step)))
    if result.partial:
        output.note(f"partial: no answer from shards {', '.join(map(str, result.missing_shards))}")


def _short(text: str) -> str:
    return text if len(text) <= PAYLOAD_WIDTH else text[: PAYLOAD_WIDTH - 1] + "…"
