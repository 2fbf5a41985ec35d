"""Quorum upserts, deletions, reads and searches on points that have one writer each, so that what a read may find is
known (`testing.ledger`).

D1, D2, D3, D8: reads; D7: searches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.catalog.placement import shard_of
from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.ledger import ABSENT, Ledger
from vectron_p2p.testing.simulation.workload.clients import DIMENSION, POINTS, Worker, vector_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.simulation.world import World

POINTS_PER_CLIENT = 12  # few, so that each is written, deleted and read often
RATE = 5.0  # calls per second


class PlainWorker(Worker):
    def __init__(self, world: World, doors: Sequence[SimClient], number: int, ledger: Ledger) -> None:
        super().__init__(world, doors[0], f"plain-{number}")
        self._doors = doors
        self._number = number
        self._ledger = ledger
        count = world.plan.rules.points or POINTS_PER_CLIENT
        self._points = range(number * POINTS_PER_CLIENT, number * POINTS_PER_CLIENT + count)
        self._state = number * 1_000_000

    def collection(self, name: str) -> AsyncCollection:
        db = self.db if len(self._doors) == 1 else self.random.choice(self._doors)
        return db.collection(name)

    async def turn(self) -> None:
        rng = self.random
        kind, chosen = rng.random(), rng.sample(self._points, rng.randint(1, self.world.plan.rules.batch))
        self._state += 1
        if kind < self.world.plan.rules.writes:
            await self._write(chosen, self._state)
        elif kind < 0.6:
            await self._write(chosen, ABSENT)
        elif kind < 0.8:
            await self._read(chosen)
        elif kind < 0.95:
            await self._search_quorum(rng.random() < 0.5)
        else:
            await self._search_one()
        await trio.sleep(rng.expovariate(RATE * self.world.plan.rules.rate))

    async def _write(self, points: Sequence[int], state: int) -> None:
        ledger, docs, began = self._ledger, self.collection(POINTS), trio.current_time()
        for point in points:
            ledger.begin(point, state)
        if state == ABSENT:
            answer: Any = await self.call("delete", docs.delete(ids=list(points), consistency="quorum"))
        else:
            answer = await self.call(
                "upsert",
                docs.upsert(
                    ids=list(points),
                    vectors=[vector_of(point, state) for point in points],
                    payloads=[{"state": state, "owner": self._number, "odd": state % 2}] * len(points),
                    consistency="quorum",
                ),
            )
        for point in points:
            if isinstance(answer, VectronError):
                ledger.unknown(point, state, trio.current_time())
            else:
                ledger.acknowledge(point, state, began, trio.current_time())

    async def _read(self, points: Sequence[int]) -> None:
        found = await self.call(
            "get", self.collection(POINTS).get(list(points), consistency="quorum", with_vector=True)
        )
        if not isinstance(found, VectronError):
            for point, row in zip(points, found, strict=True):
                judge(self.world, self._ledger, point, row, f"read at {trio.current_time():.3f}")

    async def _search_quorum(self, odd: bool) -> None:
        """D7: what a search at quorum returns is there, matches, and is complete but for the shards it names."""
        wanted = {"owner": self._number, **({"odd": 1} if odd else {})}
        hits = await self.call(
            "search",
            self.collection(POINTS).search(
                [0.0] * DIMENSION,
                k=POINTS_PER_CLIENT + 1,
                filter=wanted,
                exact=True,
                with_vector=True,
                consistency="quorum",
            ),
        )
        if isinstance(hits, VectronError):
            return
        where, found = f"search at {trio.current_time():.3f}", set()
        for hit in hits:
            found.add(hit.id)
            state = _state_of(self.world, hit.id, hit, where)
            payload = hit.payload or {}
            if any(payload.get(key) != value for key, value in wanted.items()):
                self.world.violated("D7", f"{where}: {hit.id} does not match {wanted}: {payload}")
            elif hit.id not in self._points or not self._ledger.may_be(int(hit.id), state):
                self.world.violated("D7", f"{where}: finds {hit.id} in state {state}, {self._known(int(hit.id))}")
        for point in self._points:
            must = self._ledger.must_be(point)
            if must is None or must == ABSENT or (odd and not must % 2) or point in found:
                continue
            if not (hits.partial and shard_of(point, self.world.plan.shards) in hits.missing_shards):
                self.world.violated(
                    "D7", f"{where}: does not find {point}, {self._known(point)}; missing shards {hits.missing_shards}"
                )

    def _known(self, point: int) -> str:
        entry = self._ledger.points.get(point)
        return "never written" if entry is None else f"settled {entry.settled}, possible {entry.possible}"

    async def _search_one(self) -> None:
        """It may trail: each hit is judged by itself."""
        hits = await self.call(
            "search-one",
            self.collection(POINTS).search([0.0] * DIMENSION, k=POINTS_PER_CLIENT, with_vector=True),
        )
        if not isinstance(hits, VectronError):
            for hit in hits:
                _state_of(self.world, hit.id, hit, f"search at one at {trio.current_time():.3f}")


def _state_of(world: World, point: Any, row: Any, where: str) -> int:
    """The state that a row shows. D8: it is whole, the vector and the payload of one write."""
    if row is None:
        return ABSENT
    state = int(row.payload["state"])
    if list(row.vector) != vector_of(int(point), state):
        world.violated("D8", f"{where}: point {point} has a vector that is not of its payload")
    return state


def judge(world: World, ledger: Ledger, point: int, row: object, where: str, *, final: bool = False) -> None:
    """A quorum read of a point. D1: what was acknowledged is there in the end. D2: reads do not go back. D3: what was
    deleted stays so. D8: what was seen stays.
    """
    state, before = _state_of(world, point, row, where), ledger.points.get(point)
    deleted = before is None or before.settled == ABSENT
    if not ledger.saw(point, state, where):
        world.violated("D3" if deleted else "D1" if final else "D2", ledger.violations[-1])
