"""Group commit: one batch for many writers, on disk and in the index before anyone is told."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from vectron_p2p.model.errors import ConsistencyError, Internal, Overloaded, ReadOnly, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId, PointId
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.replication.version import make_version
from vectron_p2p.storage import commit as commit_module
from vectron_p2p.storage.commit import GroupCommit
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.storage.space import SpaceFloor
from vectron_p2p.testing.disk import SimDisk
from vectron_p2p.testing.executor import StartsTasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

NODE = NodeId("00000000-0000-4000-8000-000000000001")
WALL_MS = 1_700_000_000_000


class TestClock:
    """trio's own (mock) clock."""

    __test__ = False

    def now(self) -> float:
        return trio.current_time()

    def ticks(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return WALL_MS / 1000

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def sleep_until(self, at: float) -> None:
        await trio.sleep_until(at)

    def move_on_after(self, seconds: float) -> trio.CancelScope:
        return trio.move_on_after(seconds)

    def fail_after(self, seconds: float) -> Any:
        return trio.fail_after(seconds)


class SlowExecutor(StartsTasks):
    """Runs jobs a millisecond later, on the loop; counts them."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.gate = trio.Event()
        self.gate.set()

    async def run(self, lane: str, fn: Callable[..., Any], *args: object) -> Any:
        assert lane == "disk"
        await trio.sleep(0.001)
        await self.gate.wait()
        self.jobs.append(fn.__name__)
        return fn(*args)


class World:
    def __init__(self, durability: str = "fsync") -> None:
        self.disk = SimDisk(random.Random(3))
        self.store = ShardStore(self.disk.open("s"))
        self.executor = SlowExecutor()
        self.indexed: list[Row] = []
        self.commit = GroupCommit(
            self.store,
            self.executor,
            TestClock(),
            self.indexed.extend,
            space=SpaceFloor(self.disk),
            durability=durability,
        )


def row(point_id: PointId, stamp: int = 1, size: int = 4) -> Row:
    return Row(point_id, make_version(stamp, NODE, b"\x00" * 16), b"v" * size, b"\x80")


async def test_writers_that_come_together_share_a_batch(autojump_clock: MockClock) -> None:
    world = World()
    answers: dict[int, list[bytes | None]] = {}

    async def write(i: int) -> None:
        answers[i] = await world.commit.apply([row(i), row(i + 100)])
        assert row(i) in world.indexed  # searchable before the answer
        assert world.store.get([i]) == [row(i)]

    async with trio.open_nursery() as nursery:
        world.executor.gate = trio.Event()
        await nursery.start(world.commit.run)
        async with trio.open_nursery() as writers:
            for i in range(50):
                writers.start_soon(write, i)
            await trio.testing.wait_all_tasks_blocked()
            world.executor.gate.set()
        nursery.cancel_scope.cancel()
    assert answers == {i: [row(i).version, row(i + 100).version] for i in range(50)}
    assert world.commit.commits <= 2
    assert len(world.indexed) == 100


async def test_each_writer_gets_the_version_held(autojump_clock: MockClock) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.commit.run)
        await world.commit.apply([row(1, 5)])
        assert await world.commit.apply([row(1, 3), row(2, 1)]) == [row(1, 5).version, row(2, 1).version]
        far = stamp_of(WALL_MS + 501)
        assert await world.commit.apply([row(3, far)]) == [None]
        assert await world.commit.apply([row(3, stamp_of(WALL_MS + 500))]) != [None]
        assert await world.commit.apply([]) == []
        nursery.cancel_scope.cancel()
    assert [item.id for item in world.indexed] == [1, 2, 3]


async def test_batches_are_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "BATCH_ROWS", 10)
    world = World()
    async with trio.open_nursery() as nursery:
        world.executor.gate = trio.Event()
        await nursery.start(world.commit.run)
        async with trio.open_nursery() as writers:
            for i in range(10):
                writers.start_soon(world.commit.apply, [row(10 * i + j) for j in range(4)])
            await trio.testing.wait_all_tasks_blocked()
            world.executor.gate.set()
        await world.commit.apply([row(1000 + i) for i in range(30)])  # one that is larger goes alone
        nursery.cancel_scope.cancel()
    assert 5 <= world.commit.commits <= 8
    assert world.store.live == 70


async def test_the_queue_is_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "QUEUE_BYTES", 1000)
    world = World()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.commit.apply, [row(1, size=5000)])  # one at least is always taken
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):
            await world.commit.apply([row(2)])
        await nursery.start(world.commit.run)
        await trio.sleep(1)
        await world.commit.apply([row(3)])
        nursery.cancel_scope.cancel()
    assert world.store.live == 2


async def test_a_failing_disk_tells_every_writer_and_then_heals(autojump_clock: MockClock) -> None:
    world = World()
    errors: list[VectronError] = []

    async def write(i: int) -> None:
        try:
            await world.commit.apply([row(i)])
        except VectronError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        world.disk.fail_writes()
        world.executor.gate = trio.Event()
        async with trio.open_nursery() as writers:
            for i in range(3):
                writers.start_soon(write, i)
            await trio.testing.wait_all_tasks_blocked()
            await nursery.start(world.commit.run)
            world.executor.gate.set()
        assert [type(error) for error in errors] == [Unavailable] * 3
        assert len({id(error) for error in errors}) == 3
        assert world.indexed == []
        assert await world.commit.apply([row(9)]) == [row(9).version]
        nursery.cancel_scope.cancel()
    # What the failed batch left on disk is in the index as well.
    assert sorted(item.id for item in world.indexed) == [0, 1, 2, 9]
    assert world.store.live == 4


async def test_a_full_disk_refuses_before_it_writes(autojump_clock: MockClock) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.commit.run)
        world.disk.set_free(1)
        with pytest.raises(ReadOnly, match="free some space"):
            await world.commit.apply([row(1)])
        assert not world.store.broken
        world.disk.set_free(10 << 30)
        await trio.sleep(1)
        await world.commit.apply([row(1)])
        nursery.cancel_scope.cancel()
    assert world.store.live == 1


async def test_an_index_that_fails_is_not_hidden(autojump_clock: MockClock) -> None:
    world = World()

    def refuse(rows: list[Row]) -> None:
        raise RuntimeError("index")

    world.commit._on_applied = refuse
    async with trio.open_nursery() as nursery:
        await nursery.start(world.commit.run)
        with pytest.raises(Internal, match="index"):
            await world.commit.apply([row(1)])
        nursery.cancel_scope.cancel()


async def test_a_cancelled_writer_holds_nobody_up(autojump_clock: MockClock) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        world.executor.gate = trio.Event()
        await nursery.start(world.commit.run)
        with trio.move_on_after(1) as scope:
            await world.commit.apply([row(1)])
        assert scope.cancelled_caught
        world.executor.gate.set()
        assert await world.commit.apply([row(2)]) == [row(2).version]
        nursery.cancel_scope.cancel()
    assert world.store.live == 2


async def test_closing_tells_those_who_wait(autojump_clock: MockClock) -> None:
    world = World()
    errors: list[Exception] = []

    async def write(i: int) -> None:
        try:
            await world.commit.apply([row(i)])
        except Unavailable as error:
            errors.append(error)

    async with trio.open_nursery() as writers:
        async with trio.open_nursery() as nursery:
            world.executor.gate = trio.Event()
            await nursery.start(world.commit.run)
            writers.start_soon(write, 1)
            await trio.testing.wait_all_tasks_blocked()
            writers.start_soon(write, 2)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert len(errors) == 2
    with pytest.raises(Unavailable, match="nothing was written"):
        await world.commit.apply([row(3)])


async def test_interval_syncs_within_a_tenth_of_a_second(autojump_clock: MockClock) -> None:
    world = World("interval")
    async with trio.open_nursery() as nursery:
        await nursery.start(world.commit.run)
        for i in range(5):
            await world.commit.apply([row(i)])
        assert world.executor.jobs == ["_commit_job"] * 5
        await trio.sleep(0.15)
        assert world.executor.jobs[5:] == ["_flush_job"]
        await trio.sleep(10)
        assert len(world.executor.jobs) == 6  # idle
        nursery.cancel_scope.cancel()
    world.disk.crash()
    assert ShardStore(world.disk.open("s")).live == 5


async def test_interval_tries_a_failed_sync_again(autojump_clock: MockClock) -> None:
    world = World("interval")
    async with trio.open_nursery() as nursery:
        await nursery.start(world.commit.run)
        await world.commit.apply([row(1)])
        world.disk.fail_writes()
        await trio.sleep(3)
        assert not world.store.broken
        nursery.cancel_scope.cancel()
    world.disk.crash()
    assert ShardStore(world.disk.open("s")).live == 1


def test_unknown_durability_is_refused() -> None:
    world = World()
    with pytest.raises(ValueError):
        GroupCommit(world.store, world.executor, TestClock(), print, space=SpaceFloor(world.disk), durability="never")


async def test_with_real_threads(tmp_path: Any) -> None:
    from vectron_p2p.storage.folder import LevelDisk

    class Threads(StartsTasks):
        async def run(self, lane: str, fn: Callable[..., Any], *args: object) -> Any:
            return await trio.to_thread.run_sync(fn, *args)

    disk = LevelDisk(tmp_path)
    disk.lock()
    store = ShardStore(disk.open("s"))
    threads: set[int] = set()

    def applied(rows: list[Row]) -> None:
        threads.add(threading.get_ident())

    commit = GroupCommit(store, Threads(), TestClock(), applied, space=SpaceFloor(disk))

    async def write(worker: int) -> None:
        for i in range(20):
            held = await commit.apply([row(worker * 1000 + i), row("shared", worker * 100 + i + 1)])
            assert held[0] == row(worker * 1000 + i).version
            assert held[1] is not None
            assert held[1] >= row("shared", worker * 100 + i + 1).version

    async with trio.open_nursery() as nursery:
        await nursery.start(commit.run)
        async with trio.open_nursery() as writers:
            for worker in range(8):
                writers.start_soon(write, worker)
        nursery.cancel_scope.cancel()
    assert commit.commits < 160
    assert store.live == 161
    assert threading.get_ident() not in threads
    store.close()
    disk.unlock()


def test_copies_of_errors_keep_their_fields() -> None:
    error = ConsistencyError("m", acked=1, required=2, node="n", field="f")
    copy = commit_module._copy(error)
    assert copy is not error
    assert copy.to_wire() == error.to_wire()
