"""Log records: the table of them, and one in full."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tui.render.table import Column, Row, Sort, Table, cell
from tui.render.text import Line, Tone, line
from vectron_p2p.model.logs import LEVELS, SLOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.logs import LogRecord

COLUMNS = (
    Column("time", "TIME", help="by the clock of the node"),
    Column("level", "LEVEL", most=8),
    Column("node", "NODE", priority=1, most=18),
    Column("event", "EVENT", most=40),
    Column("details", "DETAILS", priority=2, most=200, shrinks=True),
    Column("trace", "TRACE", priority=3, most=20, help="the same for everything that one call of a client led to"),
    Column("logger", "LOGGER", priority=4, most=40),
)
DEFAULT_SORT = Sort("time", reverse=True)
LEVEL_NAMES = ("debug", "info", "warning", "error")
_TONES = {"debug": Tone.MUTED, "info": Tone.NORMAL, "warning": Tone.WARN, "error": Tone.BAD, "critical": Tone.BAD}


def key(record: LogRecord) -> str:
    return f"{record.node_id or record.node}/{record.at:.6f}/{record.number}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def details(record: LogRecord) -> str:
    return "  ".join(f"{name} {_plain(value)}" for name, value in record.fields.items())


def time_of_day(at: float) -> str:
    """Here, to the millisecond."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ006 (the reader's own time)


def table(records: Iterable[LogRecord]) -> Table:
    rows = []
    for record in records:
        tone = _TONES.get(record.level, Tone.NORMAL)
        rows.append(
            Row(
                key(record),
                {
                    "time": cell(time_of_day(record.at), Tone.MUTED, sort=record.at + record.number * 1e-9),
                    "level": cell(record.level, tone, sort=float(LEVELS.get(record.level, 0))),
                    "node": cell(record.node),
                    "event": cell(record.event, Tone.WARN if record.event == SLOW else Tone.STRONG),
                    "details": cell(details(record)),
                    "trace": cell(record.trace, Tone.MUTED),
                    "logger": cell(record.logger, Tone.MUTED),
                },
            )
        )
    return Table(COLUMNS, tuple(rows))


def full(record: LogRecord) -> list[Line]:
    """Every field on a line."""
    head = [
        ("time", datetime.fromtimestamp(record.at).isoformat(sep=" ", timespec="milliseconds")),  # noqa: DTZ006
        ("level", record.level),
        ("event", record.event),
        ("node", record.node),
        ("logger", record.logger),
        ("trace", record.trace or "none: work of the node's own"),
    ]
    names = [*head, *((name, _plain(value)) for name, value in record.fields.items())]
    width = max(len(name) for name, _ in names) + 2
    return [line((name.ljust(width), Tone.MUTED), text) for name, text in names]


def as_json(record: LogRecord) -> str:
    return json.dumps(
        {
            "at": record.at,
            "level": record.level,
            "event": record.event,
            "node": record.node,
            "logger": record.logger,
            "trace": record.trace,
            **record.fields,
        },
        ensure_ascii=False,
        default=str,
    )
