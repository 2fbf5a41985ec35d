"""Hinted handoff: keeps what an owner missed and delivers it when the owner is back (Dynamo, DeCandia et al. 2007).

Invariant: a hint is applied if newer like any row, so delivering it late, twice or never does no harm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.replication.hints import HintBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.protocol import messages as m
    from vectron_p2p.runtime import Clock

BATCH_BYTES = 1024 * 1024  # per look at the book: half a frame's worth, so that delivery does not crowd out live writes
ROW_OVERHEAD = 150  # bytes of Python objects and columns per row, besides vector and payload


class Hints:
    """The book of hints of this node and its delivery."""

    def __init__(self, clock: Clock, limits: Limits, *, epoch: Callable[[], int]) -> None:
        self._clock = clock
        self._limits = limits
        self._epoch = epoch
        self.book: HintBook[m.ApplyRows] = HintBook()
        self._returned = trio.Event()

    def add(self, target: NodeId, rows: m.ApplyRows) -> None:
        """Keep `rows` for `target`."""
        size = sum(
            len(vector or b"") + len(payload or b"") + ROW_OVERHEAD
            for vector, payload in zip(rows.vectors, rows.payloads, strict=True)
        )
        self.book.add(target, ShardId(CollectionId(rows.collection), rows.shard), rows, size, self._clock.now())

    def returned(self) -> None:
        """Some peer is back: deliver now."""
        self._returned.set()

    async def run(self, peers: Peers) -> None:
        while True:
            self._returned = trio.Event()
            await self.run_once(peers)
            with self._clock.move_on_after(self._limits.hint_interval):
                await self._returned.wait()

    async def run_once(self, peers: Peers) -> None:
        """Deliver to every live target until it has all, or fails."""
        self.book.expire(self._clock.now())
        async with trio.open_nursery() as nursery:
            for target in self.book.targets:
                if peers.ready(target):
                    nursery.start_soon(self._deliver, peers, target)

    async def _deliver(self, peers: Peers, target: NodeId) -> None:
        while batch := self.book.peek(target, max_bytes=BATCH_BYTES):
            for hint in batch:
                message = replace(hint.item, epoch=self._epoch(), kind="hint")
                try:
                    await peers.call(target, message, timeout=self._limits.call_timeout, bulk=True, optional=True)
                except VectronError as error:
                    if error.retryable:
                        return
                    # The owner will never take it (its collection is gone, say): nothing is owed any more.
                self.book.delivered(target, hint.sequence)
