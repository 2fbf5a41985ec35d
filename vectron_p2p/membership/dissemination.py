"""News on its way to everybody: each update leaves a bounded number of times, the least told first.

Owns the queue. At most one update per node is queued: a newer word replaces the older, which nobody needs to hear.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vectron_p2p.membership.wire import UPDATES_BUDGET, update_size

if TYPE_CHECKING:
    from vectron_p2p.membership.messages import Update, Updates
    from vectron_p2p.model.ids import NodeId


class _News:
    __slots__ = ("size", "told", "update")

    def __init__(self, update: Update) -> None:
        self.update = update
        self.size = update_size(update)
        self.told = 0


def retransmit_limit(mult: int, nodes: int) -> int:
    """How often one node tells an update, in a cluster of `nodes`: gossip needs O(log n) rounds to reach everybody."""
    return mult * math.ceil(math.log10(nodes + 1))


class Dissemination:
    """The queue of one node."""

    __slots__ = ("_mult", "_queue")

    def __init__(self, retransmit_mult: int) -> None:
        self._mult = retransmit_mult
        self._queue: dict[NodeId, _News] = {}

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, update: Update) -> None:
        self._queue.pop(update.node, None)  # to the end: among news told as often, the older goes first
        self._queue[update.node] = _News(update)

    def drop(self, node: NodeId) -> None:
        self._queue.pop(node, None)

    def clear(self) -> None:
        self._queue.clear()

    def take(self, nodes: int, first: Update | None = None) -> Updates:
        """Updates for one packet, `first` before all others; counts them as told once more."""
        if not self._queue:
            return () if first is None else (first,)
        chosen: list[Update] = []
        room = UPDATES_BUDGET
        if first is not None:
            chosen.append(first)
            room -= update_size(first)
        limit = retransmit_limit(self._mult, nodes)
        for news in sorted(self._queue.values(), key=lambda news: news.told):
            node = news.update.node
            if first is not None and node == first.node:
                continue
            if news.size > room:
                continue
            room -= news.size
            chosen.append(news.update)
            news.told += 1
            if news.told >= limit:
                del self._queue[node]
        return tuple(chosen)
