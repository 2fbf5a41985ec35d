"""Structured logs over the standard library's logging.

A library must not print in its user's program: loggers here are silent until a handler is there. `vectron node`
installs one that writes a JSON object per line to stderr; a program with an embedded node may install its own on
"vectron_p2p".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from typing import TextIO

ROOT = "vectron_p2p"

logging.getLogger(ROOT).addHandler(logging.NullHandler())

_PROCESSORS: list[Any] = [
    structlog.stdlib.filter_by_level,  # first: what nobody wants is not rendered
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of module `name`: `log.info("event_name", key=value, ...)`."""
    logger = structlog.wrap_logger(
        logging.getLogger(name), processors=_PROCESSORS, wrapper_class=structlog.stdlib.BoundLogger
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def write_to(stream: TextIO, *, level: int = logging.INFO) -> None:
    """Have everything from `level` on written to `stream`, one JSON object per line."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger(ROOT)
    root.addHandler(handler)
    root.setLevel(level)
