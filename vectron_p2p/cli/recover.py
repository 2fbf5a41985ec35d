"""`vectron cluster recover`: when a majority of the voters is lost for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options

if TYPE_CHECKING:
    from vectron_p2p.model.recovery import HurtShardInfo, RecoveryInfo


@click.command()
@click.option("--force", is_flag=True, help="Do it. Without this, only what it would do is shown.")
@click.option(
    "--lost",
    multiple=True,
    metavar="NODE",
    help="Name or id of a node that is lost for ever; may be given several times. Default: all that do not answer.",
)
@client_options
def recover(connect: str, as_json: bool, force: bool, lost: tuple[str, ...]) -> None:
    """Go on without nodes that are lost for ever, when no voter majority is left.

    Ask one node that is left (--connect, a single address). The nodes given up are removed: should one come back, it
    stops, and has to be started with an empty folder. Shards go on with the owners that are left; those that lost a
    majority of theirs are listed, for rows may be missing there.

    Never run it on two nodes, and never while the others can still come back: what they alone acknowledged is lost.
    """
    from vectron_p2p.client.recovery import recover as flow

    with client(connect) as db:
        found = db.run(flow(db.session, force=force, lost=lost))
    if as_json:
        output.document(found)
    else:
        _print(found)


def _print(found: RecoveryInfo) -> None:
    verb = "given up" if found.recovered else "would be given up"
    output.text(f"{verb}: {', '.join(found.lost) or 'nobody'}")
    output.text(f"the cluster goes on with {', '.join(found.survivors)} at epoch {found.epoch}")
    if found.hurt:
        output.table(
            ("COLLECTION", "SHARD", "OWNERS", "LEFT", "WHAT"),
            [
                (each.collection, each.shard, ",".join(each.owners), ",".join(each.left) or "-", _what(each))
                for each in found.hurt
            ],
            numbers=("SHARD",),
        )
    if not found.recovered:
        output.text("nothing was changed; say --force to do it")


def _what(each: HurtShardInfo) -> str:
    return "rows may be missing" if each.left else "its rows are lost: it begins anew, empty"
