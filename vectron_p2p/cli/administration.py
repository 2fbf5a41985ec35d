"""`vectron cluster ...`: what changes the cluster itself."""

from __future__ import annotations

import click

from vectron_p2p.cli.recover import recover


@click.group()
def cluster() -> None:
    """Change the cluster itself."""


cluster.add_command(recover)
