"""Shard moves on whole clusters: under writes, with deaths at every step, partitions, floors, cancels and drops."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.cluster.looking import collection, dead_to_all, live, rested
from vectron_p2p.catalog.commands import AdvanceMove, CancelMove, RemoveNode, SetReplicas, StartMove
from vectron_p2p.catalog.moves import Step
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import (
    ConsistencyError,
    Learning,
    NotFound,
    StaleEpoch,
    Unavailable,
    VectronError,
    VersionConflict,
)
from vectron_p2p.model.ids import OperationId, ShardId
from vectron_p2p.node.config import Limits
from vectron_p2p.node.replica import kv_name
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import make_ballot
from vectron_p2p.replication.hlc import stamp_of
from vectron_p2p.replication.version import content_digest, make_version
from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vectron_p2p.catalog.moves import Move
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.cluster import Cluster

HOUR = 3600.0
LIMITS = Limits(swim=SwimConfig.sim(), balance_after=HOUR)  # moves are started by hand here
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


async def replicate(cluster: Cluster, replicas: int) -> None:
    """What the collection is to have from now on."""
    node = cluster.node(cluster.up[0].name)
    await node.catalog.propose(SetReplicas(OperationId(f"replicas-{replicas}"), "docs", replicas), timeout=20.0)


async def test_owners_come_and_go_without_a_partner() -> None:
    async with open_cluster(nodes=4, seed=3, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        async with writing(docs) as writer:
            await replicate(cluster, 4)
            await start(cluster, None, d)
            await moved(cluster)
            assert set(owners(cluster)) == set(NAMES)
            await replicate(cluster, 3)
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


# --- deaths -----------------------------------------------------------------------------------------------------------

PHASES = [("both", "fence"), ("both", "copy"), ("both", "propose"), ("read_new", "fence"), ("read_new", "propose")]


@pytest.mark.parametrize("at", PHASES, ids="-".join)
@pytest.mark.parametrize("victim", ["leaving", "coming", "all"])
async def test_a_move_goes_on_after_a_death_at_any_step(at: tuple[str, str], victim: str) -> None:
    async with open_cluster(nodes=4, seed=5, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        dead = {"leaving": [a], "coming": [d], "all": [a, b, c, d]}[victim]
        waiting = [True]
        async with writing(docs, points=10) as writer:
            await cluster.until(lambda: writer.rounds >= 1, within=30, what="writes")
            waited = pause_moves(cluster, lambda now, phase: waiting[0] and (now.step.value, phase) == at)
            await start(cluster, a, d)
            await cluster.until(lambda: bool(waited.get(at[1])), within=30, what=f"the driver is at {at}")
            for name in dead:
                cluster.kill(name)
            waiting[0] = False
            await trio.sleep(3.0)  # whatever the others can do without it, they do
            if victim == "leaving" and at[1] == "fence":
                assert step(cluster) == at[0]  # not without the fence of the one that leaves
            for name in dead:
                await cluster.start(name, wait=name == dead[-1])
            await moved(cluster)
            done = writer.rounds
            await cluster.until(lambda: writer.rounds >= done + 2, within=60, what="writes after the move")
        assert set(owners(cluster)) == {b, c, d}
        await rested(cluster)
        await docs.upsert(ids=list(writer.unsure), vectors=[[0]] * len(writer.unsure)) if writer.unsure else None
        await writer.check_all()
        assert not cluster.hosts[a].disk.exists(kv_name(shard(cluster)))


async def test_an_owner_that_is_dead_for_good_is_replaced_from_the_others() -> None:
    async with open_cluster(nodes=4, seed=6, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        async with writing(docs) as writer:
            await cluster.until(lambda: writer.rounds >= 1, within=30, what="writes")
            cluster.kill(a)
            await dead_to_all(cluster, a)
            node = cluster.node(b)
            await node.catalog.propose(RemoveNode(OperationId("gone"), identity(cluster, a)), timeout=20)
            if move(cluster) is None and set(owners(cluster)) != {b, c, d}:
                await start(cluster, a, d, by=b)
            await moved(cluster)
        assert set(owners(cluster)) == {b, c, d}
        await rested(cluster)
        await writer.check_all()


async def test_a_node_that_missed_that_its_shard_left_destroys_it() -> None:
    async with open_cluster(nodes=4, seed=7, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        await docs.upsert(ids=[1, 2], vectors=[[1], [2]], consistency="all")
        waiting = [True]
        waited = pause_moves(cluster, lambda now, phase: waiting[0] and (now.step, phase) == (Step.READ_NEW, "propose"))
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited.get("propose")), within=30, what="all but the last entry")
        cluster.kill(a)
        waiting[0] = False
        await cluster.until(lambda: move(cluster) is None, within=30, what="the move is done without it")
        await docs.delete(ids=[1])
        assert cluster.hosts[a].disk.exists(kv_name(shard(cluster)))
        await cluster.start(a)
        await moved(cluster)
        assert not cluster.hosts[a].disk.exists(kv_name(shard(cluster)))
        await start(cluster, b, a)  # and gets it back as a new owner, without what it once had
        await moved(cluster)
        assert set(owners(cluster)) == {a, c, d}
        assert live(cluster, a, [1, 2]) == [False, True]


async def test_who_leaves_stays_until_a_damaged_new_replica_has_learned() -> None:
    """The only other copy is that of the one that leaves."""
    async with open_cluster(nodes=4, seed=18, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db, replicas=1)
        a = owners(cluster)[0]
        d = next(name for name in NAMES if name not in owners(cluster))
        await docs.upsert(ids=range(50), vectors=[[n] for n in range(50)])
        waiting = [True]
        waited = pause_moves(cluster, lambda now, phase: waiting[0] and (now.step, phase) == (Step.READ_NEW, "fence"))
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited.get("fence")), within=30, what="the new replica is read")
        node = cluster.node(d)
        replica, learn = node.replicas.get(shard(cluster)), node.upkeep.learning._learn
        await replica.set_learner("its disk failed", 0)
        await replica.drop([(row.id, row.version) for row in replica.store.scan(b"", 50)])

        able = [False]

        async def later(*args: Any) -> None:
            if not able[0]:
                raise Unavailable("later")
            await learn(*args)

        node.upkeep.learning._learn = later  # type: ignore[assignment, method-assign]
        waiting[0] = False
        await trio.sleep(5.0)
        assert step(cluster) is Step.READ_NEW
        assert all(live(cluster, a, range(50)))
        able[0] = True
        await moved(cluster)
        assert owners(cluster) == [d]
        assert live(cluster, d, range(50)) == [True] * 50


# --- fences -----------------------------------------------------------------------------------------------------------


def old_write(cluster: Cluster, epoch: int, point: int = 1) -> m.ApplyRows:
    """As a coordinator with an old catalog sends it."""
    where = shard(cluster)
    stamp = stamp_of(int(cluster.hosts["n1"].clock.wall() * 1000))
    payload = b"\x80"
    version = make_version(stamp, identity(cluster, "n1"), content_digest(point, b"\0\0\0\0", payload))
    return m.ApplyRows(where.collection, where.index, epoch, "write", [point], [version], [b"\0\0\0\0"], [payload])


async def test_owners_refuse_what_was_routed_before_a_step() -> None:
    async with open_cluster(nodes=4, seed=8, limits=LIMITS) as cluster, cluster.client() as db:
        await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        before = state(cluster).epoch
        where = (shard(cluster).collection, 0)
        await start(cluster, a, d)
        await moved(cluster)
        after = state(cluster).fence(shard(cluster))
        for name in (a, b, c, d):
            for message in (
                old_write(cluster, before),
                m.Prepare(*where, before, "write", [1], [b"\0" * 24]),
                m.FetchRows(*where, before, [1], True, True),
                m.MatchingIds(*where, before, b"", 10, {}),
                m.ScrollShard(*where, before, b"", 10, None, False),
                m.CountShards(where[0], [0], before, None),
                m.MerkleLeaves(*where, before),
                m.LeafVersions(*where, before, [1]),
            ):
                with pytest.raises(StaleEpoch) as refusal:
                    await cluster.node(name)._serve_peer(message)
                assert refusal.value.epoch == after
            roots = await cluster.node(name)._serve_peer(m.MerkleRoots(before, [where[0]], [0]))
            assert roots.roots == [None]


async def test_a_copy_that_is_not_complete_takes_writes_and_answers_nothing() -> None:
    async with open_cluster(nodes=4, seed=9, limits=QUIET) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, _, _, d = cast(cluster)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        waiting = [True]
        waited = pause_moves(cluster, lambda _, phase: waiting[0] and phase == "copy")
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited), within=30, what="the copy is about to begin")
        await docs.upsert(ids=[2], vectors=[[2]], consistency="all")
        assert live(cluster, d, [1, 2]) == [False, True]
        node, where, epoch = cluster.node(d), (shard(cluster).collection, 0), state(cluster).epoch
        assert node.replicas.get(shard(cluster)).figures()["state"] == "filling"
        (progress,) = node.upkeep.moves.progress()
        assert (progress.step, progress.phase, progress.driver) == ("both", "copy", node.identity.node)
        for message in (
            m.FetchRows(*where, epoch, [1], True, True),
            m.FetchRows(*where, epoch, [1], True, True, True),
            m.MatchingIds(*where, epoch, b"", 10, {}),
            m.ScrollShard(*where, epoch, b"", 10, None, False),
            m.MerkleLeaves(*where, epoch),
            m.LeafVersions(*where, epoch, [1]),
        ):
            with pytest.raises(Learning):
                await node._serve_peer(message)
        assert (await node._serve_peer(m.CountShards(where[0], [0], epoch, None))).counts == [-1]
        waiting[0] = False
        await moved(cluster)
        assert live(cluster, d, [1, 2]) == [True, True]


async def test_a_coordinator_that_is_behind_is_told_and_its_writes_arrive() -> None:
    async with (
        open_cluster(nodes=5, seed=10, limits=LIMITS) as cluster,
        cluster.client() as db,
        cluster.client("n5") as far,
    ):
        docs = await docs_of(cluster, db)
        if "n5" in owners(cluster):  # it is to be a coordinator only
            await start(cluster, "n5", next(name for name in NAMES if name not in owners(cluster)))
            await moved(cluster)
        a, b, c, d = cast(cluster)
        there = far.collection("docs")
        await there.upsert(ids=[1], vectors=[[1]])
        behind = cluster.node("n5").catalog
        wanted = [False]
        observe, receive, catch_up = behind.observe, behind.receive, behind.catch_up
        behind.observe = lambda *args: observe(*args) if wanted[0] else None  # type: ignore[method-assign]
        behind.receive = lambda *args: receive(*args) if wanted[0] else None  # type: ignore[method-assign]

        async def pulled(epoch: int) -> None:
            wanted[0] |= epoch > behind.state.epoch
            await catch_up(epoch)

        cluster.node("n5")._routes._pull = pulled
        epoch = behind.state.epoch
        await start(cluster, a, d)
        await cluster.until(
            lambda: move(cluster) is None and set(owners(cluster)) == {b, c, d}, within=60, what="the move is done"
        )
        assert behind.state.epoch == epoch
        await there.upsert(ids=[2], vectors=[[2]])
        assert behind.state.epoch > epoch
        assert [row is not None for row in await docs.get([1, 2])] == [True, True]
        assert live(cluster, d, [1, 2]) == [True, True]


async def test_what_the_leaving_owner_alone_acknowledged_is_copied() -> None:
    """It is cut off and goes on acknowledging at ONE: no step before its fence."""
    async with (
        open_cluster(nodes=4, seed=11, limits=QUIET) as cluster,
        cluster.client() as db,
    ):
        docs = await docs_of(cluster, db)
        a, b, _, d = cast(cluster)
        async with cluster.client(a) as lonely:
            there = lonely.collection("docs")
            await docs.upsert(ids=[1], vectors=[[1]])
            cluster.network.partition([[a, "client"]])
            await there.upsert(ids=[2], vectors=[[2]], consistency="one")
            await start(cluster, a, d, by=b)
            await trio.sleep(10.0)
            await there.upsert(ids=[3], vectors=[[3]], consistency="one")
            held = cluster.node(b).catalog.state.moves[shard(cluster)]
            assert held.step is Step.BOTH  # without its fence what it acknowledges now would be lost
            (told,) = cluster.node(d).upkeep.moves.progress()
            assert told.phase == "fence"
            assert a in told.error
            cluster.network.heal()
            await moved(cluster)
        assert live(cluster, d, [1, 2, 3]) == [True] * 3


async def test_a_fence_waits_for_what_was_admitted_before() -> None:
    async with open_cluster(nodes=4, seed=12, limits=QUIET) as cluster, cluster.client() as db:
        await docs_of(cluster, db)
        a, _, _, d = cast(cluster)
        node, where = cluster.node(a), shard(cluster)
        replica = node.replicas.get(where)
        release = trio.Event()
        apply = replica.commit.apply

        async def slow(*args: Any) -> Any:
            await release.wait()
            return await apply(*args)

        replica.commit.apply = slow  # type: ignore[assignment, method-assign]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node._serve_peer, old_write(cluster, state(cluster).epoch, point=9))
            await trio.sleep(0.1)
            await start(cluster, a, d)
            await trio.sleep(5.0)
            assert step(cluster) is Step.BOTH
            release.set()
        await moved(cluster)
        assert live(cluster, d, [9]) == [True]  # the copy came after it


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_a_cancelled_move_leaves_everything_as_it_was() -> None:
    async with open_cluster(nodes=4, seed=13, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, c, d = cast(cluster)
        async with writing(docs) as writer:
            await cluster.until(lambda: writer.rounds >= 1, within=30, what="writes")
            waited = pause_moves(cluster, lambda _, phase: phase == "propose")
            await start(cluster, a, d)
            await cluster.until(lambda: bool(waited), within=30, what="the copy is complete")
            found = move(cluster)
            assert found is not None
            where = shard(cluster)
            await cluster.node(b).catalog.propose(CancelMove(where.collection, 0, found.id), timeout=20)
            await moved(cluster)
            done = writer.rounds
            await cluster.until(lambda: writer.rounds >= done + 2, within=30, what="writes after it")
        assert writer.errors == []
        assert set(owners(cluster)) == {a, b, c}
        assert not cluster.hosts[d].disk.exists(kv_name(where))
        # A driver that does not know yet: its step is of a move that is no more.
        late = AdvanceMove(where.collection, 0, found.id, "both")
        await cluster.node(d).catalog.propose(late, timeout=20)
        assert set(owners(cluster)) == {a, b, c}
        await rested(cluster)
        await writer.check_all()


async def test_a_collection_is_dropped_in_the_middle_of_a_move() -> None:
    async with open_cluster(nodes=4, seed=14, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, _, _, d = cast(cluster)
        await docs.upsert(ids=[1], vectors=[[1]])
        where = shard(cluster)
        waited = pause_moves(cluster, lambda _, phase: phase == "copy")
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited), within=30, what="the copy is about to begin")
        await db.delete_collection("docs")
        await cluster.until(
            lambda: all(
                not cluster.node(name).catalog.state.moves
                and not cluster.node(name).upkeep.moves.progress()
                and not cluster.hosts[name].disk.exists(kv_name(where))
                for name in NAMES
            ),
            within=30,
            what="nothing is left of it",
        )
        with pytest.raises(NotFound):
            await docs.get([1])


# --- rounds and floors ------------------------------------------------------------------------------------------------


async def test_operations_on_single_points_are_linearizable_during_moves() -> None:
    async with open_cluster(nodes=4, seed=15, limits=LIMITS) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, _, d = cast(cluster)
        await docs.upsert(ids=[1], vectors=[[0]], payloads=[{"n": 0}], consistency="linearizable")
        stop = [False]
        done, unknown = [0], [0]

        async def count() -> None:
            while not stop[0]:
                (found,) = await docs.get([1], consistency="linearizable")
                assert found is not None
                assert found.payload is not None
                assert found.payload["n"] >= before[0]
                before[0] = found.payload["n"]
                try:
                    await docs.upsert(
                        ids=[1], vectors=[[0]], payloads=[{"n": found.payload["n"] + 1}], if_version=found.version
                    )
                    done[0] += 1
                except VersionConflict:
                    pass
                except ConsistencyError as error:
                    unknown[0] += not error.retryable

        before = [0]
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(count)
            await start(cluster, a, d)
            await moved(cluster)
            await start(cluster, b, a)
            await moved(cluster)
            await cluster.until(lambda: done[0] >= 20, within=60, what="some were done")
            stop[0] = True
        (last,) = await docs.get([1], consistency="linearizable")
        assert last is not None
        assert last.payload is not None
        assert done[0] <= last.payload["n"] <= done[0] + unknown[0]


async def test_a_promise_does_not_keep_a_row_out_of_the_copy() -> None:
    async with open_cluster(nodes=4, seed=16, limits=QUIET) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, _, _, d = cast(cluster)
        await docs.upsert(ids=[1], vectors=[[1]], consistency="all")
        waiting = [True]
        waited = pause_moves(cluster, lambda _, phase: waiting[0] and phase == "copy")
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited), within=30, what="the copy is about to begin")
        stamp = stamp_of(int(cluster.hosts["n1"].clock.wall() * 1000))
        ballot = make_ballot(stamp, identity(cluster, "n1"))  # of a coordinator that dies after it
        where = shard(cluster)
        prepare = m.Prepare(where.collection, 0, state(cluster).epoch, "write", [1], [ballot])
        assert (await cluster.node(d)._serve_peer(prepare)).granted == [True]
        waiting[0] = False
        await moved(cluster)
        assert live(cluster, d, [1]) == [True]


async def test_deleted_points_stay_away_and_are_forgotten_after_moves() -> None:
    limits = replace(LIMITS, floor_age=5.0, floor_interval=2.0)
    async with open_cluster(nodes=4, seed=17, limits=limits) as cluster, cluster.client() as db:
        docs = await docs_of(cluster, db)
        a, b, _, d = cast(cluster)
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        await docs.delete(ids=range(10), consistency="all")
        await trio.sleep(20.0)  # those are forgotten
        waiting = [True]
        waited = pause_moves(cluster, lambda now, phase: waiting[0] and (now.step, phase) == (Step.BOTH, "propose"))
        await start(cluster, a, d)
        await cluster.until(lambda: bool(waited), within=30, what="the copy is complete")
        await docs.delete(ids=range(10, 20))
        await trio.sleep(20.0)

        def tombstones() -> list[int]:
            return [
                replica.store.tombstones for host in cluster.up for replica in cluster.node(host.name).replicas.all()
            ]

        assert max(tombstones()) == 10  # none is forgotten while owners change
        waiting[0] = False
        await moved(cluster)
        await start(cluster, b, a)
        await moved(cluster)
        await cluster.until(lambda: tombstones() == [0] * 3, within=60.0, what="tombstones are collected")
        await rested(cluster)
        assert await docs.get(range(20), consistency="all") == [None] * 20
        assert await docs.count() == 20
