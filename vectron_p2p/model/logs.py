"""What a node wrote to its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

SLOW = "slow_request"
"""The event of records of the slow-request log."""

MAX_LIMIT = 10_000  # records of one answer: more than a node keeps


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of one node."""

    at: float
    """Unix seconds, by the node's clock."""
    level: str
    event: str
    node: str = ""
    """The node's name."""
    node_id: str = ""
    logger: str = ""
    trace: str = ""
    """Trace id of the client's call that it belongs to, the same on all nodes; "" for work of the node's own."""
    number: int = 0
    """Rises by one per record of the node; begins anew when it starts."""
    fields: dict[str, Any] = field(default_factory=dict)


class LogRecords(list[LogRecord]):
    """Records by time; `silent` names the nodes that did not answer, whose records are missing."""

    def __init__(self, records: Iterable[LogRecord] = (), silent: Iterable[str] = ()) -> None:
        super().__init__(records)
        self.silent = list(silent)


def check_level(level: object) -> str:
    """`level`, a key of `LEVELS`.

    Raises:
        InvalidArgument: It is none.
    """
    if isinstance(level, str) and level in LEVELS:
        return level
    raise InvalidArgument(f"level is one of {', '.join(LEVELS)}, not {level!r:.40}", field="level")
