"""`vectron console`: the terminal console."""

from __future__ import annotations

import click

from vectron_p2p.cli.options import DEFAULT_CONNECT


@click.command()
@click.option(
    "--connect",
    default=DEFAULT_CONNECT,
    show_default=True,
    show_envvar=True,
    envvar="VECTRON_CONNECT",
    metavar="HOST:PORT[,HOST:PORT]",
    help="Nodes of the cluster; any one will do.",
)
@click.option("--read-only", is_flag=True, help="Leave out every action that changes the cluster.")
def console(connect: str, read_only: bool) -> None:
    """The terminal console."""
    try:
        from tui.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("textual", "tui"):
            raise
        raise click.ClickException("the console needs Textual: pip install textual (the extra [tui])") from None
    run([text.strip() for text in connect.split(",")], read_only=read_only)
