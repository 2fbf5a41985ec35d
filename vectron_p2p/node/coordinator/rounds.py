"""Per-point rounds of a coordinator: prepares and accepts sent to the owners, again with higher ballots until settled.

Owns the calls, the ballots, the pauses and the bounds; what may be proposed and answered is `replication.rounds`.
Points of one shard go together: one message per owner and phase carries them all, each with a ballot of its own.

Invariants: every attempt takes owners and epoch from the newest catalog, and while the shard is being moved has a
quorum of its old and one of its new owners in both phases; a hint is owed only of rows that were chosen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import Overloaded, StaleEpoch, VectronError
from vectron_p2p.model.ids import NodeId, PointId, ShardId
from vectron_p2p.node.routes import write_quorum
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import make_ballot
from vectron_p2p.replication.rounds import ABSENT, Decide, Outcome, PointRound, State, nothing

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from vectron_p2p.catalog.moves import Route
    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.node.services.hints import Hints
    from vectron_p2p.node.stamps import Stamps
    from vectron_p2p.runtime import Clock

BATCH = 128  # points per message: whole rows come back, at most 80 KiB each, and a message has at most 32 MiB
BATCHES = 4  # of one call at a time: enough to fill group commits, and other calls get between
MAX_ATTEMPTS = 32  # up to 3 s of pauses while always losing against others; then the client had better decide
PAUSE = 0.01  # seconds, upper bound of the first pause: about what a round takes; doubled each time, drawn evenly
PAUSE_CAP = 0.2
PROMPT = 1.0  # an attempt that took longer and proposed nothing waited for silent owners: another node may reach them
OWN_ACK = 0.05  # as of writes: what a client wrote through this node it should find here


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one point; fields as of `PointRound`."""

    point: PointId
    decide: Decide
    key: bytes | None = None
    rebase: bool = False
    proposed_on: bytes | None = None

    def round(self) -> PointRound:
        return PointRound(self.point, self.decide, operation=self.key, rebase=self.rebase, proposed_on=self.proposed_on)


class Rounds:
    """`background` is a nursery of the node: accepts to owners slower than the quorum outlive the call."""

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        rng: random.Random,
        stamps: Stamps,
        hints: Hints,
        limits: Limits,
        *,
        routes: Routes,
        background: trio.Nursery,
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._random = rng
        self._stamps = stamps
        self._hints = hints
        self._limits = limits
        self._routes = routes
        self._background = background
        self._sending = 0

    async def perform(
        self, collection: Collection, operations: Sequence[Operation], *, timeout: float
    ) -> list[Outcome]:
        """The outcomes of `operations` (of distinct points) in their order."""
        by_shard: defaultdict[int, list[int]] = defaultdict(list)
        for i, operation in enumerate(operations):
            by_shard[shard_of(operation.point, collection.shards)].append(i)
        parts = [
            (ShardId(collection.id, shard), indices[at : at + BATCH])
            for shard, indices in sorted(by_shard.items())
            for at in range(0, len(indices), BATCH)
        ]
        outcomes: dict[int, Outcome] = {}
        limiter = trio.CapacityLimiter(BATCHES)

        async def one(shard: ShardId, indices: list[int]) -> None:
            async with limiter:
                found = await self.settle(shard, [operations[i] for i in indices], timeout=timeout)
            outcomes.update(zip(indices, found, strict=True))

        if len(parts) == 1:
            await one(*parts[0])
        else:
            async with trio.open_nursery() as nursery:
                for part in parts:
                    nursery.start_soon(one, *part)
        return [outcomes[i] for i in range(len(operations))]

    async def identity(self, shard: ShardId, points: Sequence[PointId], *, timeout: float) -> list[Outcome]:
        """Has the newest row of each point accepted anew, which ends the rounds that were left unfinished there."""
        outcomes: list[Outcome] = []
        for at in range(0, len(points), BATCH):
            operations = [Operation(point, nothing) for point in points[at : at + BATCH]]
            outcomes += await self.settle(shard, operations, timeout=timeout, kind="identity")
        return outcomes

    async def settle(
        self,
        shard: ShardId,
        operations: Sequence[Operation],
        *,
        timeout: float,
        level: Consistency = Consistency.QUORUM,
        kind: str = "write",
    ) -> list[Outcome]:
        """The outcomes of up to `BATCH` operations on points of one shard."""
        deadline = self._clock.now() + timeout
        rounds = [operation.round() for operation in operations]
        error: VectronError | None = None
        open_, why = rounds, "other operations were always ahead"
        if self._sending >= self._limits.background_sends:
            error = Overloaded("too many writes are still on their way to slow owners; retry", retry_after=0.5)
            return [round_.give_up("", error) for round_ in rounds]
        with self._clock.move_on_after(timeout) as scope:
            for attempt in range(MAX_ATTEMPTS):
                if attempt:
                    # A row keeps its last steps: who comes back later than those cannot tell what became of his.
                    await self.pause(1 if any(round_.uncertain for round_ in open_) else attempt)
                began = self._clock.now()
                try:
                    batch = self._attempt(shard, open_, level)
                    await batch.begin(await self._stamps.next())
                except VectronError as refusal:
                    error = refusal
                    break
                if not batch.reachable:
                    alive, required = batch.alive
                    why = f"{alive} of {len(batch.accepts.owners)} owners are alive, {required} are needed"
                    break
                await batch.prepare(kind, deadline)
                await batch.accept(deadline)
                await self._routes.newer(batch.stale, batch.epoch)
                open_ = [round_ for round_ in open_ if round_.conclude() is None]
                if not open_:
                    break
                if self._clock.now() - began > PROMPT and not any(round_.uncertain for round_ in open_):
                    why = "too few owners answered in time"
                    break
        if scope.cancelled_caught:
            why = "the owners did not answer in the time given"
        return [round_.conclude() or round_.give_up(why, error) for round_ in rounds]

    async def pause(self, attempt: int) -> None:
        """Before attempt `attempt` (from 1): a random while, so that of those who compete one gets through."""
        await self._clock.sleep(self._random.uniform(0.0, min(PAUSE_CAP, PAUSE * 2**attempt)))

    def call_time(self, deadline: float) -> float:
        """How long one phase may take."""
        return max(0.0, min(self._limits.phase_timeout, deadline - self._clock.now()))

    def _attempt(self, shard: ShardId, rounds: list[PointRound], level: Consistency) -> _Attempt:
        state = self._routes.state
        return _Attempt(self, shard, state.epoch, state.route(shard), rounds, level)


