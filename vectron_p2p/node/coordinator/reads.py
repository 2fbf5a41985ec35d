"""Reads by id: the newest row that enough owners hold, written back to those that trail (PROTOCOLS §3.4)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import ConsistencyError, DeadlineExceeded, StaleEpoch, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId, PointId, ShardId
from vectron_p2p.node.peers import KINDS
from vectron_p2p.node.routes import write_quorum
from vectron_p2p.node.services.exchange import to_message
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import content_version
from vectron_p2p.replication.reads import ReadRound, WriteBack
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.catalog.moves import Route
    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.coordinator.rounds import Rounds
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.runtime import Clock

MAX_ROUNDS = 4  # a row that changed under the read three times is being written all the time: let the client decide
READ = KINDS[m.FetchRows]


class ReadRow(NamedTuple):
    """A row as read; vector and payload None where not asked for, or of a deleted row (`live` false)."""

    id: PointId
    version: bytes
    live: bool
    vector: bytes | None
    payload: bytes | None
    mark: bytes = b""

    @property
    def content(self) -> bytes:
        """The version that clients see."""
        return content_version(self.version, self.mark)


class Reads:
    """Gets of a coordinator."""

    def __init__(
        self, peers: Peers, clock: Clock, routes: Routes, rounds: Rounds, hedging: Hedging, limits: Limits
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._rounds = rounds
        self._hedging = hedging
        self._limits = limits

    async def get(
        self,
        collection: Collection,
        ids: Sequence[PointId],
        level: Consistency,
        *,
        with_vector: bool,
        with_payload: bool,
        timeout: float,
    ) -> list[ReadRow | None]:
        """Rows (tombstones too) in the order asked; None where no owner asked has seen the id.

        Raises:
            ConsistencyError: Too few owners answered with one version.
        """
        by_shard: defaultdict[int, dict[PointId, None]] = defaultdict(dict)
        for point in ids:
            by_shard[shard_of(point, collection.shards)][point] = None
        found: dict[PointId, ReadRow | None] = {}
        failures: list[VectronError] = []

        async def one(index: int) -> None:
            shard, points = ShardId(collection.id, index), list(by_shard[index])
            try:
                rows = await self._read(shard, points, level, with_vector, with_payload)
            except VectronError as error:
                failures.append(error)
            else:
                found.update(zip(points, rows, strict=True))

        with self._clock.move_on_after(timeout) as scope:
            if len(by_shard) == 1:
                await one(next(iter(by_shard)))
            else:
                async with trio.open_nursery() as nursery:
                    for index in sorted(by_shard):
                        nursery.start_soon(one, index)
        if failures:
            raise failures[0]
        if scope.cancelled_caught:
            raise DeadlineExceeded("the owners did not answer this read in the time given; retry")
        return [found[point] for point in ids]

    async def _read(
        self, shard: ShardId, ids: list[PointId], level: Consistency, with_vector: bool, with_payload: bool
    ) -> list[ReadRow | None]:
        rows: dict[PointId, ReadRow | None] = {}
        wanted, number, required = list(ids), 1, 0
        while number <= MAX_ROUNDS:
            state = self._routes.state
            route = state.route(shard)
            required = level.required(len(route.read))
            self._check_reachable(shard, route, required)
            # A row may have to be written back whole, so when more than one owner has to hold it, whole rows are asked.
            whole = level is not Consistency.ONE and (required > 1 or len(route.write) > 1)
            ask = m.FetchRows(
                shard.collection, shard.index, state.epoch, wanted, with_vector or whole, with_payload or whole
            )
            round_ = _Round(self._peers, self._hedging, self._limits, shard, ask, route, level)
            try:
                await round_.run()
            except ConsistencyError:
                if await self._routes.newer(round_.stale, state.epoch):
                    continue
                raise
            busy = [wanted[i] for i in round_.busy]
            again = {*round_.again, *round_.busy}
            for i, point in enumerate(wanted):
                if i not in again:
                    rows[point] = round_.row(i)
            wanted = [wanted[i] for i in sorted(again)]
            if busy and number == 1:  # a round is under way: it may need but a moment more
                await self._rounds.pause(number)
            elif busy:
                rows |= await self._settle(shard, busy)
                wanted = [point for point in wanted if point not in rows]
            if not wanted:
                return [rows[point] for point in ids]
            number += 1
        raise ConsistencyError(
            f"shard {shard.index}: the rows changed while they were read, {MAX_ROUNDS} times in a row; retry",
            acked=0,
            required=required,
        )

    def _check_reachable(self, shard: ShardId, route: Route, required: int) -> None:
        alive = sum(self._peers.alive(owner) for owner in route.read)
        if alive < required:
            raise ConsistencyError(
                f"shard {shard.index} has {alive} of {len(route.read)} owners alive, this read needs {required}: "
                "retry when nodes are back, or ask for a lower consistency",
                acked=0,
                required=required,
            )

    async def _settle(self, shard: ShardId, points: list[PointId]) -> dict[PointId, ReadRow | None]:
        """Rows that promises keep from being written back, by identity rounds (PROTOCOLS §4.4)."""
        outcomes = await self._rounds.identity(shard, points, timeout=self._limits.call_timeout)
        rows: dict[PointId, ReadRow | None] = {}
        for point, outcome in zip(points, outcomes, strict=True):
            if outcome.error is not None:
                raise outcome.error
            state = outcome.state
            rows[point] = ReadRow(point, state.version, state.live, state.vector, state.payload, state.mark)
        return rows


class _Round:
    """One `ReadRound` and the calls it needs: `required` owners first, one more for each that fails or is slow."""

    def __init__(
        self,
        peers: Peers,
        hedging: Hedging,
        limits: Limits,
        shard: ShardId,
        ask: m.FetchRows,
        route: Route,
        level: Consistency,
    ) -> None:
        self._peers = peers
        self._hedging = hedging
        self._limits = limits
        self._shard = shard
        self._ask = ask
        self._required = level.required(len(route.read))
        # First those in all sets that are written: what they hold needs no write-back to the next step's owners.
        self._untried = sorted(peers.prefer(route.read), key=lambda owner: sum(owner not in s for s in route.write))
        # ONE may trail; any other level has to be met in every set, or the next read might not find what this one did.
        confirm = None if level is Consistency.ONE else write_quorum(route, level)
        self._round = ReadRound(route.read, self._required, len(ask.ids), confirm=confirm)
        self.stale = 0
        """The epoch that an owner asked for; 0: none."""
        self._replies: dict[NodeId, m.RowsReply] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> _Round:
        async with trio.open_nursery() as self._nursery:
            for _ in range(self._required):
                self._ask_next()
        if not (self._round.complete or self._settled()):
            raise self._round.error()
        return self

    @property
    def again(self) -> list[int]:
        return self._round.again

    @property
    def busy(self) -> list[int]:
        return self._round.busy

    def row(self, index: int) -> ReadRow | None:
        """The newest row of the id at `index`, None when never seen."""
        source = self._round.source(index)
        if source is None or self._round.newest(index) is None:
            return None
        reply = self._replies[source]
        version = reply.versions[index]
        assert version is not None
        live = not reply.tombstones[index]
        mark = reply.marks[index] if reply.marks else b""
        return ReadRow(self._ask.ids[index], version, live, reply.vectors[index], reply.payloads[index], mark)

    def _settled(self) -> bool:
        """Confirmed, but for rows that changed meanwhile and are read again, and those that a round has to settle."""
        again = {*self._round.again, *self._round.busy}
        return bool(again) and all(i in again for i in self._round.unconfirmed)

    def _ask_next(self, *, hedge: bool = False) -> None:
        assert self._nursery is not None
        if self._untried:
            self._nursery.start_soon(self._ask_one, self._untried.pop(0), hedge)

    async def _ask_one(self, owner: NodeId, is_hedge: bool) -> None:
        assert self._nursery is not None
        late = trio.CancelScope()

        async def hedge() -> None:
            with late:
                if await self._hedging.late(owner, READ, lambda: bool(self._untried)):
                    self._ask_next(hedge=True)

        if not is_hedge:
            self._hedging.requested()
        if self._untried and owner != self._peers.me:
            self._nursery.start_soon(hedge)
        try:
            reply = await self._peers.call(owner, self._ask, timeout=self._limits.call_timeout)
            self._replies[owner] = reply
            if is_hedge and len(self._replies) <= self._required:
                self._hedging.won()
            self._round.record(owner, reply.versions)
        except VectronError as error:
            self._failed(owner, error)
        finally:
            late.cancel()
        if self._round.complete:
            self._nursery.cancel_scope.cancel()
            return
        for write_back in self._round.write_backs():
            self._nursery.start_soon(self._write_back, write_back)

    async def _write_back(self, write_back: WriteBack) -> None:
        assert self._nursery is not None
        rows = [
            Row(row.id, row.version, row.vector, row.payload, row.mark)
            for row in map(self.row, write_back.rows)
            if row is not None
        ]
        message = to_message(self._shard, rows, epoch=self._ask.epoch, kind="write_back")
        try:
            if not self._peers.alive(write_back.owner):  # one that is written and not read was not asked before
                raise Unavailable(f"node {write_back.owner} is not alive", node=write_back.owner)
            reply = await self._peers.call(write_back.owner, message, timeout=self._limits.call_timeout)
            self._round.record_write_back(write_back.owner, write_back.rows, reply.held)
            if None in reply.held:
                self._ask_next()  # its clock is behind and it refused: others may well hold the row
        except VectronError as error:
            self._failed(write_back.owner, error)
        if self._round.complete:
            self._nursery.cancel_scope.cancel()

    def _failed(self, owner: NodeId, error: VectronError) -> None:
        if isinstance(error, StaleEpoch):
            self.stale = max(self.stale, error.epoch)
        self._round.record_failure(owner, error)
        self._ask_next()
