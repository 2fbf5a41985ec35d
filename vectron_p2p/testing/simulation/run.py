"""One run: the cluster starts, clients and faults go at it, everything heals, and all must be well again."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.node.config import Limits
from vectron_p2p.testing.checks import collected
from vectron_p2p.testing.checks.agreement import Agreement
from vectron_p2p.testing.checks.promises import Promises
from vectron_p2p.testing.checks.violations import Violation
from vectron_p2p.testing.cluster import open_cluster
from vectron_p2p.testing.determinism import run_deterministic
from vectron_p2p.testing.ledger import Ledger
from vectron_p2p.testing.mutants import MUTANTS
from vectron_p2p.testing.simulation import ending
from vectron_p2p.testing.simulation.faults import FAULTS
from vectron_p2p.testing.simulation.plan import draw
from vectron_p2p.testing.simulation.report import Report
from vectron_p2p.testing.simulation.workload.churn import ChurnWorker
from vectron_p2p.testing.simulation.workload.clients import DIMENSION, POINTS, SHARED, TIMEOUT, Worker
from vectron_p2p.testing.simulation.workload.fresh import FreshWorker
from vectron_p2p.testing.simulation.workload.linear import LinearWorker, Registers
from vectron_p2p.testing.simulation.workload.ones import OneWorker
from vectron_p2p.testing.simulation.workload.plain import PlainWorker
from vectron_p2p.testing.simulation.world import World, leaves

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster
    from vectron_p2p.testing.simulation.plan import Action, Plan

START_WITHIN = 30.0  # virtual seconds
LOOK_EVERY = 0.5  # virtual seconds between looks at what all nodes know: shorter than anything they agree on lasts
LOOK_OFTEN = 0.1  # virtual seconds, where a row that should not be there may soon be written anew


def simulate(
    seed: int,
    *,
    seconds: float = 60.0,
    scenario: str = "mixed",
    keep: Iterable[int] | None = None,
    mutant: str | None = None,
) -> Report:
    """One run of at least `seconds` virtual seconds under faults, and the healing after it.

    `keep`: only these of the seed's faults, by number.
    """
    breakage: AbstractContextManager[None] = MUTANTS[mutant]() if mutant else nullcontext()
    plan = draw(seed, scenario, seconds).keep(keep)
    with breakage, _no_garbage():
        return run_deterministic(seed, Run(plan).main)


def sweep(
    seeds: Iterable[int], *, seconds: float, mutant: str | None, jobs: int, scenario: str = "mixed"
) -> Iterator[Report]:
    """Reports of `seeds`, in order, run on `jobs` processes."""
    run = partial(simulate, seconds=seconds, mutant=mutant, scenario=scenario)
    # Spawned, not forked: a fresh interpreter per worker, so that a seed sees nothing of its caller.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, seeds)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """A run makes few cycles and ends soon: collecting them is a tenth of its cost."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        gc.collect()


