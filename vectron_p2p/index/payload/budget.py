"""The memory of all payload indexes of a node, bounded together: many small shards may not take what one may not.

For any threads. What an index says it holds goes out of the sum when the index is gone.
"""

from __future__ import annotations

import threading
import weakref

NODE_BYTES = 1 << 30  # as much as four shards that are as full as one may be; some 20 million rows of four fields


class Share:
    """What one index holds."""

    __slots__ = ("__weakref__", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0


class Budget:
    def __init__(self, limit: int = NODE_BYTES) -> None:
        self.limit = limit
        self._mutex = threading.Lock()
        self._shares: weakref.WeakSet[Share] = weakref.WeakSet()

    def share(self) -> Share:
        """A new share; it counts as long as somebody has it."""
        share = Share()
        with self._mutex:
            self._shares.add(share)
        return share

    @property
    def used(self) -> int:
        with self._mutex:
            return sum(share.nbytes for share in self._shares)
