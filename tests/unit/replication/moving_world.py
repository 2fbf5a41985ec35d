"""The world of `round_world` with owners that change: a shard moves from node to node, step by step (PROTOCOLS §6).

The catalog here is a list of routes by epoch; every node knows it up to some epoch, and hears of later ones by chance,
from a newer request, or when it is refused. The mover is a small model of the node's service: the same fence rounds.
"""

from __future__ import annotations

import random

from tests.unit.replication.round_world import OWNERS, POINT, At, Owner, World, _anything
from vectron_p2p.catalog.moves import Move, Step, route
from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.replication.ballots import is_busy
from vectron_p2p.replication.fencing import FenceRound
from vectron_p2p.replication.floors import Path
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.testing.disk import SimDisk

NODES = [*OWNERS, NodeId("00000000-0000-4000-8000-000000000004")]
OTHERS = [NodeId(f"00000000-0000-4000-8000-{i:012x}") for i in (5, 6)]
"""Coordinators that own nothing: no fence is asked of them."""
SHARD = ShardId(CollectionId("c"), 0)


class MovingWorld(World):
    coordinators = OWNERS[:1] + OTHERS

    def __init__(self, seed: int, *, calls: int = 10) -> None:
        super().__init__(seed, calls=calls)
        self.owners[NODES[3]] = Owner(SimDisk(random.Random(seed)))
        self.routes = [route(tuple(OWNERS), None, 0)]
        """By epoch."""
        self.known_epoch = dict.fromkeys([*NODES, *OTHERS], 0)
        self.news = self.random.choice([0.0, 0.02, 0.2])
        self.moving = self.random.choice([0.05, 0.3, 0.8])
        if self.random.random() < 0.5:  # nothing but moves mends what was lost on the way
            self.repair, self.crashes, self.loss = 0.0, 0.0, 0.1
            self.news, self.moving, self.timeout = 0.2, 0.3, 0.05
        self.move: Move | None = None
        self.fence: FenceRound | None = None
        self.copied = self.copying = False
        self.moves = 0

    # --- what nodes know --------------------------------------------------------------------------------------------

    def route(self, node: NodeId) -> At:
        epoch = self.known_epoch[node]
        known = self.routes[epoch]
        return At(list(known.read), len(known.read) // 2 + 1, JointQuorum.at(Consistency.QUORUM, known.write), epoch)

    def refused(self, owner: NodeId, epoch: int) -> int:
        self.pull(owner, epoch)
        fence = self.routes[self.known_epoch[owner]].fence
        return fence if epoch < fence else 0

    def pull(self, node: NodeId, epoch: int) -> None:
        self.known_epoch[node] = max(self.known_epoch[node], epoch)

    # --- the mover --------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        if self.random.random() < self.news:
            self.pull(self.random.choice([*NODES, *OTHERS]), len(self.routes) - 1)
        if self.random.random() < self.moving:
            self._go_on()
        super()._step()

    def _enter(self, owners: tuple[NodeId, ...], move: Move | None) -> None:
        """One more entry of the catalog, a step of the shard's move."""
        self.routes.append(route(owners, move, len(self.routes)))
        self.move, self.fence = move, None
        if move is not None and move.coming is not None:
            self.pull(move.coming, len(self.routes) - 1)  # which proposed it, or hears of it before all
            old, new = self.routes[-1].write
            self.fence = FenceRound(old, new, move.leaving, ())

    def _go_on(self) -> None:
        epoch, now, move = len(self.routes) - 1, self.routes[-1], self.move
        if move is None:
            leaving = self.random.choice(now.read)
            coming = next(node for node in NODES if node not in now.read)
            self.copied = self.copying = False
            self.moves += 1
            self._enter(now.read, Move(epoch + 1, SHARD, leaving, coming, Step.BOTH, epoch + 1))
            return
        assert self.fence is not None
        if not self.fence.complete:
            owner = self.random.choice(self.fence.owners)
            self.pull(owner, epoch)
            self.fence.passed(owner)
        elif move.step is Step.READ_NEW:
            assert move.leaving is not None
            self._enter(now.read, None)
            if (
                self.random.random() < 0.5
            ):  # it hears of it at once, or keeps its copy until it is given the shard again
                self.pull(move.leaving, epoch + 1)
                self.owners[move.leaving] = Owner(SimDisk(random.Random(epoch)))
        elif self.copied:
            self._enter(
                move.changed(now.read), Move(move.id, SHARD, move.leaving, move.coming, Step.READ_NEW, epoch + 1)
            )
        elif not self.copying:
            self._copy(move)

    def _copy(self, move: Move) -> None:
        """One attempt; it is begun anew until all has come."""
        assert move.leaving is not None
        assert move.coming is not None
        self.copying = True
        row = self.owners[self._source(move)].store.get([POINT])[0]

        def arrive() -> None:
            assert move.coming is not None
            self.copying = False
            if self.move != move:
                return
            held = b""
            if row is not None:
                store = self.owners[move.coming].store
                held = store.apply([row], _anything, paths=[Path.LEARN])[0].held or b""
            self.copied = not is_busy(held)

        self.network.append(arrive)

    def _source(self, move: Move) -> NodeId:
        assert move.leaving is not None
        return move.leaving
