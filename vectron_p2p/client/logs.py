"""The flows of reading logs: one look, or one after another from where the last one ended.

Sans-IO like `flows`. Where it ended is said per node and kept here, so a follower goes on through any node, and neither
misses nor repeats what a node still has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.client.flows import ask
from vectron_p2p.client.results import log_record
from vectron_p2p.model.collections import check_int
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.logs import MAX_LIMIT, LogRecords, check_level
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow

WAIT_S = 10.0  # of one look for something new: half of what a node allows; a longer one saves nothing


class Tail:
    """The logs of `node` (name or id; None: of all nodes) that match.

    Raises:
        InvalidArgument: An argument is at fault.
    """

    def __init__(
        self, session: Session, node: object, *, level: object, slow: object, trace: object, limit: object
    ) -> None:
        if node is not None and not isinstance(node, str):
            raise InvalidArgument(f"node is a name or id, not {type(node).__name__}", field="node")
        if trace is not None and not isinstance(trace, str):
            raise InvalidArgument(f"trace is the text of a trace id, not {type(trace).__name__}", field="trace")
        self._session = session
        self._node = node
        self._level = check_level(level)
        self._slow = bool(slow)
        self._trace = trace or ""
        self._limit = check_int(limit, 1, MAX_LIMIT, field="limit")
        self._cursors: dict[str, Any] = {}

    def look(self) -> Flow[LogRecords]:
        """The newest records at first, then what came since; waits some seconds for something."""
        wait = WAIT_S if self._cursors else 0.0
        request = messages.GetLogs(self._node, self._cursors, self._level, self._slow, self._trace, self._limit, wait)
        reply = yield from ask(self._session, request, messages.LogsReply)
        self._cursors = reply.cursors
        return LogRecords(map(log_record, reply.records), reply.silent)