class _Attempt:
    """One ballot for each of some points: both phases, with what the owners answer."""

    def __init__(
        self,
        parent: Rounds,
        shard: ShardId,
        epoch: int,
        route: Route,
        rounds: list[PointRound],
        level: Consistency,
    ) -> None:
        self._parent = parent
        self._shard = shard
        self.epoch = epoch
        self._rounds = rounds
        self.promises = write_quorum(route, Consistency.QUORUM)
        self.accepts = write_quorum(route, level) if level is Consistency.ALL else self.promises
        self._asked = [owner for owner in self.accepts.owners if parent._peers.alive(owner)]
        self.stale = 0
        """The epoch that owners want to see; 0: none refused this one's."""

    @property
    def reachable(self) -> bool:
        return self.accepts.met(self.accepts.mask(self._asked))

    @property
    def alive(self) -> tuple[int, int]:
        """Owners alive and needed, where most are lacking."""
        return self.accepts.tally(self.accepts.mask(self._asked))

    async def begin(self, stamp: int) -> None:
        for round_ in self._rounds:
            # Above what this point needs only, so that a row from a bad clock makes no stamp of another point bad.
            ballot = make_ballot(max(stamp, round_.above + 1), self._parent._peers.me)
            round_.begin(ballot, self.promises, self.accepts)
            self._mark_unasked(round_)

    def _mark_unasked(self, round_: PointRound) -> None:
        for owner in self.accepts.owners:
            if owner not in self._asked:
                round_.failed(round_.ballot, owner)

    async def prepare(self, kind: str, deadline: float) -> None:
        """Until it is known which points have their promises, or nobody is left to answer."""
        message = m.Prepare(
            collection=self._shard.collection,
            shard=self._shard.index,
            epoch=self.epoch,
            kind=kind,
            ids=[round_.point for round_ in self._rounds],
            ballots=[round_.ballot for round_ in self._rounds],
        )
        async with trio.open_nursery() as nursery:
            for owner in self._asked:
                nursery.start_soon(self._prepare_one, owner, message, deadline, nursery.cancel_scope)

    async def _prepare_one(self, owner: NodeId, message: m.Prepare, deadline: float, phase: trio.CancelScope) -> None:
        parent = self._parent
        try:
            reply = await parent._peers.call(owner, message, timeout=parent.call_time(deadline))
        except StaleEpoch as error:  # it has promised nothing
            self.stale = max(self.stale, error.epoch)
            for round_ in self._rounds:
                round_.unpromised(round_.ballot, owner)
        except VectronError as error:
            for round_ in self._rounds:
                round_.failed(round_.ballot, owner, error)
        else:
            parent._stamps.observe(reply.above)
            for round_, granted, above, held in zip(
                self._rounds, reply.granted, reply.above, _states(reply), strict=True
            ):
                if granted:
                    round_.promised(round_.ballot, owner, held)
                else:
                    round_.refused(round_.ballot, owner, above)
        if all(round_.decided for round_ in self._rounds):
            phase.cancel()

    async def accept(self, deadline: float) -> None:
        """Proposes what can be proposed, until it is known what is accepted."""
        parent = self._parent
        proposals = [(round_, row) for round_ in self._rounds if (row := round_.propose()) is not None]
        if not proposals:
            return
        for round_, _ in proposals:
            self._mark_unasked(round_)
        message = m.ApplyRows(
            collection=self._shard.collection,
            shard=self._shard.index,
            epoch=self.epoch,
            kind="accept",
            ids=[round_.point for round_, _ in proposals],
            versions=[row.version for _, row in proposals],
            vectors=[row.vector for _, row in proposals],
            payloads=[row.payload for _, row in proposals],
            marks=[row.mark for _, row in proposals],
        )
        accepts = _Accepts(self, message, [round_ for round_, _ in proposals], self._asked)
        await accepts.run(parent.call_time(deadline))


