"""`vectron config`: what nodes were started with, and whether a configuration file is right."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options


@click.group()
def config() -> None:
    """Settings of nodes."""


@config.command()
@click.argument("node", required=False)
@click.option("--origin", is_flag=True, help="Where each value comes from, too.")
@client_options
def show(node: str | None, origin: bool, connect: str, as_json: bool) -> None:
    """Settings of NODE (name or id), or of all nodes that answer."""
    with client(connect) as db:
        found = db.settings(node)
    if found.silent:
        output.note(f"no answer from {', '.join(found.silent)}: their settings are missing")
    if as_json:
        output.document(found)
        return
    columns = ("NODE", "SETTING", "VALUE", *(("ORIGIN",) if origin else ()))
    output.table(
        columns,
        [(each.node, each.name, _text(each.value), *((each.origin,) if origin else ())) for each in found],
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)


@config.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a file for `vectron node --config FILE`; asks no node, and no environment variable counts."""
    from vectron_p2p.cli.node import check_names, node

    words = ["--config", str(file)]
    try:
        if "data" not in tomllib.loads(file.read_text(encoding="utf-8")):
            words += ["--data", "."]  # may be given on the command line
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        pass  # said by the option itself
    with node.make_context("node", words, auto_envvar_prefix=None) as ctx:
        check_names(ctx.params["name"], ctx.params["zone"])
    output.text(f"{file}: right")
