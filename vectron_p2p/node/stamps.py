"""Stamps for writes: the hybrid clock with its mark kept on disk ahead of use (PROTOCOLS §2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import ClockSkew, ReadOnly
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.replication.hlc import HybridClock, MarkNeeded
from vectron_p2p.replication.version import stamp
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.runtime import Runtime


log = get_logger(__name__)

LISTEN = 2.0  # seconds a stamp waits for the first word of another clock: after a start that takes one round of probes
LOOK = 0.02


class Stamps:
    """One writer of the mark at a time; who finds enough of it left does not wait."""

    def __init__(self, hlc: HybridClock, identity: Identity, runtime: Runtime, *, background: trio.Nursery) -> None:
        self._hlc = hlc
        self._identity = identity
        self._runtime = runtime
        self._background = background
        self._lock = trio.Lock()

    async def next(self, held: int = 0, *, alone: bool = False) -> int:
        """A new stamp, above `held`.

        Args:
            held: The stamp of the row that is to be replaced.
            alone: For a write that this node may acknowledge by itself: without having heard another clock, too. Such
                a stamp may lie behind the time.

        Raises:
            ClockSkew: No other clock was heard since the start.
            ReadOnly: The mark cannot be put on disk.
        """
        if self._hlc.alone and not (alone and self._hlc.resumed):
            await self._listen()
        while True:
            wall = self._wall()
            if self._hlc.needs_mark(wall) is not None and not self._lock.locked():
                self._background.start_soon(self._extend)
            try:
                return self._hlc.stamp(wall, held)
            except MarkNeeded:
                if not await self._extend():
                    raise ReadOnly("this node's disk takes no clock mark; retry elsewhere") from None

    async def _listen(self) -> None:
        clock = self._runtime.clock
        with clock.move_on_after(LISTEN):
            while self._hlc.alone:  # a few looks, and only just after a start
                await clock.sleep(LOOK)
            return
        raise ClockSkew(
            "this node has heard no other clock since it started, so it cannot tell the time; ask another node"
        )

    @property
    def mark(self) -> int:
        """No stamp was given above it; it is on disk."""
        return self._hlc.mark

    def wall_ms(self) -> int:
        """This node's wall clock, drawn to those of its peers."""
        return self._hlc.wall(self._wall())

    def off_by_ms(self) -> float:
        """How far this machine's clock is ahead of the others'."""
        self._wall()
        return self._hlc.off_by_ms()

    def _wall(self) -> int:
        wall = int(self._runtime.clock.wall() * 1000)
        self._hlc.notice(wall, self._runtime.clock.now())
        return wall

    def observe(self, versions: Iterable[bytes | None]) -> None:
        """Stamps seen elsewhere: later ones of this node are above them, unless they are too far ahead."""
        highest = max((version for version in versions if version is not None), default=None)
        if highest is not None:
            self._hlc.observe(stamp(highest), self._wall())

    async def _extend(self) -> bool:
        """Puts the next mark on disk; whether that worked."""
        async with self._lock:
            mark = self._hlc.needs_mark(self._wall())
            if mark is not None:
                try:
                    await self._runtime.executor.run("system", self._identity.save_mark, mark)
                except StorageError as error:
                    log.error("clock_mark_not_written", error=str(error))
                    return False
                self._hlc.mark_persisted(mark)
            return True
