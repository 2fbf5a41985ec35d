"""Deterministic simulation: one seed draws a cluster, a workload and the faults it must survive, then heals and checks.

The nodes are the real ones (`testing.cluster`); time is virtual. Checked: no acknowledged write is lost and no
deleted point comes back, at every quorum read meanwhile and in every replica at the end; all replicas of a shard end
up equal; all nodes agree on members and catalog; a search finds what the reads find. The same seed gives the same
trace.

After TigerBeetle's VOPR and FoundationDB's simulation: faults are drawn per seed (swarm testing, Groce et al. 2012),
then everything heals and the cluster must come to rest.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.testing.determinism import run_deterministic
from vectron_p2p.testing.ledger import ABSENT, Ledger
from vectron_p2p.testing.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from vectron_p2p.testing.client import SimClient

DIMENSION = 4
POINTS_PER_CLIENT = 12  # few, so that each is written, deleted and read often
OPERATION_TIMEOUT = 8.0  # virtual seconds; the clients retry within it
HEAL_WITHIN = 120.0  # virtual seconds from healing until all replicas are equal: a dozen anti-entropy rounds
SETTLE = 15.0  # virtual seconds: longer than a coordinator goes on sending what its client gave up on
NAME = "points"


@dataclass(frozen=True, slots=True)
class Faults:
    """What may happen in one run, drawn from its seed."""

    kill: bool
    power: bool
    stop: bool
    partition: bool
    one_way: bool
    loss: float
    delay: float
    clock_skew: bool
    pause_between: float

    @classmethod
    def draw(cls, rng: random.Random) -> Faults:
        return cls(
            kill=rng.random() < 0.8,
            power=rng.random() < 0.5,
            stop=rng.random() < 0.4,
            partition=rng.random() < 0.6,
            one_way=rng.random() < 0.3,
            loss=rng.choice([0.0, 0.0, 0.02, 0.1, 0.25]),
            delay=rng.choice([0.0005, 0.002, 0.02, 0.08]),
            clock_skew=rng.random() < 0.3,
            pause_between=rng.uniform(1.0, 8.0),
        )


@dataclass(slots=True)
class Report:
    """The outcome of one seed. `schedule` lists the faults with their virtual times; `trace` is the hash of all
    traffic.
    """

    seed: int
    nodes: int
    operations: int = 0
    acknowledged: int = 0
    failed: int = 0
    virtual_seconds: float = 0.0
    trace: str = ""
    schedule: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def simulate(seed: int, *, seconds: float = 60.0, mutant: str | None = None) -> Report:
    """One run of at least `seconds` virtual seconds under faults, and the healing after it."""
    breakage: AbstractContextManager[None] = MUTANTS[mutant]() if mutant else nullcontext()
    with breakage:
        return run_deterministic(seed, _Run(seed, seconds).main)


def sweep(seeds: Iterable[int], *, seconds: float, mutant: str | None, jobs: int) -> Iterator[Report]:
    """Reports of `seeds`, in order, run on `jobs` processes."""
    run = partial(simulate, seconds=seconds, mutant=mutant)
    # Spawned, not forked: a fresh interpreter per worker, so that a seed sees nothing of its caller.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, seeds)


class _Run:
    def __init__(self, seed: int, seconds: float) -> None:
        self._random = random.Random(seed)
        self._seconds = seconds
        self._faults = Faults.draw(self._random)
        self._nodes = self._random.choice([3, 3, 3, 4, 5])
        self._ledger = Ledger()
        self._report = Report(seed, self._nodes)
        self._trace = hashlib.blake2b(digest_size=16)
        self._over = False
        self._cluster: Cluster

    async def main(self) -> Report:
        report = self._report
        try:
            async with open_cluster(nodes=self._nodes, seed=self._random.getrandbits(64)) as cluster:
                self._cluster = cluster
                cluster.network.trace = self._record
                await self._live()
        except AssertionError as error:
            report.violations.append(f"liveness: {error}")
        except BaseExceptionGroup as group:
            report.violations.extend(f"crash: {error!r}" for error in _leaves(group))
        report.violations += self._ledger.violations
        report.acknowledged = self._ledger.acknowledged
        report.virtual_seconds = trio.current_time()
        report.trace = self._trace.hexdigest()
        return report

    def _record(self, now: float, kind: str, source: str, target: str, size: int) -> None:
        self._trace.update(f"{now:.9f} {kind} {source} {target} {size}\n".encode())

    def _note(self, what: str) -> None:
        self._report.schedule.append(f"{trio.current_time():8.3f} {what}")

    # --- the run ----------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        cluster = self._cluster
        shards = self._random.choice([1, 2, 4])
        async with trio.open_nursery() as nursery, cluster.client(timeout=OPERATION_TIMEOUT, nursery=nursery) as db:
            await db.create_collection(NAME, dimension=DIMENSION, shards=shards, replicas=3, metric="l2")
            async with trio.open_nursery() as workers:
                for number in range(self._random.randint(2, 4)):
                    workers.start_soon(self._work, db, number, random.Random(self._random.getrandbits(64)))
                await self._break_things()
                self._over = True
            await self._heal()
            async with cluster.client(nursery=nursery) as fresh:
                await self._check(fresh)
            nursery.cancel_scope.cancel()

    async def _break_things(self) -> None:
        cluster, rng, faults = self._cluster, self._random, self._faults
        end = trio.current_time() + self._seconds
        cluster.network.set_loss(faults.loss)
        cluster.network.set_delay(faults.delay / 2, faults.delay)
        self._note(f"{self._nodes} nodes, {faults}")
        actions = self._actions()
        while trio.current_time() < end:
            await trio.sleep(rng.uniform(0.2, faults.pause_between))
            if actions:
                await rng.choice(actions)()

    def _actions(self) -> list[Callable[[], Awaitable[None]]]:
        faults = self._faults
        chosen = [
            (faults.kill, self._kill),
            (faults.kill or faults.stop, self._restart),
            (faults.stop, self._stop),
            (faults.partition, self._partition),
            (faults.one_way, self._block),
            (faults.partition or faults.one_way, self._reconnect),
            (faults.clock_skew, self._skew),
        ]
        return [action for wanted, action in chosen if wanted]

    def _some_host(self, *, up: bool) -> str | None:
        names = [name for name, host in self._cluster.hosts.items() if (host.scope is not None) == up]
        return self._random.choice(names) if names else None

    async def _kill(self) -> None:
        down = sum(host.scope is None for host in self._cluster.hosts.values())
        if 2 * (down + 1) >= len(self._cluster.hosts) and self._random.random() < 0.7:
            await self._restart()  # without a majority little happens: that is to be a part of a run, not most of it
            return
        name = self._some_host(up=True)
        if name is not None:
            power = self._faults.power and self._random.random() < 0.5
            self._note(f"kill {name}{' (power)' if power else ''}")
            self._cluster.kill(name, power=power)

    async def _stop(self) -> None:
        name = self._some_host(up=True)
        if name is not None:
            self._note(f"stop {name}")
            with trio.move_on_after(30.0) as late:
                await self._cluster.stop(name)
            if late.cancelled_caught:
                self._ledger.violations.append(f"{name} did not stop within 30 s")

    async def _restart(self) -> None:
        name = self._some_host(up=False)
        if name is not None:
            self._note(f"start {name}")
            await self._cluster.start(name, wait=False)

    async def _partition(self) -> None:
        names = list(self._cluster.hosts)
        self._random.shuffle(names)
        cut = self._random.randint(1, len(names) - 1)
        groups = [names[:cut], names[cut:]]
        self._random.choice(groups).append("client")
        self._note(f"partition {groups}")
        self._cluster.network.partition(groups)

    async def _block(self) -> None:
        source, target = self._random.sample(list(self._cluster.hosts), 2)
        self._note(f"block {source} -> {target}")
        self._cluster.network.block(source, target)

    async def _reconnect(self) -> None:
        self._note("heal the network")
        self._cluster.network.heal()

    async def _skew(self) -> None:
        name = self._random.choice(list(self._cluster.hosts))
        offset = self._random.choice([-2.0, -0.2, 0.0, 0.2, 2.0])
        self._note(f"clock of {name} {offset:+.1f} s")
        self._cluster.hosts[name].clock.wall_offset = offset

    async def _heal(self) -> None:
        """Everything back; then all must come to rest."""
        cluster = self._cluster
        self._note("heal everything")
        cluster.network.heal()
        cluster.network.set_loss(0.0)
        cluster.network.set_delay(0.0005, 0.001)
        for name, host in cluster.hosts.items():
            host.clock.wall_offset = 0.0
            if host.scope is None:
                await cluster.start(name, wait=False)
        await cluster.until(
            lambda: len(cluster.up) == len(cluster.hosts), within=HEAL_WITHIN, what="every node serves again"
        )
        await cluster.until(cluster.agreed, within=HEAL_WITHIN, what="all nodes agree on members and catalog")
        await cluster.until(cluster.replicas_equal, within=HEAL_WITHIN, what="all replicas of each shard are equal")

    # --- the workload -----------------------------------------------------------------------------------------------

    async def _work(self, db: SimClient, number: int, rng: random.Random) -> None:
        points = range(number * POINTS_PER_CLIENT, (number + 1) * POINTS_PER_CLIENT)
        state = 0
        while not self._over:
            state += 1
            self._report.operations += 1
            kind = rng.random()
            chosen = rng.sample(points, rng.randint(1, 3))
            if kind < 0.55:
                await self._write(db, chosen, number * 1_000_000 + state)
            elif kind < 0.7:
                await self._write(db, chosen, ABSENT)
            else:
                await self._read(db, chosen)
            await trio.sleep(rng.expovariate(5.0))

    async def _write(self, db: SimClient, points: Sequence[int], state: int) -> None:
        ledger, docs = self._ledger, db.collection(NAME)
        began = trio.current_time()
        for point in points:
            ledger.begin(point, state)
        try:
            if state == ABSENT:
                await docs.delete(ids=list(points), consistency="quorum")
            else:
                await docs.upsert(
                    ids=list(points),
                    vectors=[vector_of(point, state) for point in points],
                    payloads=[{"state": state}] * len(points),
                    consistency="quorum",
                )
        except VectronError:
            self._report.failed += 1
            for point in points:
                ledger.unknown(point, state, trio.current_time())
            return
        for point in points:
            ledger.acknowledge(point, state, began, trio.current_time())

    async def _read(self, db: SimClient, points: Sequence[int]) -> None:
        try:
            found = await db.collection(NAME).get(list(points), consistency="quorum", with_vector=True)
        except VectronError:
            self._report.failed += 1
            return
        for point, row in zip(points, found, strict=True):
            self._judge(point, row, f"read at {trio.current_time():.3f}")

    def _judge(self, point: int, row: object, where: str) -> None:
        if row is None:
            self._ledger.saw(point, ABSENT, where)
            return
        state = int(row.payload["state"])  # type: ignore[attr-defined]
        if list(row.vector) != vector_of(point, state):  # type: ignore[attr-defined]
            self._ledger.violations.append(f"{where}: point {point} has a vector that is not of its payload")
        self._ledger.saw(point, state, where)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def _check(self, db: SimClient) -> None:
        docs = db.collection(NAME)
        points = sorted(self._ledger.points)
        if not points:
            return
        await trio.sleep(SETTLE)
        for row, point in zip(await docs.get(points, consistency="all", with_vector=True), points, strict=True):
            self._judge(point, row, "at the end")
        alive = {point for point in points if self._ledger.points[point].settled != ABSENT}
        for level in ("one", "quorum"):
            hits = await docs.search([0.0] * DIMENSION, k=len(points) + 1, exact=True, consistency=level)
            found = {hit.id for hit in hits}
            if hits.partial or found != alive:
                self._ledger.violations.append(
                    f"search at {level} after healing: missing {sorted(alive - found)}, extra {sorted(found - alive)}, "
                    f"missing shards {hits.missing_shards}"
                )
        count = await docs.count()
        if count != len(alive):
            self._ledger.violations.append(f"count after healing is {count}, {len(alive)} points are live")


def vector_of(point: int, state: int) -> list[float]:
    """The vector that the workload writes with `state`: small integers, exact in float32."""
    return [float(point), float(state % 1000), float(state % 7), 1.0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
