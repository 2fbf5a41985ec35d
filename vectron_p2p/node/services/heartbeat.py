"""The durable counter: raised on disk every second, then shown to peers (PROTOCOLS §1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.storage.kv import KeyValue


class Heartbeat:
    def __init__(self, identity: Identity, system: KeyValue, runtime: Runtime, limits: Limits) -> None:
        self._identity = identity
        self._system = system
        self._runtime = runtime
        self._limits = limits

    async def run_once(self) -> None:
        counter, puts = self._identity.next_counter()
        await self._runtime.executor.run("system", lambda: self._system.write(puts, sync=True))
        self._identity.counter = counter

    async def run(self) -> None:
        while True:
            await self._runtime.clock.sleep(self._limits.counter_interval)
            await self.run_once()
