"""Writes: stamp, send to all owners, count exact acks (PROTOCOLS §3).

Invariants: an ack counts only when the owner holds exactly the version sent. After the call has returned nothing is
stamped again; what still goes on (sends to slow owners, hints) carries the versions already sent. Rows whose outcome is
mixed (applied here, overtaken there) are finished by a round, not stamped anew (PROTOCOLS §3.2). What owners refuse for
an old epoch goes again to the newer owners in the same version.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import ConsistencyError, InvalidArgument, Overloaded, ReadOnly, StaleEpoch, VectronError
from vectron_p2p.model.ids import NodeId, ShardId
from vectron_p2p.node.admission import require_in_time
from vectron_p2p.node.coordinator import changes
from vectron_p2p.node.coordinator.rounds import BATCH, Operation, Rounds, take_rows
from vectron_p2p.node.routes import write_quorum
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import operation_key
from vectron_p2p.replication.quorum import RowState, WriteOutcome, WriteRound
from vectron_p2p.replication.rounds import SOMEWHERE
from vectron_p2p.replication.version import make_version

if TYPE_CHECKING:
    from collections.abc import Collection as Several

    from vectron_p2p.catalog.moves import Route
    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.node.admission import Rows
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.node.services.hints import Hints
    from vectron_p2p.node.stamps import Stamps
    from vectron_p2p.replication.joint import JointQuorum
    from vectron_p2p.runtime import Clock

MAX_RESTAMPS = (
    3  # every round above all that was seen; a fourth loss means a storm of writers of one id: let the client back off
)
OWN_ACK = 0.05  # seconds past the quorum that this node's own replica is waited for: it is about as fast as the others
SPARED = (
    0.25  # seconds that the others have before an owner whose breaker is open is asked too: a quorum takes milliseconds
)
BULK_BYTES = 64 * 1024  # larger batches take the bulk connection, so that probes and searches do not wait behind them
NOTHING_APPLIED = (InvalidArgument, Overloaded, ReadOnly)
"""What an owner says only before it has applied any row of a batch; after any other error it may have."""


class Writes:
    """`background` is a nursery of the node: it outlives the call, for sends to owners slower than the quorum."""

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        routes: Routes,
        stamps: Stamps,
        hints: Hints,
        rounds: Rounds,
        limits: Limits,
        *,
        background: trio.Nursery,
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._stamps = stamps
        self._hints = hints
        self._rounds = rounds
        self._limits = limits
        self._background = background
        self._sending = 0

    async def write(
        self,
        collection: Collection,
        rows: Rows,
        level: Consistency,
        *,
        operation_id: str,
        timeout: float,
        expires: float = 0.0,
    ) -> None:
        """Returns once every row (ids are distinct) is acknowledged at `level`; nothing is stamped after `expires`.

        Raises:
            ConsistencyError: Too few owners acknowledged; `acked` 0 and nothing sent when that was known before.
            Unavailable: It is too late.
        """
        by_shard: defaultdict[int, list[int]] = defaultdict(list)
        for i, point_id in enumerate(rows.ids):
            by_shard[shard_of(point_id, collection.shards)].append(i)
        parts = [(ShardId(collection.id, index), rows.take(by_shard[index])) for index in sorted(by_shard)]
        state = self._routes.state
        for shard, _ in parts:
            self._check_reachable(shard, state.route(shard), level)
        if self._sending >= self._limits.background_sends:
            raise Overloaded("too many writes are still on their way to slow owners; retry", retry_after=0.5)
        failures: list[VectronError] = []

        async def one(shard: ShardId, part: Rows) -> None:
            try:
                await self._write_shard(shard, part, level, operation_id, timeout, expires)
            except VectronError as error:
                failures.append(error)

        if len(parts) == 1:
            await one(*parts[0])
        else:
            async with trio.open_nursery() as nursery:
                for part in parts:
                    nursery.start_soon(one, *part)
        if failures:
            raise _worst(failures)

    def _check_reachable(self, shard: ShardId, route: Route, level: Consistency) -> None:
        quorum = write_quorum(route, level)
        living = quorum.mask(filter(self._peers.alive, quorum.owners))
        if not quorum.met(living):
            alive, required = quorum.tally(living)
            raise ConsistencyError(
                f"shard {shard.index} has {alive} of {len(quorum.owners)} owners alive, {level.value} needs {required};"
                " nothing was written: retry when nodes are back, or ask for a lower consistency",
                acked=0,
                required=required,
            )

    async def _write_shard(
        self, shard: ShardId, rows: Rows, level: Consistency, operation_id: str, timeout: float, expires: float
    ) -> None:
        deadline = self._clock.now() + timeout
        above = 0
        for _ in range(MAX_RESTAMPS + 1):
            stamp = await self._stamps.next(above, alone=level is Consistency.ONE)
            require_in_time(self._clock.now(), expires)
            versions = [make_version(stamp, self._peers.me, digest) for digest in rows.digests]
            rows, outcome = await self._send(shard, rows, versions, level, deadline)
            if outcome.error is not None:
                if level is Consistency.ONE or not outcome.mixed:
                    raise outcome.error
                if 0 < expires < self._clock.now():
                    raise outcome.error
                await self._finish(shard, rows.take(outcome.mixed), level, operation_id, deadline)
            if not outcome.restamp:
                return
            # Applied nowhere: every owner that was sent it holds newer rows of these ids (PROTOCOLS §3.2).
            rows, above = rows.take(outcome.restamp), max(outcome.above)
        raise ConsistencyError(
            f"shard {shard.index}: other writes of the same ids were newer {MAX_RESTAMPS + 1} times in a row; "
            "nothing was written: retry",
            acked=0,
            required=write_quorum(self._routes.state.route(shard), level).tally(0)[1],
        )

    async def _send(
        self, shard: ShardId, rows: Rows, versions: list[bytes], level: Consistency, deadline: float
    ) -> tuple[Rows, WriteOutcome]:
        """`rows` in these versions to the owners; again, as far as they are not acknowledged, to those of a newer
        catalog when owners ask for it. The rows last sent and what became of them.
        """
        traced: list[int] = []
        while True:
            state = self._routes.state
            round_ = await self._send_round(
                shard, rows, versions, state.epoch, write_quorum(state.route(shard), level), traced, deadline
            )
            outcome = round_.outcome()
            open_ = [i for i, row in enumerate(outcome.states) if row is not RowState.DONE]
            if not open_ or self._clock.now() >= deadline or not await self._routes.newer(round_.stale, state.epoch):
                return rows, outcome
            traces = set(round_.traces())
            traced = [at for at, i in enumerate(open_) if i in traces]
            rows, versions = rows.take(open_), [versions[i] for i in open_]

    async def _finish(self, shard: ShardId, rows: Rows, level: Consistency, operation_id: str, deadline: float) -> None:
        """The slow path: rows of mixed outcome are written by rounds, on whatever is newest by now."""
        key = operation_key(operation_id)
        operations = [
            Operation(point, changes.put(point, vector, payload), key, rebase=True, proposed_on=SOMEWHERE)
            for point, vector, payload in zip(rows.ids, rows.vectors, rows.payloads, strict=True)
        ]
        for at in range(0, len(operations), BATCH):
            left = max(0.0, deadline - self._clock.now())
            for outcome in await self._rounds.settle(shard, operations[at : at + BATCH], timeout=left, level=level):
                if outcome.error is not None:
                    raise outcome.error

    async def _send_round(
        self,
        shard: ShardId,
        rows: Rows,
        versions: list[bytes],
        epoch: int,
        quorum: JointQuorum,
        traced: Several[int],
        deadline: float,
    ) -> WriteRound:
        message = m.ApplyRows(
            collection=shard.collection,
            shard=shard.index,
            epoch=epoch,
            kind="write",
            ids=rows.ids,
            versions=versions,
            vectors=rows.vectors,
            payloads=rows.payloads,
        )
        bulk = rows.size > BULK_BYTES
        round_ = WriteRound(quorum, versions, traced=traced)
        decided, own = trio.Event(), trio.Event()
        ready = [*filter(self._peers.ready, quorum.owners)]
        enough = quorum.met(quorum.mask(ready))
        left = max(0.0, deadline - self._clock.now())
        for owner in quorum.owners:
            if self._peers.alive(owner):
                done = own if owner == self._peers.me else trio.Event()
                spared = min(SPARED, left / 2) if enough and owner not in ready else 0.0
                self._background.start_soon(self._send_one, owner, message, bulk, spared, round_, decided, done)
            else:
                round_.record_unsent(owner)
        if round_.decided:
            decided.set()
        with self._clock.move_on_after(left):
            await decided.wait()
        if self._peers.me in round_.pending:
            # So that a client which goes on talking to this node finds what it wrote, whichever owners were first.
            with self._clock.move_on_after(OWN_ACK):
                await own.wait()
        return round_

    async def _send_one(
        self,
        owner: NodeId,
        message: m.ApplyRows,
        bulk: bool,
        spared: float,
        round_: WriteRound,
        decided: trio.Event,
        done: trio.Event,
    ) -> None:
        self._sending += 1
        try:
            if spared and await self._done_without(decided, spared):
                round_.record_unsent(owner)  # it gets a hint, as one that is dead
                return
            reply = await self._peers.call(owner, message, timeout=self._limits.write_timeout, bulk=bulk)
            round_.record(owner, reply.held)
            self._stamps.observe(reply.held)
        except StaleEpoch as error:
            round_.record_stale(owner, error)
        except VectronError as error:
            if isinstance(error, NOTHING_APPLIED):
                round_.record_unsent(owner, error)
            else:
                round_.record_failure(owner, error)
        finally:
            self._sending -= 1
            if not round_.pending:
                self._keep_hints(message, round_)
            done.set()
            if round_.decided:
                decided.set()

    async def _done_without(self, decided: trio.Event, within: float) -> bool:
        """Whether the write is decided by the owners that answer, and needs none whose breaker is open."""
        with self._clock.move_on_after(within):
            await decided.wait()
        return decided.is_set()

    def _keep_hints(self, message: m.ApplyRows, round_: WriteRound) -> None:
        owners, rows = round_.owed()
        if rows:
            part = message if len(rows) == len(message.ids) else take_rows(message, rows)
            for owner in owners:
                self._hints.add(owner, part)


def _worst(failures: list[VectronError]) -> VectronError:
    """What the caller is told of several shards: what no retry mends; else that some outcome is unknown, for the call
    must not be over before that write is; what was not written may be told last.
    """
    final = [error for error in failures if not error.retryable]
    unknown = [error for error in failures if isinstance(error, ConsistencyError) and error.acked]
    if final or not unknown:
        return min(final or failures, key=lambda error: isinstance(error, ConsistencyError))
    return min(unknown, key=lambda error: error.acked)
