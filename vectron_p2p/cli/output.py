"""What commands print: data on stdout (tables, or one JSON document), diagnostics on stderr."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

PLAIN_WIDTH = 200  # not on a terminal: wide enough that no cell is cut, whatever reads it


def plain(value: Any) -> Any:
    """`value` of a result as what JSON has: dataclasses as objects, arrays as lists, NaN and infinities as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist())  # a vector


def document(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def text(value: str) -> None:
    """A line on stdout."""
    click.echo(value)


def note(value: str) -> None:
    """A line on stderr."""
    click.echo(value, err=True)


def error(wire: dict[str, Any], *, as_json: bool) -> None:
    """A failure on stderr: the fields of the error under `--json`, else a sentence."""
    if as_json:
        names = ("code", "message", "retryable", "node", "field")
        rest = [name for name in wire if name not in names]
        note(json.dumps({name: plain(wire.get(name)) for name in (*names, *rest)}, ensure_ascii=False))
        return
    where = f" [{wire['field']}]" if wire.get("field") else ""
    # Of a call that was itself wrong, the logs say no more than this.
    trace = (
        f", trace {wire['trace']}" if wire.get("trace") and (wire["retryable"] or wire["code"] == "internal") else ""
    )
    note(f"error: {wire['message']}{where} ({wire['code']}{trace})")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Iterable[str] = ()) -> None:
    """A table on stdout. `numbers` names the columns that are aligned right."""
    from rich.table import Table
    from rich.text import Text

    right = set(numbers)
    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        grid.add_column(name, justify="right" if name in right else "left", no_wrap=not sys.stdout.isatty())
    for row in rows:
        grid.add_row(*(Text(_cell(value)) for value in row))
    _console().print(grid)


def _console() -> Console:
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH, no_color=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 1 else f"{value:.4g}"
    return str(value)


def plural(number: int, one: str, many: str = "") -> str:
    """`1 row`, `3,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(count: int) -> str:
    """Bytes for people; "-" when unknown."""
    if count < 0:
        return "-"
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def figure(count: int) -> str:
    """A count for people; "-" when unknown."""
    return "-" if count < 0 else f"{count:,}"


def close_stdout() -> None:
    """Keeps the interpreter from complaining, at its end, that stdout is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
