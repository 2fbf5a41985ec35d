"""Asks owners of many shards until each shard has as many answers as it needs, or nobody is left to ask.

Shards that are to be asked at the same node go in one call. An owner that fails is replaced at once by the next; one
that is slow is hedged: the next owner is asked too and the first answer counts ("The Tail at Scale", Dean and Barroso
2013).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId

if TYPE_CHECKING:
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.runtime import Clock

Ask = Callable[[NodeId, list[int]], Awaitable[list[VectronError | None]]]
"""Asks one node for shards it owns and keeps its answers; returns, per shard, why it did not answer, or None. Raises
VectronError
when the whole call failed."""


class Scatter:
    """One round over the shards of a collection; `answered` and `missing` tell how it went."""

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        owners: Mapping[int, Sequence[NodeId]],
        ask: Ask,
        *,
        need: Mapping[int, int],
        hedge_after: float,
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._ask = ask
        self._need = dict(need)
        self._hedge_after = hedge_after
        self._untried = {shard: list(filter(peers.alive, peers.prefer(nodes))) for shard, nodes in owners.items()}
        self._asking = dict.fromkeys(owners, 0)
        self.answered: dict[int, int] = dict.fromkeys(owners, 0)
        self.failures: list[VectronError] = []
        self.timed_out = False
        self._nursery: trio.Nursery | None = None

    @property
    def missing(self) -> list[int]:
        """Shards with fewer answers than needed."""
        return [shard for shard in sorted(self.answered) if self.answered[shard] < self._need[shard]]

    async def run(self, timeout: float) -> None:
        """Until every shard has its answers, or has nobody left to ask, or `timeout` seconds have gone."""
        me = self._peers.me
        with self._clock.move_on_after(timeout) as scope:
            if all(nodes[:1] == [me] and self._need[shard] == 1 for shard, nodes in self._untried.items()):
                await self._ask_self(me)
                if not self.missing:
                    return
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._dispatch(self.missing)
        self.timed_out = scope.cancelled_caught

    def raise_if_nothing(self) -> None:
        """When no shard has enough answers: raise why.

        Raises:
            InvalidArgument: An owner refused the request itself.
            Unavailable: No owner is alive, or could be reached.
            DeadlineExceeded: The time ran out.
        """
        for failure in self.failures:
            if isinstance(failure, InvalidArgument):
                raise failure
        missing = self.missing
        if missing and len(missing) == len(self.answered):
            if self.timed_out:
                raise DeadlineExceeded("no owner answered in the time given; retry, or give more time")
            why = self.failures[-1].message if self.failures else "too few of their owners are alive"
            raise Unavailable(f"no shard could be asked: {why}", missing_shards=missing)

    async def _ask_self(self, me: NodeId) -> None:
        """The common case on small clusters, all shards here: one plain call, no tasks and nobody to hedge against."""
        shards = sorted(self._untried)
        try:
            refusals: Sequence[VectronError | None] = await self._ask(me, shards)
        except VectronError as error:
            refusals = [error] * len(shards)
        for shard, refusal in zip(shards, refusals, strict=True):
            self._untried[shard].pop(0)
            if refusal is None:
                self.answered[shard] += 1
            else:
                self.failures.append(refusal)

    def _dispatch(self, shards: Iterable[int]) -> None:
        """Ask the next owners for what is still lacking, beyond those being asked now."""
        assert self._nursery is not None
        groups: defaultdict[NodeId, list[int]] = defaultdict(list)
        for shard in shards:
            lacking = self._need[shard] - self.answered[shard] - self._asking[shard]
            for _ in range(lacking):
                if self._untried[shard]:
                    groups[self._untried[shard].pop(0)].append(shard)
                    self._asking[shard] += 1
        for node, group in groups.items():
            self._nursery.start_soon(self._ask_one, node, group)

    async def _ask_one(self, node: NodeId, shards: list[int]) -> None:
        assert self._nursery is not None
        late = trio.CancelScope()
        slow = [False]

        async def hedge() -> None:
            with late:
                await self._clock.sleep(self._hedge_after)
                slow[0] = True
                for shard in shards:
                    self._asking[shard] -= 1
                self._dispatch(shards)

        self._nursery.start_soon(hedge)
        try:
            refusals: Sequence[VectronError | None] = await self._ask(node, shards)
        except VectronError as error:
            refusals = [error] * len(shards)
        late.cancel()
        for shard, refusal in zip(shards, refusals, strict=True):
            if not slow[0]:
                self._asking[shard] -= 1
            if refusal is None:
                self.answered[shard] += 1
            else:
                self.failures.append(refusal)
        if not self.missing:
            self._nursery.cancel_scope.cancel()
        elif not slow[0]:
            self._dispatch(shards)