class _Accepts:
    """The second phase of one attempt, which goes on in the background for slow owners."""

    def __init__(
        self, attempt: _Attempt, message: m.ApplyRows, rounds: list[PointRound], asked: Sequence[NodeId]
    ) -> None:
        self._attempt = attempt
        self._parent = attempt._parent
        self._message = message
        self._rounds = rounds
        self._ballots = [round_.ballot for round_ in rounds]
        self._asked = list(asked)
        self._answering = len(self._asked)
        self._accepted = [0] * len(rounds)
        self._quorum = attempt.promises
        self._missed = [owner for owner in self._quorum.owners if owner not in asked]
        self._decided, self._own = trio.Event(), trio.Event()

    async def run(self, timeout: float) -> None:
        parent = self._parent
        for owner in self._asked:
            parent._background.start_soon(self._send, owner)
        with parent._clock.move_on_after(timeout):
            await self._decided.wait()
        if parent._peers.me in self._asked and not self._own.is_set():
            with parent._clock.move_on_after(OWN_ACK):
                await self._own.wait()

    async def _send(self, owner: NodeId) -> None:
        parent, message = self._parent, self._message
        parent._sending += 1
        try:
            reply = await parent._peers.call(owner, message, timeout=parent._limits.phase_timeout)
            parent._stamps.observe(reply.held)
            self._record(owner, reply.held)
        except StaleEpoch as error:
            self._attempt.stale = max(self._attempt.stale, error.epoch)
            for round_, ballot in zip(self._rounds, self._ballots, strict=True):
                round_.failed(ballot, owner)
        except VectronError as error:
            for round_, ballot in zip(self._rounds, self._ballots, strict=True):
                round_.failed(ballot, owner, error)
            if error.retryable:
                self._missed.append(owner)
        finally:
            parent._sending -= 1
            self._answering -= 1
            if not self._answering:
                self._keep_hints()
            if owner == parent._peers.me:
                self._own.set()
            if all(round_.decided for round_ in self._rounds):
                self._decided.set()

    def _record(self, owner: NodeId, held: Sequence[bytes | None]) -> None:
        for i, (version, answer) in enumerate(zip(self._message.versions, held, strict=True)):
            if answer == version:
                self._accepted[i] |= self._quorum.bit(owner)
                self._rounds[i].accepted(self._ballots[i], owner)
            else:
                self._rounds[i].outdone(self._ballots[i], owner, answer)

    def _keep_hints(self) -> None:
        message = self._message
        chosen = [i for i, accepted in enumerate(self._accepted) if self._quorum.met(accepted)]
        if chosen:
            part = take_rows(message, chosen)
            for owner in self._missed:
                self._parent._hints.add(owner, part)


def take_rows(message: m.ApplyRows, rows: Sequence[int]) -> m.ApplyRows:
    """The same message with these of its rows."""
    return m.ApplyRows(
        collection=message.collection,
        shard=message.shard,
        epoch=message.epoch,
        kind=message.kind,
        ids=[message.ids[i] for i in rows],
        versions=[message.versions[i] for i in rows],
        vectors=[message.vectors[i] for i in rows],
        payloads=[message.payloads[i] for i in rows],
        marks=[message.marks[i] for i in rows] if message.marks else [],
    )


def _states(reply: m.PrepareReply) -> list[State]:
    return [
        ABSENT if version is None else State(version, vector, payload, mark)
        for version, vector, payload, mark in zip(
            reply.versions, reply.vectors, reply.payloads, reply.marks, strict=True
        )
    ]
