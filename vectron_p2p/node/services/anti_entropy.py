"""Anti-entropy: replicas of one shard compare Merkle sums and exchange the rows in which they differ.

Owns the rounds. Every owner compares each of its replicas with every live co-owner, both ways, so any two live replicas
become equal whoever missed what, without hints and without a leader. Rows are applied if newer, tombstones are rows:
repair never undoes anything. A round costs 16 bytes a shard and peer while replicas are equal.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.replication.merkle import diff
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.storage.records import Row

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId, PointId, ShardId
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.replica import Replica
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

ROWS = 256  # rows per message: about 0.5 MB at 384 dimensions, a few milliseconds of anyone's time
LEAVES_AT_ONCE = 64  # leaves whose versions are listed in one message: some 6,000 rows at 100,000 a shard


class AntiEntropy:
    """The rounds of one node."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        replicas: Replicas,
        limits: Limits,
        *,
        state: Callable[[], ClusterState],
    ) -> None:
        self._clock = clock
        self._random = rng
        self._replicas = replicas
        self._limits = limits
        self._state = state
        self._due = trio.Event()
        self.pushed = 0
        self.pulled = 0

    def soon(self) -> None:
        """Some peer is back: do not wait for the next round."""
        self._due.set()

    async def run(self, peers: Peers) -> None:
        while True:
            # Between half and one and a half periods, so that two owners seldom repair the same rows at once.
            with self._clock.move_on_after(self._limits.repair_interval * self._random.uniform(0.5, 1.5)):
                await self._due.wait()
                await self._clock.sleep(self._random.uniform(0.2, 1.0))  # let hints go first: they know what is missing
            self._due = trio.Event()
            await self.run_once(peers)

    async def run_once(self, peers: Peers) -> bool:
        """Compare every replica with every live co-owner; True when all were found equal or made so."""
        state = self._state()
        by_peer: defaultdict[NodeId, list[Replica]] = defaultdict(list)
        complete = True
        for replica in self._replicas.all():
            if replica.shard.collection not in state.collections or replica.store.learner is not None:
                continue
            for owner in state.owners(replica.shard):
                if owner == peers.me:
                    continue
                if peers.alive(owner):
                    by_peer[owner].append(replica)
                else:
                    complete = False
        for peer in sorted(by_peer):
            try:
                for replica in await self._differing(peers, peer, by_peer[peer]):
                    await self._repair(peers, peer, replica)
            except (VectronError, StorageError, ValueError) as error:
                # The peer went away, a row cannot be read, or an answer makes no sense: the next round tries again.
                log.warning("repair_interrupted", peer=peer, error=str(error))
                complete = False
        return complete

    async def merge_from(self, peers: Peers, peer: NodeId, replica: Replica) -> None:
        """Bring all that `peer` holds of the shard here (and there what is newer here).

        Raises:
            VectronError: It does not answer, or is rebuilt itself.
            StorageError: A disk does not let it.
        """
        await self._repair(peers, peer, replica)

    async def _call(self, peers: Peers, peer: NodeId, message: object) -> object:
        return await peers.call(peer, message, timeout=self._limits.call_timeout, bulk=True)

    async def _differing(self, peers: Peers, peer: NodeId, replicas: Sequence[Replica]) -> list[Replica]:
        reply = await self._call(
            peers,
            peer,
            m.MerkleRoots(
                epoch=self._state().epoch,
                collections=[replica.shard.collection for replica in replicas],
                shards=[replica.shard.index for replica in replicas],
            ),
        )
        assert isinstance(reply, m.MerkleRootsReply)
        return [
            replica
            for replica, root in zip(replicas, reply.roots, strict=False)
            if root is not None and root != replica.store.merkle_root()
        ]

    async def _repair(self, peers: Peers, peer: NodeId, replica: Replica) -> None:
        shard, epoch = replica.shard, self._state().epoch
        reply = await self._call(peers, peer, m.MerkleLeaves(shard.collection, shard.index, epoch))
        assert isinstance(reply, m.MerkleLeavesReply)
        leaves = diff(replica.store.merkle_leaves(), reply.leaves)
        for start in range(0, len(leaves), LEAVES_AT_ONCE):
            part = leaves[start : start + LEAVES_AT_ONCE]
            listed = await self._call(peers, peer, m.LeafVersions(shard.collection, shard.index, epoch, part))
            assert isinstance(listed, m.LeafVersionsReply)
            theirs = dict(zip(listed.ids, listed.versions, strict=True))
            mine = dict(await replica.leaf_versions(part))
            await self._pull(peers, peer, replica, [p for p, v in theirs.items() if v > mine.get(p, b"")])
            await self._push(peers, peer, replica, [p for p, v in mine.items() if v > theirs.get(p, b"")])

    async def _pull(self, peers: Peers, peer: NodeId, replica: Replica, ids: list[PointId]) -> None:
        shard = replica.shard
        for start in range(0, len(ids), ROWS):
            part = ids[start : start + ROWS]
            message = m.FetchRows(shard.collection, shard.index, self._state().epoch, part, True, True)
            reply = await self._call(peers, peer, message)
            assert isinstance(reply, m.RowsReply)
            rows = [
                Row(point, version, vector, payload)
                for point, version, vector, payload in zip(
                    part, reply.versions, reply.vectors, reply.payloads, strict=True
                )
                if version is not None
            ]
            await replica.apply(rows)
            self.pulled += len(rows)

    async def _push(self, peers: Peers, peer: NodeId, replica: Replica, ids: list[PointId]) -> None:
        shard = replica.shard
        for start in range(0, len(ids), ROWS):
            rows = [row for row in await replica.fetch(ids[start : start + ROWS]) if row is not None]
            await self._call(peers, peer, to_message(shard, rows, epoch=self._state().epoch, kind="repair"))
            self.pushed += len(rows)


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
    )
