"""A whole run: cluster, fabric, clients, faults, checks, report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations.nemesis import checks, registers, report
from simulations.nemesis.fabric import Fabric, ProxyFabric, SwitchFabric
from simulations.nemesis.means import Clocks, SlowDisk
from simulations.nemesis.nemesis import Nemesis
from simulations.nemesis.picture import draw
from simulations.nemesis.registers import Level, RegisterWorker
from simulations.nemesis.schedule import Kind, Step, steps
from simulations.nemesis.workload import COLLECTION, DIMENSION, Worker
from vectron_p2p import connect
from vectron_p2p.testing.processes import ProcessCluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

REPLICAS = 3
MEMBERS_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    seed: int
    nodes: int = 5
    seconds: float = 1800.0
    clients: int = 6
    rate: float = 90.0
    """Operations a second that the clients aim at together; less when answers are slow."""
    shards: int = 8
    kinds: tuple[Kind, ...] | None = None
    script: tuple[Step, ...] = ()
    """These steps instead of drawn ones; it ends with the last."""
    clock: bool = False
    """Set wall clocks off too."""
    fabric: str = "proxy"
    registers: Level | None = None
    """Clients that compete for the same points at this consistency, instead of those with points of their own."""


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> report.Result:
    """Run `plan` and write its report into `folder`; with failures the nodes' logs too."""
    fabric = _fabric(plan)
    try:
        with ProcessCluster(plan.nodes) as cluster:
            left_out = {Kind.SLOW_DISK: SlowDisk.why_not(cluster.folder), Kind.CLOCK: Clocks.why_not(plan.clock)}
            slow_disk = None if left_out[Kind.SLOW_DISK] else SlowDisk(cluster.folder)
            clocks = None if left_out[Kind.CLOCK] else Clocks(cluster.folder)
            nemesis = Nemesis(cluster, fabric, slow_disk=slow_disk, clocks=clocks, say=say)
            try:
                special = [kind for kind, reason in left_out.items() if not reason]
                result = _run(plan, cluster, fabric, nemesis, special)
            finally:
                nemesis.release()
            result.left_out = {kind.value: reason for kind, reason in left_out.items() if reason}
            result.judge()
            report.write(result, folder, draw(result))
            if result.failures:
                for node in cluster.nodes:
                    shutil.copyfile(node.folder.with_suffix(".err"), folder / f"n{node.index}.log")
    finally:
        fabric.close()
    return result


def _fabric(plan: Plan) -> Fabric:
    reason = SwitchFabric.why_not() if plan.fabric != "proxy" else ""
    if plan.fabric == "proxy" or (plan.fabric == "auto" and reason):
        return ProxyFabric(plan.nodes, plan.seed)
    if reason:
        raise SystemExit(f"--fabric netns: {reason}")
    return SwitchFabric(plan.nodes, plan.seed)


def _run(
    plan: Plan, cluster: ProcessCluster, fabric: Fabric, nemesis: Nemesis, special: Sequence[Kind]
) -> report.Result:
    nemesis.start()
    replicas = min(REPLICAS, plan.nodes)
    with connect(cluster.connect) as db:
        wait_for(lambda: len(db.cluster().nodes) == plan.nodes or None, MEMBERS_WITHIN, "all nodes to be members")
        db.create_collection(COLLECTION, dimension=DIMENSION, shards=plan.shards, replicas=replicas)
    pause = plan.clients / plan.rate
    seed, points = plan.seed, registers.Points(plan.seed)
    workers: list[Worker | RegisterWorker] = [
        Worker(number, cluster.connect, seed=seed, pause=pause)
        if plan.registers is None
        else RegisterWorker(number, cluster.connect, points, seed=seed, pause=pause, level=plan.registers)
        for number in range(plan.clients)
    ]
    for worker in workers:
        worker.start()
    outcome = checks.Outcome()
    try:
        drawn = steps(plan.seed, plan.nodes, plan.kinds, special=special)
        nemesis.run(iter(plan.script) if plan.script else drawn, plan.seconds)
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()
    checks.wait_agreed(cluster, plan.shards, replicas, outcome, since=nemesis.timeline.healed)
    checks.read_back(cluster, workers, outcome)
    carried = fabric.figures()
    codes = cluster.stop_all()
    if any(codes):
        outcome.failures.append(f"exit codes on SIGTERM: {codes}")
    checks.compare_disks(cluster, workers, outcome)
    operations, violations, searched, missed, died = report.collect(workers)
    outcome.failures += died
    histories = registers.judge([worker for worker in workers if isinstance(worker, RegisterWorker)])
    violations += histories.violations
    complaints: dict[str, list[str]] = {}
    for node in cluster.nodes:
        complaints |= report.complaints(f"n{node.index}", node.log())
    options = {
        "seed": plan.seed, "nodes": plan.nodes, "replicas": replicas, "shards": plan.shards, "clients": plan.clients,
        "seconds": round(nemesis.timeline.ended - nemesis.timeline.began, 1), "fabric": fabric.kind,
    }  # fmt: skip
    if plan.registers is not None:
        options["registers"] = {
            "consistency": plan.registers, "points": histories.points, "calls": histories.calls,
            "undecided": histories.undecided,
        }  # fmt: skip
    return report.Result(
        options, {}, nemesis.timeline, operations, violations, searched, missed, outcome, carried, complaints
    )
