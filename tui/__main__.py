"""`python -m tui --connect HOST:PORT[,HOST:PORT]`: the console without the `vectron` command."""

from __future__ import annotations

import argparse
import os
import sys

DEFAULT = "127.0.0.1:7700"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 left by the user, 1 Textual is not installed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tui", description="Terminal console of a Vectron P2P cluster.")
    parser.add_argument(
        "--connect",
        metavar="HOST:PORT[,HOST:PORT]",
        action="append",
        help=f"nodes to begin with (default: $VECTRON_CONNECT or {DEFAULT})",
    )
    parser.add_argument("--read-only", action="store_true", help="leave out every action that changes the cluster")
    options = parser.parse_args(arguments)
    given = options.connect or [os.environ.get("VECTRON_CONNECT") or DEFAULT]
    try:
        from tui.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        print("The console needs Textual: pip install 'textual'", file=sys.stderr)  # noqa: T201
        return 1
    from vectron_p2p.model.errors import InvalidArgument

    try:
        run(given, read_only=options.read_only)
    except InvalidArgument as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
