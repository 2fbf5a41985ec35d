"""Structured logs: to the standard library's logging, and to the journal of the node that speaks.

A library must not print in its user's program: loggers here are silent until a handler is there. `vectron node`
installs one that writes to stderr, as text on a terminal and else as a JSON object per line; a program with an embedded
node may install its own on "vectron_p2p". Which node speaks is a context variable, as several may live in one process;
a record of a node has the time of that node's clock.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.logs import LEVELS
from vectron_p2p.observability import tracing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from vectron_p2p.observability.journal import Journal

ROOT = "vectron_p2p"
TRACEBACK = "traceback"
LONGEST_LEVEL = max(map(len, LEVELS))

logging.getLogger(ROOT).addHandler(logging.NullHandler())


class _Speaker:
    """The node that a task belongs to."""

    __slots__ = ("journal", "wall")

    def __init__(self, journal: Journal, wall: Callable[[], float]) -> None:
        self.journal = journal
        self.wall = wall


_SPEAKER: ContextVar[_Speaker | None] = ContextVar("speaker", default=None)


def enter(journal: Journal, wall: Callable[[], float]) -> None:
    """What this task logs from now on, and the tasks that it starts, belongs to the node of `journal` and `wall`."""
    _SPEAKER.set(_Speaker(journal, wall))


class Logger:
    """Of one module: `log.info("event_name", key=value, ...)`. Events are names, so that they can be searched for."""

    __slots__ = ("_logger", "_module")

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self._module = name.removeprefix(f"{ROOT}.")

    def wants(self, level: str) -> bool:
        """Whether anybody takes a record of `level`; for records that cost something to make."""
        speaker = _SPEAKER.get()
        number = LEVELS[level]
        return (speaker is not None and number >= speaker.journal.level) or self._logger.isEnabledFor(number)

    def debug(self, event: str, **fields: Any) -> None:
        self._log("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log("error", event, fields)

    def critical(self, event: str, **fields: Any) -> None:
        self._log("critical", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error, with the traceback of the exception that is being handled."""
        self._log("error", event, {**fields, "error": sys.exc_info()[1]})

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if not self.wants(level):
            return
        error = fields.get("error")
        if isinstance(error, BaseException):  # what came as an object and not as its text is a defect: say where
            fields["error"] = f"{type(error).__name__}: {error}"
            fields[TRACEBACK] = "".join(traceback.format_exception(error)).rstrip()
        trace = tracing.text(tracing.current())
        record = {"level": level, "event": event, **({"trace": trace} if trace else {}), "logger": self._module}
        speaker = _SPEAKER.get()
        if speaker is not None:
            at = speaker.wall()
            speaker.journal.add(at, level, event, self._module, trace, fields)
            record = {"timestamp": _iso(at), **record}
        number = LEVELS[level]
        if self._logger.isEnabledFor(number):
            self._logger.log(number, "%s%s", event, _pairs(fields), extra={"vectron": {**record, **fields}})


def get_logger(name: str) -> Logger:
    """The logger of the module `name`."""
    return Logger(name)


def write_to(stream: TextIO, *, level: str = "info", form: str = "auto") -> None:
    """Have everything from `level` on written to `stream`: "text" is for people, "json" one object per line, "auto"
    text on a terminal and else JSON.
    """
    text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Text() if text else _Json())
    root = logging.getLogger(ROOT)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record), default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = dict(_fields(record))
        trace = fields.pop("trace", "")
        return line(
            fields.pop("timestamp"),
            fields.pop("level"),
            fields.pop("event"),
            {"logger": fields.pop("logger"), **({"trace": trace} if trace else {}), **fields},
        )


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Of a record made here, or of one that came to our handler otherwise."""
    fields: dict[str, Any] | None = getattr(record, "vectron", None)
    if fields is not None:
        return {"timestamp": _iso(record.created), **fields}
    level = record.levelname.lower()
    return {"timestamp": _iso(record.created), "level": level, "event": record.getMessage(), "logger": record.name}


def line(timestamp: str, level: str, event: str, fields: dict[str, Any]) -> str:
    """A record for people: time, level and event in columns, then key=value; a traceback on lines of its own."""
    where = fields.pop(TRACEBACK, None)
    text = f"{timestamp} {level:<{LONGEST_LEVEL}} {event}{_pairs(fields)}"
    return text if where is None else f"{text}\n{where}"


def _pairs(fields: dict[str, Any]) -> str:
    return "".join(f" {key}={_value(value)}" for key, value in fields.items() if key != TRACEBACK)


def _value(value: Any) -> str:
    """Text with spaces or quotes in quotes, all that is no text as JSON."""
    if not isinstance(value, str):
        return json.dumps(value, default=str, separators=(",", ":"))
    bare = value and value.isprintable() and not any(mark in value for mark in ' "=')
    return value if bare else json.dumps(value, ensure_ascii=False)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