class Run:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._report = Report.of(plan)
        self._trace = hashlib.blake2b(digest_size=16)
        self._ledger = Ledger()
        self._registers = Registers(plan.rules.length)
        self._workers: list[Worker] = []

    async def main(self) -> Report:
        report, plan = self._report, self._plan
        limits = Limits(swim=SwimConfig.sim())
        if plan.short_floors:
            age, interval = plan.rules.floors
            limits = replace(limits, floor_age=age, floor_interval=interval)
        for name in ("repair_interval", "hint_interval", "phase_timeout"):
            if getattr(plan.rules, name) is not None:
                limits = replace(limits, **{name: getattr(plan.rules, name)})
        try:
            async with open_cluster(
                nodes=len(plan.shape.hosts),
                seed=plan.seed,
                zones=plan.zones,
                limits=limits,
                durability=plan.shape.durability,
            ) as cluster:
                cluster.network.trace = self._record
                await self._live(World(plan, cluster, report))
        except AssertionError as error:
            report.violations.append(_violation(error))
        except BaseExceptionGroup as group:
            report.violations += map(_violation, leaves(group))
        report.acknowledged = self._ledger.acknowledged
        report.virtual_seconds = trio.current_time()
        report.trace = self._trace.hexdigest()
        return report

    def _record(self, now: float, kind: str, source: str, target: str, size: int) -> None:
        self._trace.update(f"{now:.9f} {kind} {source} {target} {size}\n".encode())

    async def _live(self, world: World) -> None:
        plan, cluster = self._plan, world.cluster
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:

            async def client(*names: str) -> SimClient:
                return await stack.enter_async_context(cluster.client(*names, timeout=TIMEOUT, nursery=nursery))

            setup = await client()
            await setup.create_collection(POINTS, dimension=DIMENSION, shards=plan.shards, replicas=3, metric="l2")
            await setup.create_collection(SHARED, dimension=DIMENSION, shards=1, replicas=3, metric="l2")
            await cluster.until(cluster.agreed, within=START_WITHIN, what="all nodes know the collections")
            agreement = Agreement(world.violated)
            nursery.start_soon(world.supervise)
            nursery.start_soon(self._look, world, agreement)
            await self._employ(world, client)
            self._say(cluster)
            async with trio.open_nursery() as workers:
                for worker in self._workers:
                    workers.start_soon(worker.run)
                await self._break_things(world)
                for worker in self._workers:
                    worker.over = True
            await ending.heal(world)
            await ending.check(world, await client(), self._ledger, self._registers)
            nursery.cancel_scope.cancel()

    async def _employ(self, world: World, client: Callable[..., Awaitable[SimClient]]) -> None:
        clients, hosts = self._plan.clients, self._plan.shape.hosts
        for number in range(clients.plain):
            doors = [await client() for _ in range(self._plan.rules.doors)]
            self._workers.append(PlainWorker(world, doors, number, self._ledger))
        for number in range(clients.linear):
            known = hosts[number % len(hosts) :][:1] if self._plan.rules.one_address else ()
            self._workers.append(LinearWorker(world, await client(*known), number, self._registers))
        for number in range(clients.ones):
            self._workers.append(OneWorker(world, await client(), f"one-{number}"))
        for number in range(clients.fresh):
            self._workers.append(FreshWorker(world, await client(), number))
        for number in range(clients.churn):
            self._workers.append(ChurnWorker(world, await client(), await client(), number))

    def _say(self, cluster: Cluster) -> None:
        plan, shape = self._plan, self._plan.shape
        self._report.schedule.append(
            f"{trio.current_time():8.3f} begins: {len(cluster.hosts)} nodes, {plan.shards} shards, zones {plan.zones}, "
            f"{shape.durability}, loss {plan.loss}, duplication {plan.duplication}, delay {plan.delay}, "
            f"{plan.clients}, victim {shape.victim}, short floors {plan.short_floors}"
        )

    async def _look(self, world: World, agreement: Agreement) -> None:
        moves = bool({"moves", "admin"} & self._plan.rules.groups)
        promises, watch = Promises(world.violated), self._plan.rules.watch_floors
        while True:
            hosts = [host for host in world.cluster.up if host.name not in world.doubted]
            nodes = [host.node for host in hosts if host.node is not None]
            agreement.look(nodes)
            if not moves:
                promises.look(nodes)
            if watch:
                for text in collected.unforgotten(nodes):
                    world.violated("T1", text)
            await trio.sleep(LOOK_OFTEN if watch else LOOK_EVERY)

    async def _break_things(self, world: World) -> None:
        network, plan = world.cluster.network, self._plan
        network.set_loss(plan.loss, streams=plan.streams_lose)
        network.set_duplication(plan.duplication)
        network.set_delay(*plan.delay)
        began = trio.current_time()
        if plan.rules.offset:
            rng = random.Random(f"{plan.seed} offsets")
            for host in world.cluster.hosts.values():
                host.clock.wall_offset = rng.uniform(-plan.rules.offset, plan.rules.offset)
        async with trio.open_nursery() as nursery:
            for number, action in plan.chosen:
                nursery.start_soon(self._perform, world, number, action, began)
            await trio.sleep_until(began + plan.seconds)

    async def _perform(self, world: World, number: int, action: Action, began: float) -> None:
        await trio.sleep_until(began + action.at)
        world.note(f"fault {number}: {str(action).strip()}")
        await FAULTS[action.kind].perform(world, action)


def _violation(error: BaseException) -> Violation:
    """What ended the run: `Cluster.until` waited in vain, or something broke."""
    if isinstance(error, AssertionError) and str(error).startswith("not within"):
        return Violation("L1", str(error))
    return Violation("crash", f"{type(error).__name__}: {error}")
