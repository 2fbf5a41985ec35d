"""`vectron cluster drain|remove|rebalance|moves`: which nodes hold the shards, and how far changes of that are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.moves import MovesReport

no_wait = click.option("--no-wait", is_flag=True, help="Do not wait: the cluster goes on by itself.")


@click.command()
@click.argument("node")
@click.option("--cancel", is_flag=True, help="Have a node that is draining stay instead.")
@no_wait
@client_options
def drain(node: str, cancel: bool, no_wait: bool, connect: str, as_json: bool) -> None:
    """Have NODE (name or id) give its shards to others and leave the cluster.

    Reads, writes and searches go on meanwhile. Waits until it owns nothing and has left; its process then ends by
    itself, and its folder can be deleted. Interrupting this command stops nothing.
    """
    with client(connect) as db:
        report = db.drain(node, wait=not no_wait, cancel=cancel, on_progress=_progress(as_json))
    _say(report, as_json)


@click.command()
@click.argument("node")
@no_wait
@client_options
def remove(node: str, no_wait: bool, connect: str, as_json: bool) -> None:
    """Give up NODE (name or id), which is dead for good.

    Its replicas are rebuilt on other nodes from those that are left; what it alone had acknowledged (writes at
    consistency "one") is lost with it. It can never come back: a machine that does joins as a new node, with an empty
    folder. A node that is alive is refused: drain it.
    """
    with client(connect) as db:
        report = db.remove(node, wait=not no_wait, on_progress=_progress(as_json))
    _say(report, as_json)


@click.command()
@no_wait
@client_options
def rebalance(no_wait: bool, connect: str, as_json: bool) -> None:
    """Wait until every shard lies where it should.

    The cluster moves shards by itself, from some seconds after nodes came or went; this shows how far that is.
    """
    with client(connect) as db:
        report = db.rebalance(wait=not no_wait, on_progress=_progress(as_json))
    _say(report, as_json)


@click.command()
@client_options
def moves(connect: str, as_json: bool) -> None:
    """Shards that are being moved."""
    with client(connect) as db:
        report = db.moves()
    if as_json:
        output.document(report)
        return
    output.table(
        ("COLLECTION", "SHARD", "FROM", "TO", "STEP", "PHASE", "ROWS", "BYTES", "SECONDS", "WAITS_FOR"),
        [
            (
                each.collection,
                each.shard,
                each.leaving or "-",
                each.coming or "-",
                each.step,
                each.phase,
                f"{each.rows}/{output.figure(each.total)}",
                output.size(each.bytes),
                f"{each.since_s:.0f}",
                each.error or "-",
            )
            for each in report.moves
        ],
        numbers=("SHARD", "ROWS", "BYTES", "SECONDS"),
    )
    output.text(_summary(report))


def _progress(as_json: bool) -> Callable[[MovesReport], None] | None:
    """One line on stderr, written over, where that is a terminal."""
    if as_json or not sys.stderr.isatty():
        return None

    def show(report: MovesReport) -> None:
        click.echo(f"\r\x1b[K{_summary(report)}", err=True, nl=False)
        if report.settled:
            click.echo("", err=True)

    return show


def _summary(report: MovesReport) -> str:
    copied = sum(each.rows for each in report.moves)
    total = sum(max(each.total, 0) for each in report.moves)
    moving = output.plural(len(report.moves), "shard is", "shards are")
    more = output.plural(report.wanted, "more is", "more are")
    text = f"{moving} being moved ({copied} of {total} rows copied), {more} to be"
    if report.under_replicated:
        text += f", {output.plural(report.under_replicated, 'has', 'have')} too few replicas"
    return (
        f"{report.name} {report.state}, {output.plural(report.shards, 'shard')} left: {text}" if report.node else text
    )


def _say(report: MovesReport, as_json: bool) -> None:
    if as_json:
        output.document(report)
    elif report.state == "left":
        output.text(f"{report.name} has left the cluster; its folder can be deleted")
    elif report.settled and not report.shards and report.node:
        output.text(f"{report.name} is {report.state}; every shard lies where it should")
    elif report.settled:
        output.text("every shard lies where it should")
    else:
        output.text(_summary(report))
