"""Group commit: writers of one shard that come together share one batch and one fsync.

Owns the queue of one shard's writes and the order "on disk, in the index, acknowledged". Must not know where rows
come from. A caller that is cancelled leaves its rows in the queue: they may still be written, which is what an
unknown outcome means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import trio

from vectron_p2p.model.errors import Internal, Overloaded, Unavailable, VectronError
from vectron_p2p.replication.floors import Path
from vectron_p2p.replication.hlc import admit
from vectron_p2p.storage.kv import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.model.ids import PointId
    from vectron_p2p.runtime.interfaces import Clock, Executor
    from vectron_p2p.storage.outcomes import Promised
    from vectron_p2p.storage.records import Row
    from vectron_p2p.storage.shard import ShardStore
    from vectron_p2p.storage.space import SpaceFloor

T = TypeVar("T")

BATCH_ROWS = 4_096  # where the fsync no longer counts, and a writer that comes now still waits only ~0.2 s
BATCH_BYTES = 8 << 20
QUEUE_BYTES = 64 << 20  # rows that wait for a slow disk; beyond it the caller had better wait elsewhere
ROW_BYTES = 200  # what a row weighs besides its content
INTERVAL_S = 0.1  # of the option `interval`: at most so much is lost when the machine fails
RETRY_S = 1.0  # between attempts to reopen a store that failed to sync


class _Call:
    __slots__ = ("ballots", "done", "error", "held", "path", "promised", "rows", "size")

    def __init__(
        self, rows: Sequence[Row], path: Path = Path.WRITE, ballots: Sequence[tuple[PointId, bytes]] = ()
    ) -> None:
        self.rows = rows
        self.ballots = ballots
        self.path = path
        self.size = sum(ROW_BYTES + len(row.vector or b"") + len(row.payload or b"") for row in rows)
        self.size += ROW_BYTES * len(ballots)
        self.done = trio.Event()
        self.held: list[bytes | None] = []
        self.promised: list[Promised] = []
        self.error: VectronError | None = None


class GroupCommit:
    """The way into one shard replica. `run` must be running while `apply` is used.

    `on_applied` gets the rows just written, in the disk job and before their writers are told, so that a search after
    the acknowledgement finds them.
    """

    def __init__(
        self,
        store: ShardStore,
        executor: Executor,
        clock: Clock,
        on_applied: Callable[[list[Row]], None],
        *,
        space: SpaceFloor,
        durability: str = "fsync",
    ) -> None:
        if durability not in ("fsync", "interval"):
            raise ValueError(f"durability is fsync or interval, not {durability!r}")
        self._store = store
        self._executor = executor
        self._clock = clock
        self._on_applied = on_applied
        self._space = space
        self._sync = durability == "fsync"
        self._queue: list[_Call] = []
        self._queued = 0
        self._working: list[_Call] = []
        self._wake = trio.Event()
        self._sync_at = math.inf
        self._closed = False
        self.commits = 0
        """Batches written since the start."""

    async def apply(self, rows: Sequence[Row], path: Path = Path.WRITE) -> list[bytes | None]:
        """Applies each of `rows` if newer; the version then held of each, None where its stamp was refused.

        `path` says how they came, for the replica's floors.

        Raises:
            Overloaded: Too much waits already; nothing is written.
            ReadOnly: The disk is nearly full; nothing is written.
            Unavailable: The disk failed, or the shard was closed meanwhile; the outcome is unknown.
        """
        return (await self._enqueue(_Call(rows, path))).held if rows else []

    async def promise(self, ballots: Sequence[tuple[PointId, bytes]]) -> list[Promised]:
        """Promises to rounds (`ShardStore.promise`), in the order of the writes.

        Raises:
            VectronError: As `apply`.
        """
        return (await self._enqueue(_Call((), ballots=ballots))).promised if ballots else []

    async def barrier(self) -> None:
        """Until all that was handed in before is written or never will be, also what nobody waits for any more."""
        if not self._closed:
            call = _Call(())
            self._queue.append(call)
            self._wake.set()
            await call.done.wait()

    async def _enqueue(self, call: _Call) -> _Call:
        if self._closed:
            raise Unavailable("the shard is closed on this node; nothing was written")
        if self._queue and self._queued + call.size > QUEUE_BYTES:
            raise Overloaded("too many writes wait for the disk", retry_after=0.5)
        self._queue.append(call)
        self._queued += call.size
        self._wake.set()
        await call.done.wait()
        if call.error is not None:
            raise call.error
        return call

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commits until cancelled; callers still waiting then get Unavailable."""
        task_status.started()
        try:
            while True:
                with self._clock.move_on_after(max(0.0, self._sync_at - self._clock.now())):
                    await self._wake.wait()
                await self.run_once()
        finally:
            self._closed = True
            for call in [*self._working, *self._queue]:
                call.error = Unavailable("the shard was closed; whether the write was done is unknown")
                call.done.set()
            self._queue, self._working = [], []

    async def run_once(self) -> None:
        """One batch of what waits, and the sync that is due."""
        calls = self._take()
        if calls:
            await self._commit(calls)
        if self._clock.now() >= self._sync_at:
            await self._flush()

    def _take(self) -> list[_Call]:
        count = rows = size = 0
        for call in self._queue:
            rows += len(call.rows) + len(call.ballots)
            size += call.size
            if count and (rows > BATCH_ROWS or size > BATCH_BYTES):
                break
            count += 1
        calls, self._queue = self._queue[:count], self._queue[count:]
        self._queued -= sum(call.size for call in calls)
        if not self._queue:
            self._wake = trio.Event()
        return calls

    async def _commit(self, calls: list[_Call]) -> None:
        rows = [row for call in calls for row in call.rows]
        ballots = [ballot for call in calls for ballot in call.ballots]
        paths = [call.path for call in calls for _ in call.rows]
        self._working = calls
        error: VectronError | None = None
        held: list[bytes | None] = []
        promised: list[Promised] = []
        try:
            held, promised = await self._executor.run(
                "disk", self._commit_job, rows, paths, ballots, self._clock.now(), int(self._clock.wall() * 1000)
            )
            self.commits += 1
        except VectronError as refusal:
            error = refusal
        except StorageError as failure:
            error = Unavailable(f"the disk failed, and whether the write was done is unknown: {failure}")
        except Exception as defect:
            error = Internal(f"a write was stored but not made searchable: {defect!r}")
            error.__cause__ = defect
        if not self._sync and self._sync_at == math.inf:
            self._sync_at = self._clock.now() + INTERVAL_S
        self._working = []
        row = ballot = 0
        for call in calls:
            call.held = held[row : row + len(call.rows)]
            call.promised = promised[ballot : ballot + len(call.ballots)]
            row, ballot = row + len(call.rows), ballot + len(call.ballots)
            # An exception raised in several tasks at once would collect all their tracebacks.
            call.error = error if error is None or len(calls) == 1 else _copy(error)
            call.done.set()

    def _commit_job(
        self, rows: list[Row], paths: list[Path], ballots: list[tuple[PointId, bytes]], now: float, wall_ms: int
    ) -> tuple[list[bytes | None], list[Promised]]:
        self._space.check(now)
        self._heal_job()

        def admitted(stamp: int, held: int) -> bool:
            return admit(stamp, wall_ms, held)

        applied = self._store.apply(rows, admitted, paths=paths, sync=self._sync) if rows else []
        written = [row for row, result in zip(rows, applied, strict=True) if result.written]
        if written:
            self._on_applied(written)
        promised = self._store.promise(ballots, admitted) if ballots else []
        return [result.held for result in applied], promised

    async def exclusive(self, job: Callable[..., T], *args: object) -> T:
        """`job`, which writes to the store, on the disk lane; a store that failed a write is healed before.

        Raises:
            StorageError: The disk failed.
        """

        def run() -> T:
            self._heal_job()
            return job(*args)

        return await self._executor.run("disk", run)

    def _heal_job(self) -> None:
        if self._store.broken:
            recovered = self._store.heal()
            if recovered:
                self._on_applied(recovered)

    async def _flush(self) -> None:
        try:
            await self._executor.run("disk", self._flush_job)
            self._sync_at = math.inf
        except StorageError:
            self._sync_at = self._clock.now() + RETRY_S  # the next write, or this timer, heals the store

    def _flush_job(self) -> None:
        self._heal_job()
        self._store.sync()


def _copy(error: VectronError) -> VectronError:
    wire = error.to_wire()
    wire.pop("code")
    copy = type(error)(wire.pop("message"), **wire)
    copy.__cause__ = error.__cause__
    return copy
