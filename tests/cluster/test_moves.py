"""Shard moves on whole clusters: under writes, with deaths at every step, partitions, floors, cancels and drops."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.cluster.looking import collection, live, rested
from vectron_p2p.catalog.commands import StartMove
from vectron_p2p.catalog.moves import Step
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.node.config import Limits
from vectron_p2p.node.replica import kv_name
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vectron_p2p.catalog.moves import Move
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster

LIMITS = Limits(swim=SwimConfig.sim())
HOUR = 3600.0
QUIET = replace(LIMITS, repair_interval=HOUR, startup_repair=0.0, hint_interval=HOUR)
"""Nothing moves rows but writes, reads, rounds and moves."""
NAMES = ("n1", "n2", "n3", "n4")


async def docs_of(cluster: Cluster, db: SimClient, **options: Any) -> AsyncCollection:
    docs = await db.create_collection("docs", dimension=1, metric="l2", **{"shards": 1, "replicas": 3, **options})
    await cluster.until(cluster.agreed, within=10, what="all know the collection")
    return docs


def identity(cluster: Cluster, name: str) -> NodeId:
    """Of the node on this host, running or not."""
    members = state(cluster).members
    return next(node for node, member in members.items() if member.name == name)


def name_of(cluster: Cluster, node: NodeId) -> str:
    return state(cluster).members[node].name


def state(cluster: Cluster) -> ClusterState:
    """The newest that a running node has."""
    return max((cluster.node(host.name).catalog.state for host in cluster.up), key=lambda each: each.epoch)


def shard(cluster: Cluster) -> ShardId:
    return ShardId(collection(cluster).id, 0)


def owners(cluster: Cluster) -> list[str]:
    """Names of those that are read."""
    return [name_of(cluster, node) for node in collection(cluster).placement[0]]


def cast(cluster: Cluster) -> tuple[str, str, str, str]:
    """A, which will leave; B and C, which stay; D, which will come. A is not n1, which clients and tests talk to."""
    held = sorted(owners(cluster), reverse=True)
    return held[0], *held[1:3], next(name for name in NAMES if name not in held)  # type: ignore[return-value]


def move(cluster: Cluster) -> Move | None:
    return state(cluster).moves.get(shard(cluster))


def step(cluster: Cluster) -> Step | None:
    found = move(cluster)
    return None if found is None else found.step


async def start(cluster: Cluster, leaving: str | None, coming: str | None, *, by: str | None = None) -> None:
    where = shard(cluster)
    command = StartMove(
        where.collection,
        where.index,
        identity(cluster, leaving) if leaving else "",
        identity(cluster, coming) if coming else "",
    )
    await cluster.node(by or cluster.up[0].name).catalog.propose(command, timeout=20.0)


async def moved(cluster: Cluster, *, within: float = 60.0) -> None:
    """Until no move is under way anywhere, and only owners hold replicas."""
    await cluster.until(
        lambda: all(not cluster.node(host.name).catalog.state.moves for host in cluster.up),
        within=within,
        what=f"the move is done: {[cluster.node(h.name).upkeep.moves.progress() for h in cluster.up]}",
    )

    def settled() -> bool:
        held = {host.name for host in cluster.up if cluster.node(host.name).replicas.all()}
        return held == set(owners(cluster)) & {host.name for host in cluster.up}

    await cluster.until(settled, within=within, what="only owners hold replicas")


def pause_moves(cluster: Cluster, at: Callable[[Move, str], bool]) -> dict[str, int]:
    """Drivers on the nodes running now wait before each phase for which `at(move, phase)`: how many waits each had."""
    waited: dict[str, int] = {}
    for host in cluster.up:
        moves = cluster.node(host.name).upkeep.moves
        for phase in ("fence", "copy", "propose"):
            name = f"_{phase}"
            original = getattr(moves, name)

            async def held(*args: Any, original: Any = original, phase: str = phase, moves: Any = moves) -> Any:
                (now,) = moves._state.moves.values()
                while at(now, phase):
                    waited[phase] = waited.get(phase, 0) + 1
                    await trio.sleep(0.05)
                return await original(*args)

            setattr(moves, name, held)
    return waited


class Writer:
    """Writes points one after the other at QUORUM while a move goes on, and checks what it reads."""

    def __init__(self, docs: AsyncCollection, ids: range) -> None:
        self.docs = docs
        self.ids = ids
        self.acked: dict[int, int] = {}
        """Point -> number in its payload; -1: deleted."""
        self.errors: list[VectronError] = []
        self.unsure: set[int] = set()
        self.stopped = False
        self.rounds = 0

    async def run(self) -> None:
        number = 0
        while not self.stopped:
            for point in self.ids:
                number += 1
                try:
                    if number % 5 == 0:
                        await self.docs.delete(ids=[point])
                        self.acked[point] = -1
                    elif number % 7 == 0:
                        await self.docs.upsert(
                            ids=[point], vectors=[[number]], payloads=[{"n": number}], consistency="linearizable"
                        )
                        self.acked[point] = number
                    else:
                        await self.docs.upsert(ids=[point], vectors=[[number]], payloads=[{"n": number}])
                        self.acked[point] = number
                    self.unsure.discard(point)
                except VectronError as error:
                    self.errors.append(error)
                    self.unsure.add(point)
                if number % 3 == 0:
                    await self.check([point])
                await trio.sleep(0.01)
            self.rounds += 1

    async def check(self, points: list[int], consistency: Any = "quorum") -> None:
        known = [point for point in points if point in self.acked and point not in self.unsure]
        try:
            found = await self.docs.get(known, consistency=consistency)
        except VectronError as error:
            self.errors.append(error)
            return
        for point, row in zip(known, found, strict=True):
            number = self.acked[point]
            seen = -1 if row is None else (row.payload or {})["n"]
            assert seen == number, f"point {point}: {seen} was read, {number} acknowledged"

    async def check_all(self) -> None:
        before = len(self.errors)
        await self.check(list(self.ids))
        await self.check(list(self.ids), "all")
        assert len(self.errors) == before, self.errors[before:]


@asynccontextmanager
async def writing(docs: AsyncCollection, points: int = 20) -> AsyncIterator[Writer]:
    writer = Writer(docs, range(1, points + 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        yield writer
        writer.stopped = True


async def test_a_shard_moves_under_writes_without_an_error() -> None:
    async with open_cluster(nodes=4, seed=1, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        await docs.upsert(
            ids=range(100, 400), vectors=[[i] for i in range(300)], payloads=[{"n": i} for i in range(300)]
        )
        a, b, c, d = cast(cluster)
        async with writing(docs) as writer:
            await cluster.until(lambda: writer.rounds >= 1, within=30, what="writes")
            await start(cluster, a, d)
            await moved(cluster)
            done = writer.rounds
            await cluster.until(lambda: writer.rounds >= done + 2, within=30, what="writes after the move")
        assert writer.errors == []
        assert set(owners(cluster)) == {b, c, d}
        await rested(cluster)
        await writer.check_all()
        assert sum(live(cluster, d, range(100, 400))) == 300
        assert not cluster.node(a).replicas.all()
        assert not cluster.hosts[a].disk.exists(kv_name(shard(cluster)))
        (hit,) = await docs.search([107.2], k=1)
        assert hit.id == 207


@pytest.mark.parametrize("replicas", [1, 2])
async def test_few_replicas_move_without_an_error(replicas: int) -> None:
    async with open_cluster(nodes=4, seed=2, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db, replicas=replicas)
        leaving = owners(cluster)[0]
        coming = next(name for name in NAMES if name not in owners(cluster))
        async with writing(docs) as writer:
            await cluster.until(lambda: writer.rounds >= 1, within=30, what="writes")
            await start(cluster, leaving, coming)
            await moved(cluster)
            await start(cluster, coming, leaving)
            await moved(cluster)
        assert writer.errors == []
        await rested(cluster)
        await writer.check_all()


async def test_owners_come_and_go_without_a_partner() -> None:
    async with open_cluster(nodes=4, seed=3, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        async with writing(docs) as writer:
            await start(cluster, None, d)
            await moved(cluster)
            assert set(owners(cluster)) == set(NAMES)
            await start(cluster, a, None)
            await moved(cluster)
        assert set(owners(cluster)) == {b, c, d}
        assert writer.errors == []
        await rested(cluster)
        await writer.check_all()


async def test_a_shard_moves_back_and_forth_and_no_old_copy_revives() -> None:
    async with open_cluster(nodes=4, seed=4, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, _, _, d = cast(cluster)
        async with writing(docs) as writer:
            for _ in range(3):
                await start(cluster, a, d)
                await moved(cluster)
                await start(cluster, d, a)
                await moved(cluster)
        assert writer.errors == []
        await rested(cluster)
        await writer.check_all()
