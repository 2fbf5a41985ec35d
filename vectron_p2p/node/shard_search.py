"""Searches that this node answers as an owner: which replicas may, and what is said of those that may not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import VectronError
from vectron_p2p.node.search_job import NOTHING, Answer, SearchJob, reply_of
from vectron_p2p.runtime.callbacks import awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.protocol import messages as m
    from vectron_p2p.runtime.callbacks import Done, TakeBack


async def search_shards(
    message: m.SearchShards, find: Callable[[int], Replica], owner: Replicas, deadline: float
) -> m.ShardsReply:
    """Answers `message` from the replicas that `find` returns, or names why it does not (what it raises). What was not
    begun before `deadline` is not searched.
    """
    replicas: dict[int, Replica] = {}
    refused: dict[int, VectronError] = {}
    for shard in message.shards:
        try:
            replicas[shard] = find(shard)
        except VectronError as error:
            refused[shard] = error
    if not replicas:
        nothing = [NOTHING] * message.count
        return reply_of(message, [Answer([nothing] if message.merge else [nothing for _ in message.shards])], refused)
    job = SearchJob(message, replicas, owner)
    if message.count == 1 and not message.explain and not refused:
        reply: m.ShardsReply = await awaited(partial(job.begin, message.vectors, deadline))
        return reply
    return await job.reply(message.vectors, deadline, refused)


class OwnSearch:
    """Single queries that are equal but for their vector, asked of this node by itself."""

    def __init__(self, message: m.SearchShards, find: Callable[[int], Replica], owner: Replicas) -> None:
        self._message = message
        self._find = find
        self._owner = owner
        self._job: SearchJob | None = None

    def begin(self, vector: bytes, deadline: float, done: Done, *, lone: Hashable = None) -> TakeBack:
        """See `SearchJob.begin`.

        Raises:
            VectronError: What `find` raises: asked each time, as replicas come and go, and learn.
        """
        return self._now().begin(vector, deadline, done, lone=lone)

    async def search(self, vectors: bytes, count: int, deadline: float) -> m.ShardsReply:
        """The reply for `count` queries.

        Raises:
            VectronError: As `begin`, and what keeps one of them from being answered.
        """
        return await self._now().reply(vectors, deadline, {})

    def _now(self) -> SearchJob:
        replicas = [self._find(shard) for shard in self._message.shards]
        job = self._job
        if job is None or job.replicas != replicas:
            shards = dict(zip(self._message.shards, replicas, strict=True))
            job = self._job = SearchJob(self._message, shards, self._owner)
        return job
