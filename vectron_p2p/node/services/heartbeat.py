"""The durable counter: raised on disk every second, then shown to peers (PROTOCOLS §1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.observability.logs import get_logger
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.storage.kv import KeyValue


log = get_logger(__name__)


class Heartbeat:
    def __init__(self, identity: Identity, system: KeyValue, runtime: Runtime, limits: Limits) -> None:
        self._identity = identity
        self._system = system
        self._runtime = runtime
        self._limits = limits

    async def run_once(self) -> None:
        counter, puts = self._identity.next_counter()
        try:
            await self._runtime.executor.run("system", self._write, puts)
        except StorageError as error:
            # Peers see the old counter meanwhile, which says nothing wrong; writes that need this disk fail by
            # themselves.
            log.error("counter_not_written", error=str(error))
        else:
            self._identity.counter = counter

    def _write(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._system.heal()
        self._system.write(puts, sync=True)

    async def run(self) -> None:
        while True:
            await self._runtime.clock.sleep(self._limits.counter_interval)
            await self.run_once()
