"""`vectron cluster`: work on the cluster as a whole."""

from __future__ import annotations

import click

from vectron_p2p.cli.moves import drain, moves, rebalance, remove
from vectron_p2p.cli.recover import recover
from vectron_p2p.cli.repair import repair
from vectron_p2p.cli.traffic import traffic


@click.group()
def cluster() -> None:
    """Work on the cluster as a whole."""


cluster.add_command(drain)
cluster.add_command(moves)
cluster.add_command(rebalance)
cluster.add_command(recover)
cluster.add_command(remove)
cluster.add_command(repair)
cluster.add_command(traffic)
