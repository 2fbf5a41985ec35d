"""The durable counter: raised on disk every second, then shown to peers (PROTOCOLS §1.4).

The same write notes how far this node's shard stores have come.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vectron_p2p.observability.logs import get_logger
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.shard_records import ShardRecords
    from vectron_p2p.storage.kv import KeyValue


log = get_logger(__name__)

LOOK_EVERY = (
    60  # writes between looks at how much is on disk, a minute: charts of it show hours, and each takes 50 us a shard
)


class Heartbeat:
    def __init__(
        self,
        identity: Identity,
        system: KeyValue,
        records: ShardRecords,
        replicas: Replicas,
        runtime: Runtime,
        limits: Limits,
        *,
        look_at_disk: Callable[[], None],
    ) -> None:
        """`look_at_disk` goes along with a write now and then, on its thread."""
        self._identity = identity
        self._system = system
        self._records = records
        self._replicas = replicas
        self._runtime = runtime
        self._limits = limits
        self._look_at_disk = look_at_disk
        self._writes = 0

    async def run_once(self) -> None:
        counter, puts = self._identity.next_counter()
        fresh, more = self._records.news(self._replicas.sequences())
        try:
            await self._runtime.executor.run("system", self._write, [*puts, *more])
        except StorageError as error:
            # Peers see the old counter meanwhile, which says nothing wrong; writes that need this disk fail by
            # themselves.
            log.error("counter_not_written", error=str(error))
            self._identity.not_written()
        else:
            self._identity.counter = counter
            self._records.written(fresh)

    def _write(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._system.heal()
        self._system.write(puts, sync=True)
        if self._writes % LOOK_EVERY == 0:
            with contextlib.suppress(StorageError):  # a replica was closed meanwhile
                self._look_at_disk()
        self._writes += 1

    async def run(self) -> None:
        while True:
            await self._runtime.clock.sleep(self._limits.counter_interval)
            await self.run_once()
