"""`vectron search`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from vectron_p2p.cli import explain, output
from vectron_p2p.cli.options import Id, Json, client, client_options, consistency_option, filter_option

if TYPE_CHECKING:
    from vectron_p2p.model.points import SearchResult

PAYLOAD_WIDTH = 100  # of a payload in the table; --json has it whole


@click.command()
@click.argument("name")
@click.option("--vector", type=Json(list, "'[0.1, 0.2, 0.3]'"), help="The query.")
@click.option(
    "--like", type=Id(), multiple=True, help="Points near this one (itself left out); several: near their mean."
)
@click.option("--unlike", type=Id(), multiple=True, help="With --like: and away from this one.")
@click.option("-k", default=10, show_default=True, type=int, help="How many hits.")
@filter_option
@click.option("--group-by", metavar="FIELD", help="The best hits per value of a payload field; -k counts values.")
@click.option("--group-size", type=int, metavar="N", help="Hits per value; default: 1.")
@click.option("--offset", default=0, type=int, metavar="N", help="Hits to skip.")
@click.option("--score-threshold", type=float, metavar="SCORE", help="No hits worse than this.")
@click.option("--ef", type=int, help="Effort in the graph; default: chosen by k.")
@click.option("--exact", is_flag=True, help="Compare with every point.")
@click.option("--with-vector", is_flag=True, help="Return vectors too (seen with --json).")
@click.option("--timeout", type=float, metavar="SECONDS", help="Show what was found by then.")
@click.option("--explain", is_flag=True, help="Show how each shard was searched.")
@consistency_option("one")
@client_options
def search(
    name: str,
    vector: list[float] | None,
    like: tuple[int | str, ...],
    unlike: tuple[int | str, ...],
    where: dict[str, Any] | None,
    connect: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the points of NAME nearest to a vector or to points."""
    if (vector is None) == (not like):
        raise click.UsageError("give exactly one of --vector and --like")
    if unlike and not like:
        raise click.UsageError("--unlike goes with --like")
    with client(connect) as db:
        collection = db.collection(name)
        if len(like) + len(unlike) > 1:
            result = collection.recommend(like, unlike, filter=where, **options)
        else:
            result = collection.search(vector, id=like[0] if like else None, filter=where, **options)
    if as_json:
        document = result.as_dict()
        if result.groups is None:
            del document["groups"]
        output.document(document)
        return
    _show_hits(result)
    if result.plan is not None:
        explain.show(result.plan, result.took_ms)
    if result.partial:
        output.note(f"partial: no answer from shards {', '.join(map(str, result.missing_shards))}")


def _show_hits(result: SearchResult) -> None:
    groups = [json.dumps(group.value, ensure_ascii=False) for group in result.groups or [] for _ in group.hits]
    rows: list[tuple[str, ...]] = [
        (
            json.dumps(hit.id, ensure_ascii=False),
            f"{hit.score:.4f}",
            _short(json.dumps(output.plain(hit.payload), ensure_ascii=False)),
        )
        for hit in result
    ]
    if result.groups is None:
        output.table(("ID", "SCORE", "PAYLOAD"), rows, numbers=("SCORE",))
        return
    rows = [(group, *row) for group, row in zip(groups, rows, strict=True)]
    output.table(("GROUP", "ID", "SCORE", "PAYLOAD"), rows, numbers=("SCORE",))


def _short(text: str) -> str:
    return text if len(text) <= PAYLOAD_WIDTH else text[: PAYLOAD_WIDTH - 1] + "…"
