"""Opening a shard replica, whatever state its files are in.

Owns what becomes of a store that is damaged (PROTOCOLS §8.2): it is kept aside, with a note, and a fresh one takes its
place as a learner (PROTOCOLS §5), to be filled from the other owners. A store that opens but lacks what it had
acknowledged becomes a learner as it is. Must not know when this happens, nor how a learner is filled. Invariants: a
replica without other owners is never put aside: its files are all there is; no replica that may have forgotten anything
is handed out as anything but a learner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.index.payload.budget import Budget
from vectron_p2p.node.replica import kv_name, open_replica
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.storage.kv import Corrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.model.ids import ShardId
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.shard_records import ShardRecords
    from vectron_p2p.storage.space import SpaceFloor

log = get_logger(__name__)

ALONE = (
    "no other node has a copy of this shard, so nothing was put aside: stop the node and put back sound files of the "
    "store from a backup, or delete the collection; `vectron doctor` says what is damaged"
)


class Opening:
    """`others` is the number of owners besides this node; `refuse_below()` what a learner that begins now refuses."""

    def __init__(
        self,
        runtime: Runtime,
        records: ShardRecords,
        space: SpaceFloor,
        *,
        durability: str,
        refuse_below: Callable[[], int],
    ) -> None:
        self._runtime = runtime
        self._records = records
        self._space = space
        self._durability = durability
        self._budget = Budget()  # of all replicas
        self._refuse_below = refuse_below

    async def open(self, shard: ShardId, options: CollectionOptions, others: int) -> Replica:
        """The replica; a learner if it may have forgotten anything.

        Raises:
            Corrupt: It is damaged, and there is no other copy.
            OSError: It cannot be opened now; its files are as they were.
        """
        name = kv_name(shard)
        try:
            replica = await self._open(shard, options)
        except Corrupt as error:
            return await self.replace(shard, options, others, str(error))
        known, has = self._records.sequence(name), replica.store.sequence
        why = self._records.replaced_for(name)
        if not why and has < known:
            why = f"it has {has} batches of writes and had {known}: files are missing, cut or older than they were"
        if why:
            await self._forgot(replica, why, others)
        return replica

    async def replace(
        self, shard: ShardId, options: CollectionOptions, others: int, why: str, *, keep: bool = True
    ) -> Replica:
        """A fresh replica, as a learner; the old one (closed) is kept aside, or with `keep` false removed.

        Raises:
            Corrupt: There is no other copy.
            OSError: The disk does not let it.
        """
        name, disk, executor = kv_name(shard), self._runtime.disk, self._runtime.executor
        if not others:
            raise Corrupt(f"{why}; {ALONE}")
        await self._records.replacing(name, why)
        if not keep:
            await executor.run("disk", disk.destroy, name)
        elif disk.exists(name):
            kept = await executor.run("disk", disk.quarantine, name, why)
            log.error("shard_quarantined", shard=str(shard), why=why, kept=kept)
        replica = await self._open(shard, options)
        replica.replacement = True
        await self._forgot(replica, why, others)
        return replica

    async def _open(self, shard: ShardId, options: CollectionOptions) -> Replica:
        return await open_replica(
            shard,
            options,
            self._runtime,
            self._space,
            durability=self._durability,
            refuse_below=self._refuse_below(),
            budget=self._budget,
        )

    async def _forgot(self, replica: Replica, why: str, others: int) -> None:
        name = kv_name(replica.shard)
        refuse_below = self._refuse_below()

        def note() -> None:
            replica.store.begin_above(self._records.sequence(name) + 1)
            if others:
                replica.store.set_learner(why, refuse_below)

        try:
            await self._runtime.executor.run("disk", note)
            await self._records.replaced(name)
        except OSError:
            await self._runtime.executor.run("disk", replica.close)
            raise
        if others:
            log.error("replica_learns", shard=str(replica.shard), reason=why)
        else:
            replica.trouble = f"rows are missing and no other node has a copy: {why}"
            log.critical("shard_lacks_rows", shard=str(replica.shard), why=why)
