"""The root command and what every command shares on the way out: errors and exit codes.

Exit codes: 0 done (a partial search too), 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vectron_p2p import __version__
from vectron_p2p.cli import output
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it

COMMANDS = {
    "alerts": "vectron_p2p.cli.alerts:alerts",
    "bench": "vectron_p2p.cli.bench:bench",
    "cluster": "vectron_p2p.cli.admin:cluster",
    "collection": "vectron_p2p.cli.collections:collection",
    "collections": "vectron_p2p.cli.cluster:collections",
    "config": "vectron_p2p.cli.config:config",
    "console": "vectron_p2p.cli.console:console",
    "count": "vectron_p2p.cli.points:count",
    "delete": "vectron_p2p.cli.points:delete",
    "delete-payload": "vectron_p2p.cli.points:delete_payload",
    "dev": "vectron_p2p.cli.dev:dev",
    "get": "vectron_p2p.cli.points:get",
    "doctor": "vectron_p2p.cli.doctor:doctor",
    "import": "vectron_p2p.cli.load:load",
    "logs": "vectron_p2p.cli.logs:logs",
    "node": "vectron_p2p.cli.node:node",
    "nodes": "vectron_p2p.cli.cluster:nodes",
    "scroll": "vectron_p2p.cli.points:scroll",
    "search": "vectron_p2p.cli.search:search",
    "set-payload": "vectron_p2p.cli.points:set_payload",
    "shards": "vectron_p2p.cli.cluster:shards",
    "simulate": "vectron_p2p.cli.simulate:simulate",
    "stats": "vectron_p2p.cli.statistics:stats",
    "status": "vectron_p2p.cli.cluster:status",
    "upsert": "vectron_p2p.cli.points:upsert",
}
"""Command -> where it is defined; imported when it is run or listed."""


class Root(click.Group):
    """Looks commands up in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        place = COMMANDS.get(name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vectron")
def vectron() -> None:
    """Vectron P2P: a vector database that is only peers."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `vectron`; ends the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        result: Any = vectron.main(args=words, prog_name="vectron", standalone_mode=False)
    except VectronError as error:
        output.error(error.to_wire(), as_json=as_json)
        sys.exit(EXIT_FAILED)
    except click.ClickException as error:
        _usage_error(error, as_json=as_json)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        output.close_stdout()  # `vectron ... | head`: nobody reads on, and that is no failure
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)


def _usage_error(error: click.ClickException, *, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    option = getattr(error, "param", None)
    field = option.name if option is not None else None
    wire = {
        "code": "invalid_argument",
        "message": error.format_message(),
        "retryable": False,
        "node": None,
        "field": field,
    }
    output.error(wire, as_json=True)
