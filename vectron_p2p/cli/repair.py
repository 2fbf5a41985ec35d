"""`vectron cluster repair`: compare all replicas, copy what some lack, report."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options

if TYPE_CHECKING:
    from vectron_p2p.model.repair import RepairReport


@click.command()
@click.argument("node", required=False)
@client_options
def repair(node: str | None, connect: str, as_json: bool) -> int:
    """Compare all replicas, or those of NODE (name or id), with their other owners, and copy what some lack.

    The nodes do so by themselves all the time; this does it now, waits, and says what was found. Exit code 1 when
    something could not be compared, or differs still.
    """
    with client(connect) as db:
        report = db.repair(node, on_progress=None if as_json else _show)
    if as_json:
        output.document({"nodes": report.nodes, "complete": report.complete})
    else:
        _table(report)
    return 0 if report.complete else 1


def _show(report: RepairReport) -> None:
    """One line on stderr, written over, where that is a terminal."""
    if sys.stderr.isatty():
        shards = sum(node.shards for node in report.nodes)
        end = "\r" if report.running else "\n"
        click.echo(
            f"compared {report.compared}/{shards}, copied {output.plural(report.copied, 'row')} ", err=True, nl=False
        )
        click.echo(end, err=True, nl=False)


def _table(report: RepairReport) -> None:
    output.table(
        ("NODE", "COMPARED", "DIFFERING", "PULLED", "PUSHED", "BYTES", "LEFT"),
        [
            (
                node.name,
                f"{node.compared}/{node.shards}",
                node.differing,
                output.figure(node.pulled),
                output.figure(node.pushed),
                output.size(node.bytes),
                output.figure(node.left),
            )
            if node.answered
            else (node.name, *("-",) * 6)
            for node in report.nodes
        ],
        numbers=("COMPARED", "DIFFERING", "PULLED", "PUSHED", "BYTES", "LEFT"),
    )
    for node in report.nodes:
        for why in node.skipped:
            output.text(f"{node.name}: {why}")
    differ = "row differs" if report.left == 1 else "rows differ"
    left = f"{report.left:,} {differ} still" if report.left else "no differences left"
    compared, copied = output.plural(report.compared, "comparison"), output.plural(report.copied, "row")
    output.text(f"{compared}, {copied} copied, {left}")
