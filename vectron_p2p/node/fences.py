"""The fences of an owner's shards (PROTOCOLS §6): which requests it still takes, and when the older ones have ended.

Every step of a move raises the fence of its shard to the epoch of its entry. From the moment that the entry is durable
here, requests that were routed by an older catalog are refused with `StaleEpoch`; a fence has `passed` once those that
were admitted before have ended too, so that nothing acknowledged under the older route can come after it.

Invariants: admission and counting are one step (no await between them); a request counts until it is answered or given
up, and what it left behind in a group commit is waited for by whoever asks whether the fence has passed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import StaleEpoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, ShardId


class Fences:
    """`state` is the newest catalog state that is durable here."""

    def __init__(self, node: NodeId, state: Callable[[], ClusterState]) -> None:
        self._node = node
        self._state = state
        self._admitted: defaultdict[ShardId, Counter[int]] = defaultdict(Counter)
        """Requests under way, by the fence that they were admitted under."""
        self._ended = trio.Event()

    def check(self, shard: ShardId, epoch: int) -> int:
        """The shard's fence here.

        Raises:
            StaleEpoch: `epoch` is older.
        """
        fence = self._state().fence(shard)
        if epoch < fence:
            raise StaleEpoch(
                f"shard {shard} went on at epoch {fence}, and this request was routed by epoch {epoch}",
                epoch=fence,
                node=self._node,
            )
        return fence

    @contextmanager
    def admit(self, shards: Sequence[ShardId], epoch: int) -> Iterator[None]:
        """For the time of a request about `shards`.

        Raises:
            StaleEpoch: It is older than the last step of one of them.
        """
        fences = [(shard, self.check(shard, epoch)) for shard in shards]
        for shard, fence in fences:
            self._admitted[shard][fence] += 1
        try:
            yield
        finally:
            for shard, fence in fences:
                self._leave(shard, fence)

    def _leave(self, shard: ShardId, fence: int) -> None:
        counts = self._admitted[shard]
        counts[fence] -= 1
        if not counts[fence]:
            del counts[fence]
        if not counts:
            del self._admitted[shard]
        self._ended.set()
        self._ended = trio.Event()

    async def passed(self, shard: ShardId, fence: int) -> None:
        """Until no request is under way that was admitted under an older fence."""
        while any(older < fence for older in self._admitted.get(shard, ())):
            await self._ended.wait()
