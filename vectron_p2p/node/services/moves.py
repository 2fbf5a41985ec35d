"""Carries out the moves of shards that this node drives (PROTOCOLS §6), from whatever step the catalog says.

Owns the order fence -> copy -> graph -> next step, and the bounds of copying. Must not know which moves are wanted.
Nothing is remembered on disk: a driver that starts anew asks for the fence and compares with the source again, which
costs little when all is there already. So it does not matter who dies when, nor whether two drive one move.

Invariants: copying begins after the fence has passed, from the owner that leaves, or from N-W+1 old owners where there
is none; this node proposes `read_new` only when all that was copied is on disk and its graph answers, and no step while
its replica is a learner; a move is given up only where the node that was to come is.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.commands import AdvanceMove, CancelMove
from vectron_p2p.catalog.moves import Step
from vectron_p2p.model.errors import NotFound, Unavailable
from vectron_p2p.model.moves import MoveProgress
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.node.services.anti_entropy import FAILURES
from vectron_p2p.node.services.budget import YieldingBudget
from vectron_p2p.node.services.exchange import Exchange, Tally
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.fencing import FenceRound, driver
from vectron_p2p.replication.floors import Floors
from vectron_p2p.replication.learners import FILLING, sources_needed

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from vectron_p2p.catalog.commands import Command
    from vectron_p2p.catalog.moves import Move
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, ShardId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

STREAMS = 2  # copies to this node at a time (PROTOCOLS §6.5); the others wait, as they were
LOOK = 1.0  # seconds between looks at who drives, besides every new epoch: liveness changes without one
PAUSE = 0.5  # seconds between attempts at a step: an owner that is away is asked again as often
PROPOSE_TIMEOUT = 5.0
FENCE_TIMEOUT = 10.0  # an owner's answer waits for the requests that it admitted before: none takes longer than a call
TAIL = 5_000  # points of the copy not yet in its graph when it begins to serve: scanned in about 1 ms by a search
BACKLOG = 50_000  # unlinked points of the whole node at which copying waits: a quarter of where writes are refused
ROOM_POLL = 0.2  # between looks whether the graph has caught up: linking goes in portions of 0.1 s

GONE = (NodeState.REMOVED, NodeState.LEFT)


@dataclass(slots=True)
class _Drive:
    """A move that this node drives now."""

    since: float
    phase: str = "wait"
    total: int = -1
    error: str = ""
    tally: Tally = field(default_factory=Tally)


class Moves:
    """The moves of one node."""

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        rng: random.Random,
        replicas: Replicas,
        catalog: Catalog,
        limits: Limits,
        *,
        refuse_below: Callable[[], int],
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._random = rng
        self._replicas = replicas
        self._catalog = catalog
        self._limits = limits
        self._refuse_below = refuse_below
        self._streams = trio.CapacityLimiter(STREAMS)
        self._drives: dict[ShardId, _Drive] = {}

    @property
    def _state(self) -> ClusterState:
        return self._catalog.state

    def progress(self) -> list[MoveProgress]:
        """Of each move that this node drives."""
        state, now = self._state, self._clock.now()
        return [
            MoveProgress(
                collection=shard.collection,
                shard=shard.index,
                move=move.id,
                leaving=move.leaving or "",
                coming=move.coming or "",
                step=move.step.value,
                driver=self._peers.me,
                phase=drive.phase,
                rows=drive.tally.pulled + drive.tally.pushed,
                bytes=drive.tally.bytes,
                total=drive.total,
                since_s=now - drive.since,
                error=drive.error,
            )
            for shard, drive in sorted(self._drives.items())
            if (move := state.moves.get(shard)) is not None
        ]

    # --- which and when -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                for shard in sorted(self._state.moves):
                    if shard not in self._drives and self._mine(shard) is not None:
                        self._drives[shard] = _Drive(self._clock.now())
                        nursery.start_soon(self._drive, shard)
                with self._clock.move_on_after(LOOK):
                    await self._catalog.changed()

    def _mine(self, shard: ShardId) -> Move | None:
        """The move of `shard`, if this node drives it."""
        state = self._state
        move = state.moves.get(shard)
        if move is None:
            return None
        drives = driver(state.owners(shard), move.leaving, move.coming, _gone(state), self._peers.alive)
        return move if drives == self._peers.me else None

    async def _drive(self, shard: ShardId) -> None:
        """Step by step, until the move is over or somebody else's."""
        drive = self._drives[shard]
        try:
            while (move := self._mine(shard)) is not None:
                try:
                    async with self._while_current(move):
                        await self._step(move, drive)
                except FAILURES as error:
                    if drive.error != str(error):
                        log.warning("move_waits", shard=str(shard), step=move.step.value, error=str(error))
                    drive.error = str(error)
                    await self._clock.sleep(PAUSE * self._random.uniform(0.5, 1.5))
        finally:
            del self._drives[shard]

    @asynccontextmanager
    async def _while_current(self, move: Move) -> AsyncIterator[None]:
        """Ends what is done inside when the catalog has another step of the move, or none."""

        async def watch(scope: trio.CancelScope) -> None:
            while self._state.moves.get(move.shard) == move:
                await self._catalog.changed()
            scope.cancel()

        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            try:
                yield
            except FAILURES as error:  # as it is, and not in a group
                failures.append(error)
            nursery.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _step(self, move: Move, drive: _Drive) -> None:
        state, shard = self._state, move.shard
        if move.step is Step.BOTH and move.coming is not None and move.coming in _gone(state):
            await self._propose(CancelMove(shard.collection, shard.index, move.id), drive)
            return
        await self._fence(move, drive)
        if move.step is Step.BOTH:
            if move.coming is None:
                await self._hand_over(move, drive)
            else:
                drive.phase = "wait"
                async with self._streams:
                    await self._fill(move, drive)
        if move.coming == self._peers.me and self._replicas.get(shard).learner is not None:
            # It has been damaged since it was filled: who leaves may be the only one that it can learn from.
            raise Unavailable("the new replica has to learn what it may have forgotten")
        await self._propose(AdvanceMove(shard.collection, shard.index, move.id, move.step.value), drive)

    async def _propose(self, command: Command, drive: _Drive) -> None:
        drive.phase, drive.error = "advance", ""
        await self._catalog.propose(command, timeout=PROPOSE_TIMEOUT)

    # --- fence --------------------------------------------------------------------------------------------------------

    async def _fence(self, move: Move, drive: _Drive) -> None:
        """Until the move's step has passed at the owners that PROTOCOLS §6.1 names."""
        drive.phase = "fence"
        state, shard = self._state, move.shard
        old, new = state.route(shard).write
        round_ = FenceRound(old, new, move.leaving, _gone(state))
        ask = m.AwaitFence(shard.collection, shard.index, move.epoch, move.epoch)
        failures: dict[NodeId, Exception] = {}

        async def one(owner: NodeId, scope: trio.CancelScope) -> None:
            try:
                await self._peers.call(owner, ask, timeout=FENCE_TIMEOUT)
                round_.passed(owner)
                if round_.complete:
                    scope.cancel()
            except FAILURES as error:
                failures[owner] = error

        async with trio.open_nursery() as nursery:
            for owner in round_.owners:
                nursery.start_soon(one, owner, nursery.cancel_scope)
        if not round_.complete:
            missing = [self._name(owner) for owner in round_.waiting]
            why = f": {next(iter(failures.values()))}" if failures else ""
            raise Unavailable(f"owners that do not have the step yet: {', '.join(missing)}{why}")

    def _name(self, node: NodeId) -> str:
        member = self._state.members.get(node)
        return node if member is None else member.name

    # --- copy ---------------------------------------------------------------------------------------------------------

    async def _fill(self, move: Move, drive: _Drive) -> None:
        """Makes this node's replica hold what the old owners acknowledged, on disk and in its graph."""
        replica = self._replicas.get(move.shard)
        if replica.learner is None:
            # Whatever it holds, of an ownership long ago or of a copy that was finished just before a crash: from here
            # on the source is right. Nothing that it promised is forgotten, so no stamp is refused for it.
            await replica.set_learner(FILLING, 0)
        drive.phase = "copy"
        self._replicas.linker.gently(move.shard, filling=True)
        floors = await self._copy(move, replica, drive)
        self._replicas.linker.gently(move.shard, filling=False)

        def end() -> None:
            replica.store.clear_learner(floors)
            replica.store.forget_collected()
            replica.store.sync()

        await self._graph(replica, drive)
        await replica.commit.exclusive(end)
        log.info("shard_copied", shard=str(move.shard), move=move.id, rows=drive.tally.pulled, bytes=drive.tally.bytes)

    async def _copy(self, move: Move, replica: Replica, drive: _Drive) -> Floors:
        """The floors of the sources, which are to hold here too."""
        state = self._state
        gone, old = _gone(state), state.route(move.shard).read
        if move.leaving is not None and move.leaving not in gone:
            sources, needed = [move.leaving], 1
        else:
            sources = [owner for owner in self._peers.prefer(old) if owner not in gone]
            needed = sources_needed(len(old))
        floors, merged = Floors(), 0
        failure: Exception = NotFound(f"{needed} of the {len(old)} owners are needed, {len(sources)} are left")
        for source in sources:
            try:
                floors = floors.merged(await self._copy_from(source, replica, drive))
                merged += 1
            except FAILURES as error:
                failure = error
            if merged == needed:
                return floors
        raise failure

    async def _copy_from(self, source: NodeId, replica: Replica, drive: _Drive) -> Floors:
        shard = replica.shard
        if drive.total < 0:
            count = m.CountShards(shard.collection, [shard.index], self._state.epoch, None)
            drive.total = (await self._peers.call(source, count, timeout=self._limits.call_timeout)).counts[0]
        exchange = self._exchange()
        # The source's floor first: an old row that it refuses must not come here by another way while this copies.
        floor = (await exchange.floors(self._peers, source, shard)).floor
        await replica.commit.exclusive(replica.store.raise_floor, floor)
        return await exchange.learn(self._peers, source, replica, drive.tally, full=True)

    async def _graph(self, replica: Replica, drive: _Drive) -> None:
        """Until searches here are as fast as elsewhere, but for a short tail."""
        drive.phase = "link"
        self._replicas.linker.wake()
        while replica.index.unlinked > TAIL:
            await self._clock.sleep(ROOM_POLL)

    async def _hand_over(self, move: Move, drive: _Drive) -> None:
        """The owner that leaves without another that comes gives the rest what it alone holds."""
        if move.leaving in _gone(self._state):
            return  # and what it alone acknowledged (at ONE) with it
        if move.leaving != self._peers.me:
            raise Unavailable("the node that leaves has to hand over what it alone holds")
        drive.phase = "copy"
        replica = self._replicas.get(move.shard)
        drive.total = replica.store.live
        for owner in self._state.route(move.shard).read:
            if owner != self._peers.me and owner not in _gone(self._state):
                await self._exchange().repair(self._peers, owner, replica, drive.tally)

    def _exchange(self) -> Exchange:
        """With a budget of its own: the streams do not wait for each other, nor repair for them."""
        rate = self._limits.move_bytes_per_s / STREAMS
        return Exchange(
            YieldingBudget(self._clock, rate, self._room),
            epoch=lambda: self._state.epoch,
            refuse_below=self._refuse_below,
            timeout=self._limits.call_timeout,
        )

    async def _room(self) -> None:
        """Until the graphs of this node are not too far behind what was copied."""
        self._replicas.linker.wake()
        while self._replicas.linker.unlinked > BACKLOG:
            await self._clock.sleep(ROOM_POLL)


def _gone(state: ClusterState) -> set[NodeId]:
    """Nodes that the catalog has given up."""
    return {node for node, member in state.members.items() if member.state in GONE}
