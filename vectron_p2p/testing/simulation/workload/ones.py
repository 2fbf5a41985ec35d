"""Writes and reads at `one`: they promise little, but no row that nobody wrote, and equal replicas at the end."""

from __future__ import annotations

import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.simulation.workload.clients import SHARED, Worker, vector_of

FIRST = 2_000_000  # ids
POINTS = 8
RATE = 4.0  # calls per second


class OneWorker(Worker):
    _state = 0

    async def turn(self) -> None:
        rng, docs = self.random, self.collection(SHARED)
        point, kind = FIRST + rng.randrange(POINTS), rng.random()
        self._state += 1
        if kind < 0.5:
            vectors, payloads = [vector_of(point, self._state)], [{"state": self._state}]
            await self.call(
                "upsert-one", docs.upsert(ids=[point], vectors=vectors, payloads=payloads, consistency="one")
            )
        elif kind < 0.6:
            await self.call("delete-one", docs.delete(ids=[point], consistency="one"))
        else:
            found = await self.call("get-one", docs.get([point], consistency="one", with_vector=True))
            row = None if isinstance(found, VectronError) else found[0]
            if row is not None and row.payload is not None and row.vector is not None:
                state = row.payload["state"]
                if not 0 < state <= self._state or list(row.vector) != vector_of(point, state):
                    self.world.violated("D8", f"point {point} at one has a row that was never written: {row}")
        await trio.sleep(rng.expovariate(RATE * self.world.plan.rules.rate))
