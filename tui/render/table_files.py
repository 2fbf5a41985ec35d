"""Rows of a table as files and records, for other programs.

Figures are numbers there, and empty (null) where they are not known; all else is the text on show.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.render.table import Column, Row

Value: TypeAlias = float | int | str | None


def record(columns: Sequence[Column], row: Row) -> dict[str, Value]:
    return {column.key: _value(column, row) for column in columns}


def _value(column: Column, row: Row) -> Value:
    cell = row.cells[column.key]
    if column.right and isinstance(cell.sort, float | int):
        if cell.sort < 0:
            return None
        return int(cell.sort) if float(cell.sort).is_integer() else float(cell.sort)
    return cell.text.strip()


def as_csv(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [column.key for column in columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(record(columns, row) for row in rows)
    return out.getvalue()


def as_json(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    return json.dumps([record(columns, row) for row in rows], ensure_ascii=False, indent=1) + "\n"


_FORMATS = {".csv": as_csv, ".json": as_json}


def check_path(text: str) -> Path:
    """A path whose ending says the format.

    Raises:
        InvalidArgument: It does not, or its folder is not there.
    """
    path = Path(text).expanduser()
    if path.suffix.lower() not in _FORMATS:
        raise InvalidArgument("a name that ends in .csv or .json", field="path")
    if not path.parent.is_dir():
        raise InvalidArgument(f"{path.parent} is no folder", field="path")
    return path


def write(path: Path, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    path.write_text(_FORMATS[path.suffix.lower()](columns, rows), encoding="utf-8")
