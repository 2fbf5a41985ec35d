"""Asks owners of many shards until each shard has as many answers as it needs, or nobody is left to ask.

Shards that are to be asked at the same node go in one call. An owner that fails is replaced at once by the next; one
that is late is hedged (`node.hedging`): the next owner is asked too and the first answer counts. Owners that have a
newer catalog refuse: `scatter` asks the shards that are left anew on the route that it gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Overloaded,
    StaleEpoch,
    Unavailable,
    VectronError,
)
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.node.peers import OTHER

if TYPE_CHECKING:
    from vectron_p2p.model.consistency import Consistency
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.runtime import Clock

Ask = Callable[[NodeId, list[int]], Awaitable[list[VectronError | None]]]
"""Asks one node for shards it owns and keeps its answers; returns, per shard, why it did not answer, or None. Raises
VectronError
when the whole call failed."""

AskAt = Callable[[NodeId, list[int], int], Awaitable[list[VectronError | None]]]
"""The same, with the epoch to name."""


async def scatter(
    peers: Peers,
    clock: Clock,
    routes: Routes,
    collection: CollectionId,
    shards: Iterable[int],
    ask: AskAt,
    *,
    level: Consistency,
    hedging: Hedging,
    kind: str = OTHER,
    timeout: float,
) -> Scatter:
    """Asks the owners of `shards` that are read, as many of each as `level` needs, for at most `timeout` seconds.

    Args:
        kind: Of the calls, as their round trips are kept.

    Raises:
        NotFound: The collection is gone.
    """
    deadline = clock.now() + timeout
    epoch = 0

    async def ask_now(node: NodeId, part: list[int]) -> list[VectronError | None]:
        return await ask(node, part, epoch)

    round_: Scatter | None = None
    while True:
        state = routes.state
        epoch = state.epoch
        todo = shards if round_ is None else round_.missing
        reads = {shard: state.route(ShardId(collection, shard)).read for shard in todo}
        need = {shard: level.required(len(owners)) for shard, owners in reads.items()}
        if round_ is None:
            round_ = Scatter(peers, clock, reads, ask_now, need=need, hedging=hedging, kind=kind)
        else:
            round_.reroute(reads, need)
        await round_.run(max(0.0, deadline - clock.now()))
        if round_.timed_out or not round_.missing or not await routes.newer(round_.stale, epoch):
            return round_


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
        hedging: Hedging,
        kind: str = OTHER,
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._ask = ask
        self._need = dict(need)
        self._hedging = hedging
        self._kind = kind
        self._untried: dict[int, list[NodeId]] = {}
        self._asking: dict[int, int] = {}
        self.answered: dict[int, int] = {}
        self.failures: list[VectronError] = []
        self.timed_out = False
        self._nursery: trio.Nursery | None = None
        self.reroute(owners, need)

    def reroute(self, owners: Mapping[int, Sequence[NodeId]], need: Mapping[int, int]) -> None:
        """The next `run` begins anew with these shards."""
        self._need.update(need)
        self._untried.update(
            (s, [*filter(self._peers.alive, self._peers.prefer(nodes))]) for s, nodes in owners.items()
        )
        self._asking.update(dict.fromkeys(owners, 0))
        self.answered.update(dict.fromkeys(owners, 0))

    @property
    def stale(self) -> int:
        """The highest epoch that an owner asked for; 0: none."""
        return max((error.epoch for error in self.failures if isinstance(error, StaleEpoch)), default=0)

    @property
    def missing(self) -> list[int]:
        """Shards with fewer answers than needed."""
        return [shard for shard in sorted(self.answered) if self.answered[shard] < self._need[shard]]

    async def run(self, timeout: float) -> None:
        """Until every shard has its answers, or has nobody left to ask, or `timeout` seconds have gone."""
        me = self._peers.me
        with self._clock.move_on_after(timeout) as scope:
            alone = self.missing
            if all(self._untried[shard][:1] == [me] and self._need[shard] == 1 for shard in alone):
                await self._ask_self(me, alone)
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
            Overloaded: All that were asked have too much to do.
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
            busy = [failure for failure in self.failures if isinstance(failure, Overloaded)]
            if busy and len(busy) == len(self.failures):
                raise Overloaded(busy[-1].message, retry_after=max(failure.retry_after for failure in busy))
            why = self.failures[-1].message if self.failures else "too few of their owners are alive"
            raise Unavailable(f"no shard could be asked: {why}", missing_shards=missing)

    async def _ask_self(self, me: NodeId, shards: list[int]) -> None:
        """The common case on small clusters, all shards here: one plain call, no tasks and nobody to hedge against."""
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

    def _dispatch(self, shards: Iterable[int], *, hedge: bool = False) -> None:
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
            self._nursery.start_soon(self._ask_one, node, group, hedge)

    async def _ask_one(self, node: NodeId, shards: list[int], is_hedge: bool) -> None:
        assert self._nursery is not None
        late = trio.CancelScope()
        slow = [False]

        def others() -> bool:
            return any(self._untried[shard] for shard in shards)

        async def hedge() -> None:
            with late:
                if await self._hedging.late(node, self._kind, others):
                    slow[0] = True
                    for shard in shards:
                        self._asking[shard] -= 1
                    self._dispatch(shards, hedge=True)

        if not is_hedge:
            self._hedging.requested()
        if others():
            self._nursery.start_soon(hedge)
        try:
            refusals: Sequence[VectronError | None] = await self._ask(node, shards)
        except VectronError as error:
            refusals = [error] * len(shards)
        late.cancel()
        lacking = set(self.missing)
        if is_hedge and any(why is None and shard in lacking for shard, why in zip(shards, refusals, strict=True)):
            self._hedging.won()
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
