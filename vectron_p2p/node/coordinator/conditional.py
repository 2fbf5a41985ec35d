"""Conditional operations: each point decided by its round; points chosen by a filter are found first (PROTOCOLS §4.6).

Invariants: a failed condition is said per point, and only once a quorum holds what it was judged by; an error that may
be retried means that nothing was proposed for any point of the request. A filter is evaluated on the very row that the
change is made of; there is no partial form: a shard without a read quorum is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import ConsistencyError, Unavailable, VectronError
from vectron_p2p.model.ids import PointId, ShardId, encode_point_id
from vectron_p2p.node.coordinator import changes
from vectron_p2p.node.coordinator.rounds import BATCH, Operation, Rounds
from vectron_p2p.node.routes import write_quorum
from vectron_p2p.node.scatter import scatter
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import operation_key
from vectron_p2p.replication.rounds import SOMEWHERE, Decide, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.admission import Rows
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.runtime import Clock

SAID = 10  # failed points that a message names; `failed` has them all


class Conditional:
    """Conditional operations of a coordinator."""

    def __init__(
        self, peers: Peers, clock: Clock, routes: Routes, rounds: Rounds, hedging: Hedging, limits: Limits
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._routes = routes
        self._rounds = rounds
        self._hedging = hedging
        self._limits = limits

    async def upsert(
        self,
        collection: Collection,
        rows: Rows,
        *,
        mode: str,
        versions: Mapping[PointId, bytes],
        operation_id: str,
        retried: bool,
        timeout: float,
    ) -> None:
        """Writes `rows` where `mode` and the `versions` expected allow it.

        Raises:
            AlreadyExists, NotFound, VersionConflict: Where a condition does not hold; `failed` names the points, the
                others are written.
            ConsistencyError: The outcome of some points is unknown, or (retryable) nothing was written.
        """
        operations = [
            Operation(
                point,
                changes.put(point, vector, payload, mode=mode, version=versions.get(point)),
                operation_key(operation_id),
                # Of an earlier attempt it is known on which base it was proposed: that of the version asked for.
                proposed_on=versions.get(point, SOMEWHERE) if retried else None,
            )
            for point, vector, payload in zip(rows.ids, rows.vectors, rows.payloads, strict=True)
        ]
        await self._perform(collection, operations, timeout)

    async def change(
        self,
        collection: Collection,
        ids: Sequence[PointId],
        decide: Callable[[PointId], Decide],
        *,
        operation_id: str,
        retried: bool,
        timeout: float,
    ) -> int:
        """Does to each of `ids` what `decide` says; returns how many points that changed.

        Raises:
            VectronError: As `upsert`.
        """
        key, proposed_on = operation_key(operation_id), SOMEWHERE if retried else None
        operations = [Operation(point, decide(point), key, proposed_on=proposed_on) for point in dict.fromkeys(ids)]
        return await self._perform(collection, operations, timeout)

    async def change_matching(
        self,
        collection: Collection,
        filter: Mapping[str, object],
        decide: Callable[[PointId], Decide],
        *,
        operation_id: str,
        timeout: float,
    ) -> int:
        """Does to every point that matches `filter` what `decide` says (which looks at the filter again).

        A point that comes to match meanwhile may be left out.

        Raises:
            Unavailable: Some shard has no quorum that answers; retryable only if nothing was changed.
        """
        deadline = self._clock.now() + timeout
        unreachable = [shard for shard in range(collection.shards) if not self._reachable(collection, shard)]
        if unreachable:
            raise Unavailable(
                f"{len(unreachable)} shard(s) have no quorum of owners alive; nothing was changed: retry when nodes "
                "are back",
                missing_shards=unreachable,
            )
        key, changed = operation_key(operation_id), 0
        for shard in range(collection.shards):
            after, more = b"", True
            while more:
                try:
                    ids, after, more = await self._candidates(collection, shard, after, filter, deadline)
                    operations = [Operation(point, decide(point), key) for point in ids]
                    changed += await self._perform(collection, operations, deadline - self._clock.now())
                except ConsistencyError as error:
                    raise Unavailable(
                        f"shard {shard}: {error.message} ({changed} points were changed before)",
                        missing_shards=[shard],
                        retryable=error.retryable and not changed,
                    ) from error
                except VectronError as error:
                    if changed:
                        error.retryable = False
                        error.message = f"{error.message} ({changed} points were changed before)"
                        error.args = (error.message,)
                    raise
        return changed

    def _reachable(self, collection: Collection, shard: int) -> bool:
        quorum = write_quorum(self._routes.state.route(ShardId(collection.id, shard)), Consistency.QUORUM)
        return quorum.met(quorum.mask(filter(self._peers.alive, quorum.owners)))

    async def _candidates(
        self, collection: Collection, shard: int, after: bytes, filter: Mapping[str, object], deadline: float
    ) -> tuple[list[PointId], bytes, bool]:
        """Ids that match on any owner of a read quorum, behind the id key `after`; up to where; whether more follow."""
        replies: dict[NodeId, m.MatchingIdsReply] = {}
        timeout = max(0.0, deadline - self._clock.now())

        async def ask(node: NodeId, shards: list[int], epoch: int) -> list[VectronError | None]:
            message = m.MatchingIds(collection.id, shard, epoch, after, BATCH, dict(filter))
            replies[node] = await self._peers.call(node, message, timeout=min(timeout, self._limits.call_timeout))
            return [None]

        asked = await scatter(
            self._peers,
            self._clock,
            self._routes,
            collection.id,
            [shard],
            ask,
            level=Consistency.QUORUM,
            hedging=self._hedging,
            timeout=timeout,
        )
        asked.raise_if_nothing()
        # Behind the end of one owner's page nothing is known of its rows: the next page begins at the first such end.
        ends = [reply.upto for reply in replies.values() if reply.more]
        upto = min(ends) if ends else max(reply.upto for reply in replies.values())
        found = {encode_point_id(point): point for reply in replies.values() for point in reply.ids}
        return [found[key] for key in sorted(found) if not ends or key <= upto], upto, bool(ends)

    async def _perform(self, collection: Collection, operations: Sequence[Operation], timeout: float) -> int:
        outcomes = await self._rounds.perform(collection, operations, timeout=max(0.0, timeout))
        raise_worst(operations, outcomes)
        return sum(outcome.changed for outcome in outcomes)


def raise_worst(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> None:
    """Raises what the client of these operations has to know first, if any failed.

    Raises:
        ConsistencyError: Some outcome is unknown.
        VectronError: Some were not done; retryable only if none was.
    """
    for kind in (Kind.UNKNOWN, Kind.REFUSED, Kind.FAILED):
        failed = [(op.point, out.error) for op, out in zip(operations, outcomes, strict=True) if out.kind is kind]
        if not failed or failed[0][1] is None:
            continue
        error = failed[0][1]
        if kind is Kind.REFUSED:
            error.retryable = error.retryable and all(out.kind is Kind.REFUSED for out in outcomes)
        if len(outcomes) > 1:
            names = ", ".join(repr(point) for point, _ in failed[:SAID]) + (", ..." if len(failed) > SAID else "")
            done = sum(out.kind is Kind.DONE for out in outcomes)
            error.message = (
                f"{error.message} (so for {len(failed)} of {len(outcomes)} points: {names}; {done} are done)"
            )
            error.args = (error.message,)
        error.failed = [point for point, _ in failed]
        raise error
