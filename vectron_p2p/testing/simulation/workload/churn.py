"""Collections that are created, dropped and created again under one name, by two clients at once.

S1: of concurrent creations of one name exactly one succeeds, and the collection is that one's. S2: a collection that
was created again never shows what an earlier one of its name held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import AlreadyExists, NotFound, VectronError
from vectron_p2p.testing.simulation.workload.clients import Worker, vector_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.simulation.world import World

IDS = range(6)
PAUSE = 1.5  # seconds, mean, between steps: a few lives in a run


class ChurnWorker(Worker):
    """`db` works with the collection, `rival` competes for its creation."""

    def __init__(self, world: World, db: SimClient, rival: SimClient, number: int) -> None:
        super().__init__(world, db, f"churn-{number}")
        self._rival = rival
        self._collection = f"churn-{number}"
        self._life = 0
        self._pending = False
        """Some creation or drop may have been decided, or may yet."""
        self._adrift: set[int] = set()
        """Lives of which a write may still be on its way: it names the collection, as it was sent, by its name."""

    async def turn(self) -> None:
        if not await self._begin():
            await self._pause()
            return
        for _ in range(self.random.randint(1, 6)):
            if self.over:
                return
            await self._use()
            await self._pause()
        await self._decide("drop", self.db.delete_collection(self._collection))

    async def _decide(self, kind: str, change: Awaitable[Any]) -> Any:
        answer = await self.call(kind, change, standing=False)
        if isinstance(answer, VectronError) and not isinstance(answer, AlreadyExists | NotFound):
            self._pending = True
        return answer

    async def _pause(self) -> None:
        await trio.sleep(self.random.expovariate(self.world.plan.rules.rate / PAUSE))

    async def _begin(self) -> bool:
        """A new life of the collection, if it can be had."""
        name = self._collection
        await self._decide("drop", self.db.delete_collection(name))
        self._life += 1
        answers: dict[int, Any] = {}

        async def create(db: SimClient, dimension: int) -> None:
            answers[dimension] = await self._decide(
                "create", db.create_collection(name, dimension=dimension, shards=1, metric="l2")
            )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create, self.db, 4)
            nursery.start_soon(create, self._rival, 5)
        won = [dimension for dimension, answer in answers.items() if not isinstance(answer, VectronError)]
        refused = [dimension for dimension, answer in answers.items() if isinstance(answer, AlreadyExists)]
        if len(won) > 1 and not self._pending:
            self.world.violated("S1", f"two creations of {name} with different dimensions succeeded")
        if not self._pending and len(refused) == len(answers):
            self.world.violated("S1", f"{name} was dropped, and both creations after that found it there")
        if not won:
            return False
        if self._pending:
            return won == [4]
        info = await self.call("info", self.db.collection(name).info(), standing=False)
        if not isinstance(info, VectronError) and info.dimension not in won:
            self.world.violated("S1", f"{name} was created with dimension {won}, and has {info.dimension}")
        return won == [4]

    async def _use(self) -> None:
        docs, point = self.db.collection(self._collection), self.random.choice(IDS)
        if self.random.random() < 0.5:
            answer = await self.call(
                "upsert",
                docs.upsert(ids=[point], vectors=[vector_of(point, self._life)], payloads=[{"life": self._life}]),
                standing=False,
            )
            if isinstance(answer, VectronError):
                self._adrift.add(self._life)
            return
        found: Any
        if self.random.random() < 0.5:
            found = await self.call("get", docs.get(list(IDS)), standing=False)
        else:
            found = await self.call("search", docs.search([0.0] * 4, k=len(IDS)), standing=False)
        if isinstance(found, VectronError):
            return
        for row in found:
            if row is not None and row.payload["life"] not in {self._life, *self._adrift}:
                self.world.violated(
                    "S2", f"{self._collection} in its life {self._life} shows a row of life {row.payload['life']}"
                )
