"""The end of a run: all faults over, the cluster must come to rest, and hold what it promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.checks import indexes, replicas, rest
from vectron_p2p.testing.checks.linearizable import Undecided
from vectron_p2p.testing.ledger import ABSENT
from vectron_p2p.testing.simulation.faults.admin import settle
from vectron_p2p.testing.simulation.workload.clients import DIMENSION, POINTS
from vectron_p2p.testing.simulation.workload.plain import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.node.node import Node
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.ledger import Ledger
    from vectron_p2p.testing.simulation.workload.linear import Registers
    from vectron_p2p.testing.simulation.world import World

HEAL_WITHIN = 120.0  # virtual seconds until all replicas are equal: a dozen anti-entropy rounds
SELDOM = 6  # rounds more that replicas get where a scenario makes them rare: each may come after twice the interval
SETTLE = 15.0  # virtual seconds: longer than a coordinator goes on sending what its client gave up on
REST = 3.0  # virtual seconds for which a cluster at rest is watched
ATTEMPTS = 3  # at what is left to be administered: each takes as long as a proposal may
LOOK = 0.5  # virtual seconds between looks at all rows: they are all read


def _nodes(world: World) -> list[Node]:
    return [host.node for host in world.cluster.up if host.node is not None]


async def heal(world: World) -> None:
    """Everything back; then all must come to rest. M2: all nodes that run see each other alive, and agree."""
    cluster = world.cluster
    world.note("heal everything")
    cluster.network.heal()
    cluster.network.set_loss(0.0)
    cluster.network.set_duplication(0.0)
    cluster.network.set_delay(0.0005, 0.001)
    for host in cluster.hosts.values():
        host.clock.wall_offset = 0.0
    await _until(world, _not_serving, lasting=0.0)
    for attempt in range(ATTEMPTS):
        await settle(world, attempt)
    await _until(world, _not_at_rest, lasting=SETTLE)


async def _until(world: World, wrong: Callable[[World], list[str]], *, lasting: float) -> None:
    """Until nothing was `wrong` for so long."""
    well_since = began = trio.current_time()
    within = HEAL_WITHIN + SELDOM * (world.plan.rules.repair_interval or 0.0)
    while True:
        found, now = wrong(world), trio.current_time()
        if not found and now >= well_since + lasting:
            return
        if found:
            well_since = now
        if found and now > began + within:
            raise AssertionError(f"not within {within:g} s after all faults: {'; '.join(found[:5])}")
        await trio.sleep(LOOK)


def _not_at_rest(world: World) -> list[str]:
    """L1, M2, D4: what is not as it must become."""
    found = _not_serving(world)
    if not found and not world.cluster.agreed():
        found = ["nodes do not agree on members and catalog"]
    return found or _moving(world) or replicas.unequal(_nodes(world))


def _moving(world: World) -> list[str]:
    return [str(move) for node in _nodes(world) for move in node.catalog.state.moves.values()]


def _not_serving(world: World) -> list[str]:
    missing = [f"{name} is down" for name, host in world.cluster.hosts.items() if not host.up]
    doubted = [f"{name} is taken although {doubt.why}" for name, doubt in world.doubted.items() if doubt.certain]
    return missing + doubted


async def check(world: World, db: SimClient, ledger: Ledger, registers: Registers) -> None:
    nodes = _nodes(world)
    for text in rest.waiting(nodes):
        world.violated("L1", text)
    busy = await rest.busy(len(nodes), REST)
    if busy:
        world.violated("L1", busy)
    for node in nodes:
        for text in indexes.differences(node):
            world.violated("D6", text)
    await _check_points(world, db, ledger)
    for text in replicas.unequal(_nodes(world)):
        world.violated("D4", text)
    for history in registers.all:
        denied = history.denied()
        for operation in denied:
            text = f"point {history.point} was read, and the writer told that nothing was written: {operation}"
            world.violated("linearizability", text)
        try:
            if not denied and not history.holds():
                story = "\n    ".join(map(str, history.operations))
                world.violated("linearizability", f"point {history.point} has no order of its calls:\n    {story}")
        except Undecided:
            world.report.undecided += 1


async def _check_points(world: World, db: SimClient, ledger: Ledger) -> None:
    """D1, D3: every point once more; D7: searches and counts find what the reads find."""
    docs, points = db.collection(POINTS), sorted(ledger.points)
    if not points:
        return
    try:
        rows = await docs.get(points, consistency="quorum" if world.spent else "all", with_vector=True)
        for row, point in zip(rows, points, strict=True):
            judge(world, ledger, point, row, "at the end", final=True)
        alive = {point for point in points if ledger.points[point].settled != ABSENT}
        for level in ("one", "quorum"):
            hits = await docs.search([0.0] * DIMENSION, k=len(points) + 1, exact=True, consistency=level)
            found = {hit.id for hit in hits}
            if hits.partial or found != alive:
                world.violated(
                    "D7",
                    f"search at {level} at the end: missing {alive - found or 'none'}, "
                    f"extra {found - alive or 'none'}, missing shards {hits.missing_shards}",
                )
        count, listed, cursor = await docs.count(), set(), None
        while True:
            page = await docs.scroll(limit=7, cursor=cursor)
            listed |= {point.id for point in page.points}
            cursor = page.cursor
            if cursor is None:
                break
        if count != len(alive) or listed != alive:
            world.violated("D7", f"at the end {len(alive)} points are live, {count} are counted, {len(listed)} listed")
    except VectronError as error:
        world.violated("L1", f"a call at the end failed: {type(error).__name__}: {error.message}")
