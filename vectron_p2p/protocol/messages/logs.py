"""Logs of nodes, read over the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(190)
@dataclass(frozen=True, slots=True)
class GetLogs:
    """-> LogsReply. Of `node` (name or id) or of all (None), after `cursors` (by node id), at least `level`.

    `wait`: seconds to wait for a record when there is none; `slow`: slow requests only; `trace`: of one call only.
    """

    node: str | None
    cursors: dict[str, Any] = field(default_factory=dict)
    level: str = "info"
    slow: bool = False
    trace: str = ""
    limit: int = 1000
    wait: float = 0.0


@message(191)
@dataclass(frozen=True, slots=True)
class LogsReply:
    """`records` are `dataclasses.asdict(model.logs.LogRecord)` by time, `cursors` where to go on, `silent` the names of
    nodes that did not answer.
    """

    records: list[dict[str, Any]]
    cursors: dict[str, Any]
    silent: list[str] = field(default_factory=list)


@message(192)
@dataclass(frozen=True, slots=True)
class ReadLogs:
    """Between nodes: -> LogsPage, what the node asked has at this moment after `cursor`."""

    cursor: str
    level: str
    slow: bool
    trace: str
    limit: int
    max_bytes: int


@message(193)
@dataclass(frozen=True, slots=True)
class LogsPage:
    records: list[dict[str, Any]]
    cursor: str
