"""Collections with names that nobody used before: their creator cannot be told that they exist already (its own attempt
that got no answer is no other's), and, having seen their epoch, never that they do not exist, or again do.

S1, S2. A worker for scenarios that look at the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import AlreadyExists, NotFound, VectronError
from vectron_p2p.testing.simulation.workload.clients import Worker

if TYPE_CHECKING:
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.simulation.world import World

PAUSE = 1.0  # seconds, mean


class FreshWorker(Worker):
    def __init__(self, world: World, db: SimClient, number: int) -> None:
        super().__init__(world, db, f"fresh-{number}")
        self._life = 0

    async def turn(self) -> None:
        self._life += 1
        name = f"{self.name}-{self._life}"
        made = await self.call(
            "create", self.db.create_collection(name, dimension=4, shards=1, metric="l2"), standing=False
        )
        if isinstance(made, AlreadyExists):
            self.world.violated("S1", f"nobody else creates {name}, and its creation was refused: {made.message}")
        elif not isinstance(made, VectronError):
            await self._pause()
            info = await self.call("info", self.db.collection(name).info(), standing=False)
            if isinstance(info, NotFound):
                self.world.violated("S1", f"{name} was created, and its creator is told that it does not exist")
            gone = await self.call("drop", self.db.delete_collection(name), standing=False)
            if isinstance(gone, NotFound):
                self.world.violated("S1", f"nobody else drops {name}, and its creator is told that it does not exist")
            elif not isinstance(gone, VectronError):
                await self._pause()
                again = await self.call("info", self.db.collection(name).info(), standing=False)
                if not isinstance(again, VectronError):
                    self.world.violated("S1", f"{name} was dropped, and its creator is told that it exists")
        await self._pause()

    async def _pause(self) -> None:
        await trio.sleep(self.random.expovariate(self.world.plan.rules.rate / PAUSE))
