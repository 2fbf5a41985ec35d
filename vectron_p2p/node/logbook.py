"""The logs of all nodes, read through any of them.

Owns nothing: each node keeps its own records (`observability.journal`). A follower's request waits here, not at the
node that is read: requests between nodes are answered at once, so how long they take says something about the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.collections import check_int
from vectron_p2p.model.errors import InvalidArgument, NotFound, Unavailable, VectronError
from vectron_p2p.model.logs import MAX_LIMIT, check_level
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.observability.journal import Journal
    from vectron_p2p.runtime import Clock

POLL = 0.5  # between looks at the nodes while somebody follows: a person reads; a look costs a node some 50 us
MAX_WAIT = 20.0  # of one request: below the 30 s after which clients and middleboxes give up
ANSWER_WITHIN = 1.5  # of a node, to be read: as for its status
REPLY_BYTES = 8 * 1024 * 1024  # of all records of one answer, a quarter of the largest message; shared by the nodes


class Logbook:
    """Of one node."""

    def __init__(self, journal: Journal, peers: Peers, clock: Clock, *, state: Callable[[], ClusterState]) -> None:
        self._journal = journal
        self._peers = peers
        self._clock = clock
        self._state = state
        self.handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {m.GetLogs: self.answer}
        """For clients: (message, timeout)."""

    def handles(self, message: object) -> bool:
        return isinstance(message, m.ReadLogs)

    async def handle(self, message: m.ReadLogs) -> m.LogsPage:
        return self.read(message)

    def read(self, message: m.ReadLogs) -> m.LogsPage:
        """What this node has."""
        records, cursor = self._journal.read(
            message.cursor,
            level=check_level(message.level),
            slow=message.slow,
            trace=message.trace,
            limit=message.limit,
            max_bytes=message.max_bytes,
        )
        return m.LogsPage(records, cursor)

    async def answer(self, message: m.GetLogs, timeout: float) -> m.LogsReply:
        """What the nodes asked for have, waiting for something if need be.

        Raises:
            NotFound: There is no such node.
            Unavailable: The one node asked for does not answer.
        """
        check_level(message.level)
        check_int(message.limit, 1, MAX_LIMIT, field="limit")
        if not all(isinstance(cursor, str) for cursor in message.cursors.values()):
            raise InvalidArgument("cursors are those of an earlier answer", field="cursors")
        nodes = self._nodes(message.node)
        # Half of a short timeout: the answer has to be there before it.
        wait = max(0.0, min(message.wait, MAX_WAIT, timeout / 2))
        until = self._clock.now() + wait
        while True:
            reply = await self._look(nodes, message)
            if reply.records or self._clock.now() + POLL > until:
                return reply
            await self._clock.sleep(POLL)
            nodes = self._nodes(message.node)

    def _nodes(self, wanted: str | None) -> dict[NodeId, str]:
        """Names by id."""
        state = self._state()
        if wanted is None:
            return {node: state.members[node].name for node in state.current()}
        found = {
            node: member.name
            for node, member in state.members.items()
            if wanted == node or (wanted == member.name and node in state.current())
        }
        if not found:
            raise NotFound(f"there is no node {wanted!r}: `vectron nodes` lists them", field="node")
        return found

    async def _look(self, nodes: dict[NodeId, str], message: m.GetLogs) -> m.LogsReply:
        pages: dict[NodeId, m.LogsPage] = {}
        last: list[VectronError] = []

        async def ask(node: NodeId) -> None:
            request = m.ReadLogs(
                cursor=message.cursors.get(node, ""),
                level=message.level,
                slow=message.slow,
                trace=message.trace,
                limit=message.limit,
                max_bytes=REPLY_BYTES // len(nodes),
            )
            try:
                pages[node] = await self._peers.call(node, request, timeout=ANSWER_WITHIN)
            except VectronError as error:
                last.append(error)

        async with trio.open_nursery() as nursery:
            for node in nodes:
                if self._peers.alive(node) or message.node is not None:
                    nursery.start_soon(ask, node)
        if message.node is not None and not pages:
            why = last[-1].message if last else "it is not there"
            raise Unavailable(f"the log of {message.node} cannot be read now: {why}", node=next(iter(nodes)))
        return self._merged(nodes, pages, message)

    def _merged(self, nodes: dict[NodeId, str], pages: dict[NodeId, m.LogsPage], message: m.GetLogs) -> m.LogsReply:
        records: list[dict[str, Any]] = [
            {**record, "node": nodes[node], "node_id": node} for node in sorted(pages) for record in pages[node].records
        ]
        records.sort(key=lambda record: float(record["at"]))  # clocks of nodes may differ; within a node order is kept
        cursors = dict(message.cursors)
        cursors.update((node, page.cursor) for node, page in pages.items())
        if not message.cursors:  # a first look: the newest; what follows comes from the cursors
            records = records[-message.limit :]
        return m.LogsReply(records, cursors, sorted(name for node, name in nodes.items() if node not in pages))
