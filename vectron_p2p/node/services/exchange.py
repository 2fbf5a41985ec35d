"""One replica and the same shard's replica on a peer: compare Merkle sums, copy rows, see what is left.

Owns the calls between two owners and the rules of copying (PROTOCOLS §5 and §7): repair copies both ways between full
owners, learning copies to a learner and also drops what the full owner has collected. Must not know when to do so.

Every step can be repeated: rows are applied if newer, an interrupted exchange begins anew and finds less to do.
Two owners that repair each other at the same moment begin at opposite ends of the list of leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.errors import ClockSkew, Unavailable
from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.ballots import is_busy
from vectron_p2p.replication.floors import Floors, Path, to_adopt
from vectron_p2p.replication.learners import plan_copy
from vectron_p2p.replication.merkle import diff, leaf_of
from vectron_p2p.replication.version import stamp
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vectron_p2p.model.ids import NodeId, PointId, ShardId
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.services.budget import ByteBudget

log = get_logger(__name__)

ROWS = 256  # rows per message: about 0.5 MB at 384 dimensions, a few milliseconds of anyone's time
LEAVES_AT_ONCE = 64  # leaves whose versions are listed in one message: some 6,000 rows at 100,000 a shard
ROW_BYTES = 60  # of a row in a message besides vector and payload
TRIES = 5  # for leaves in which rows vanish while they are copied: the source collects, once, when learning begins

FORGOTTEN = "the other owners collected deleted points under a floor that this replica never agreed to"


@dataclass(slots=True)
class Tally:
    """What was copied."""

    pulled: int = 0
    pushed: int = 0
    bytes: int = 0
    promised: int = 0
    """Rows not taken since a promise was in their way."""


class Exchange:
    """The exchanges of one node."""

    def __init__(
        self, budget: ByteBudget, *, epoch: Callable[[], int], refuse_below: Callable[[], int], timeout: float
    ) -> None:
        self._budget = budget
        self._epoch = epoch
        self._refuse_below = refuse_below
        self._timeout = timeout

    async def roots(self, peers: Peers, peer: NodeId, replicas: Sequence[Replica]) -> m.MerkleRootsReply:
        """The peer's roots of the same shards; `learners` filled."""
        reply: m.MerkleRootsReply = await self._call(
            peers,
            peer,
            m.MerkleRoots(
                epoch=self._epoch(),
                collections=[replica.shard.collection for replica in replicas],
                shards=[replica.shard.index for replica in replicas],
            ),
        )
        return m.MerkleRootsReply(reply.roots, reply.learners or [False] * len(reply.roots))

    async def repair(self, peers: Peers, peer: NodeId, replica: Replica, tally: Tally) -> None:
        """Copies both ways what one has newer than the other.

        Raises:
            VectronError, StorageError, ValueError: It ended early; what was copied is copied.
        """
        leaves = await self._differing(peers, peer, replica)
        if peers.me > peer:
            leaves.reverse()
        for start in range(0, len(leaves), LEAVES_AT_ONCE):
            part = leaves[start : start + LEAVES_AT_ONCE]
            theirs, mine = await self._both(peers, peer, replica, part)
            await self._pull(peers, peer, replica, _wanted(replica, theirs, mine), Path.COPY, tally)
            await self._push(peers, peer, replica, [p for p, v in mine.items() if v > theirs.get(p, b"")], tally)

    async def differences(self, peers: Peers, peer: NodeId, replica: Replica) -> set[tuple[PointId, bytes]]:
        """Id and version of the rows that one has newer than the other."""
        found: set[tuple[PointId, bytes]] = set()
        leaves = await self._differing(peers, peer, replica)
        for start in range(0, len(leaves), LEAVES_AT_ONCE):
            theirs, mine = await self._both(peers, peer, replica, leaves[start : start + LEAVES_AT_ONCE])
            found.update((p, theirs[p]) for p in _wanted(replica, theirs, mine))
            found.update((p, v) for p, v in mine.items() if v > theirs.get(p, b""))
        return found

    async def floors(self, peers: Peers, peer: NodeId, shard: ShardId) -> Floors:
        """Those of the peer's replica."""
        reply = await self._call(peers, peer, m.MerkleLeaves(shard.collection, shard.index, self._epoch()))
        return Floors.from_bytes(reply.floors)

    async def learn(self, peers: Peers, peer: NodeId, replica: Replica, tally: Tally, *, full: bool) -> Floors:
        """Makes a learner hold all that `peer` holds, a full owner or (`full` false) another learner; the peer's
        floors, to be taken over when learning ends.

        Raises:
            VectronError, StorageError, ValueError: It ended early, and begins anew.
        """
        shard = replica.shard
        ask = m.MerkleLeaves(shard.collection, shard.index, self._epoch(), not full)
        reply = await self._call(peers, peer, ask)
        leaves = diff(replica.store.merkle_leaves(), reply.leaves)
        promised = tally.promised
        for start in range(0, len(leaves), LEAVES_AT_ONCE):
            await self._learn_leaves(peers, peer, replica, leaves[start : start + LEAVES_AT_ONCE], tally, full)
        if tally.promised > promised:
            # Rows that promises given here keep out (PROTOCOLS §4.3). It would lack them, so this copy is not all.
            count = tally.promised - promised
            raise Unavailable(
                f"{count} points of shard {shard} are promised to rounds here: their rows are copied after"
            )
        # Last: what was collected after its leaf was compared was a tombstone then, and is held here.
        return Floors.from_bytes((await self._call(peers, peer, ask)).floors)

    async def _learn_leaves(
        self, peers: Peers, peer: NodeId, replica: Replica, leaves: Sequence[int], tally: Tally, full: bool
    ) -> None:
        shard = replica.shard
        for _ in range(TRIES):
            listed = await self._call(
                peers, peer, m.LeafVersions(shard.collection, shard.index, self._epoch(), list(leaves), not full)
            )
            theirs = dict(zip(listed.ids, listed.versions, strict=True))
            collected = dict(zip(leaves, listed.collected or [0] * len(leaves), strict=True))
            mine = dict(await replica.leaf_versions(leaves))
            own = {leaf: replica.store.floors.collected_at(leaf) for leaf in leaves}
            take, drop = plan_copy(
                theirs, mine, collected_there=_by_leaf(collected), collected_here=_by_leaf(own), full=full
            )
            for at in range(0, len(drop), ROWS):
                await replica.drop(drop[at : at + ROWS])
            if not await self._pull(peers, peer, replica, take, Path.LEARN, tally, learning=not full):
                return
        raise Unavailable(f"rows of shard {shard} vanish while they are copied from {peer}", node=peer)

    # --- parts of them ------------------------------------------------------------------------------------------------

    async def _differing(self, peers: Peers, peer: NodeId, replica: Replica) -> list[int]:
        """Leaves that differ, after what the peer's floors say was done here too."""
        shard = replica.shard
        reply = await self._call(peers, peer, m.MerkleLeaves(shard.collection, shard.index, self._epoch()))
        adoption = to_adopt(replica.store.floors, Floors.from_bytes(reply.floors))
        if adoption.forgotten:
            log.error("replica_learns", shard=str(shard), reason=FORGOTTEN, peer=peer)
            await replica.set_learner(FORGOTTEN, self._refuse_below())
        for floor, leaves in adoption.collect.items():
            await replica.commit.exclusive(replica.store.collect, floor, leaves)
        if replica.learner is not None:
            raise Unavailable(f"shard {shard} is learning on this node")
        return diff(replica.store.merkle_leaves(), reply.leaves)

    async def _both(
        self, peers: Peers, peer: NodeId, replica: Replica, leaves: Sequence[int]
    ) -> tuple[dict[PointId, bytes], dict[PointId, bytes]]:
        """Versions in these leaves: theirs, mine."""
        shard = replica.shard
        listed = await self._call(
            peers, peer, m.LeafVersions(shard.collection, shard.index, self._epoch(), list(leaves))
        )
        theirs = dict(zip(listed.ids, listed.versions, strict=True))
        return theirs, dict(await replica.leaf_versions(leaves))

    async def _pull(
        self,
        peers: Peers,
        peer: NodeId,
        replica: Replica,
        ids: Sequence[PointId],
        path: Path,
        tally: Tally,
        *,
        learning: bool = False,
    ) -> int:
        """How many of `ids` the peer no longer has."""
        shard, missing = replica.shard, 0
        for start in range(0, len(ids), ROWS):
            part = list(ids[start : start + ROWS])
            message = m.FetchRows(shard.collection, shard.index, self._epoch(), part, True, True, learning)
            reply = await self._call(peers, peer, message)
            rows = [
                Row(point, version, vector, payload, mark)
                for point, version, vector, payload, mark in zip(
                    part,
                    reply.versions,
                    reply.vectors,
                    reply.payloads,
                    reply.marks or [b""] * len(part),
                    strict=True,
                )
                if version is not None
            ]
            missing += len(part) - len(rows)
            held = await replica.apply(rows, path)
            if path is Path.LEARN and not all(held):
                raise ClockSkew(f"rows of shard {shard} seem to come from the future: this node's clock is behind")
            kept_out = sum(version is not None and is_busy(version) for version in held)
            tally.promised += kept_out
            tally.pulled += sum(version is not None for version in held) - kept_out
            await self._spend(rows, tally)
        return missing

    async def _push(self, peers: Peers, peer: NodeId, replica: Replica, ids: Sequence[PointId], tally: Tally) -> None:
        shard = replica.shard
        for start in range(0, len(ids), ROWS):
            rows = [row for row in await replica.fetch(ids[start : start + ROWS]) if row is not None]
            if replica.learner is not None:
                raise Unavailable(f"shard {shard} is learning on this node")
            reply = await self._call(peers, peer, to_message(shard, rows, epoch=self._epoch(), kind="repair"))
            tally.pushed += sum(version is not None for version in reply.held)
            await self._spend(rows, tally)

    async def _spend(self, rows: Iterable[Row], tally: Tally) -> None:
        size = sum(len(row.vector or b"") + len(row.payload or b"") + ROW_BYTES for row in rows)
        tally.bytes += size
        await self._budget.spend(size)

    async def _call(self, peers: Peers, peer: NodeId, message: object) -> Any:
        return await peers.call(peer, message, timeout=self._timeout, bulk=True)


def _wanted(replica: Replica, theirs: dict[PointId, bytes], mine: dict[PointId, bytes]) -> list[PointId]:
    """What a full owner takes from another: all that is newer, but for tombstones collected here already."""
    floors = replica.store.floors
    return [
        point
        for point, version in theirs.items()
        if version > mine.get(point, b"")
        and not replica.store.refuses(
            Path.COPY, stamp(version), leaf_of(encode_point_id(point)) if floors.collected else 0, held=point in mine
        )
    ]


def _by_leaf(floors: dict[int, int]) -> Callable[[PointId], int]:
    """The floor collected where an id belongs."""
    return lambda point: floors[leaf_of(encode_point_id(point))]


def to_message(shard: ShardId, rows: Sequence[Row], *, epoch: int, kind: str) -> m.ApplyRows:
    """Stored rows as the message that has them applied elsewhere."""
    return m.ApplyRows(
        collection=shard.collection,
        shard=shard.index,
        epoch=epoch,
        kind=kind,
        ids=[row.id for row in rows],
        versions=[row.version for row in rows],
        vectors=[row.vector for row in rows],
        payloads=[row.payload for row in rows],
        marks=[row.mark for row in rows] if any(row.mark for row in rows) else [],
    )
