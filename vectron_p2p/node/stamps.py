"""Stamps for writes: the hybrid clock with its mark kept on disk ahead of use (PROTOCOLS §2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.replication.hlc import HybridClock, MarkNeeded
from vectron_p2p.replication.version import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.runtime import Runtime


class Stamps:
    """One writer of the mark at a time; who finds enough of it left does not wait."""

    def __init__(self, hlc: HybridClock, identity: Identity, runtime: Runtime, *, background: trio.Nursery) -> None:
        self._hlc = hlc
        self._identity = identity
        self._runtime = runtime
        self._background = background
        self._lock = trio.Lock()

    async def next(self, held: int = 0) -> int:
        """A new stamp, above `held`."""
        while True:
            wall = int(self._runtime.clock.wall() * 1000)
            if self._hlc.needs_mark(wall) is not None and not self._lock.locked():
                self._background.start_soon(self._extend)
            try:
                return self._hlc.stamp(wall, held)
            except MarkNeeded:
                await self._extend()

    def observe(self, versions: Iterable[bytes | None]) -> None:
        """Stamps seen elsewhere: later ones of this node are above them, unless they are too far ahead."""
        highest = max((version for version in versions if version is not None), default=None)
        if highest is not None:
            self._hlc.observe(stamp(highest), int(self._runtime.clock.wall() * 1000))

    async def _extend(self) -> None:
        async with self._lock:
            mark = self._hlc.needs_mark(int(self._runtime.clock.wall() * 1000))
            if mark is not None:
                await self._runtime.executor.run("system", self._identity.save_mark, mark)
                self._hlc.mark_persisted(mark)
