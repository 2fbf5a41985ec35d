"""`vectron doctor`: checks the folder of a node that is not running, and says what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import json_option
from vectron_p2p.model.errors import Unavailable

if TYPE_CHECKING:
    from vectron_p2p.node.doctor import Diagnosis


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def doctor(folder: Path, as_json: bool) -> None:
    """Check the data folder DIR of a node that is stopped.

    Reads everything (every row, every checksum) and changes nothing. Exit code 0: all is well; 1: there are problems,
    each with what to do.
    """
    from vectron_p2p.node.doctor import examine
    from vectron_p2p.storage.kv import Locked

    try:
        found = examine(folder)
    except Locked as error:
        raise Unavailable(str(error), retryable=True) from error
    except OSError as error:
        raise Unavailable(f"{folder} cannot be read: {error}", retryable=False) from error
    if as_json:
        output.document(found)
    else:
        _print(found)
    if not found.healthy:
        sys.exit(1)


def _print(found: Diagnosis) -> None:
    if node := found.node:
        starts = f"{output.plural(node['starts'], 'start')}, counter {node['counter']}"
        output.text(f"node {node['name']} ({node['id']}), {starts}, {output.plural(node['peers'], 'peer')} known")
    if catalog := found.catalog:
        generation = f" of generation {catalog['generation']}" if catalog["generation"] else ""
        output.text(
            f"cluster {catalog['cluster']}, epoch {catalog['epoch']}{generation}: "
            f"{output.plural(catalog['members'], 'member')}, {output.plural(catalog['collections'], 'collection')}"
        )
    output.text(f"free: {output.size(found.free_bytes)}")
    if found.shards:
        output.table(
            ("STORE", "OWNERS", "POINTS", "TOMBSTONES", "STATE", "MERKLE_ROOT"),
            [
                (
                    each["store"],
                    each["owners"],
                    output.figure(each["points"]),
                    output.figure(each["tombstones"]),
                    "damaged" if not each["sound"] else "learner" if each["learner"] else "sound",
                    each["merkle_root"][:12] or "-",
                )
                for each in found.shards
            ],
            numbers=("OWNERS", "POINTS", "TOMBSTONES"),
        )
    for finding in found.findings:
        output.text(f"{'PROBLEM' if finding.problem else 'note'}: {finding.where}: {finding.what}")
        output.text(f"    {finding.advice}")
    problems = sum(finding.problem for finding in found.findings)
    output.text(f"{problems} problems" if problems else "healthy")
