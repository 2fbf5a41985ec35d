"""What all clients of a run share: the collections, a client with random numbers of its own, calls that are watched."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

import trio

from vectron_p2p.model.errors import Internal, InvalidArgument, NotFound, PermissionDenied, VectronError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.simulation.world import World

T = TypeVar("T")

POINTS = "points"
"""The collection of points with one writer each."""
SHARED = "shared"
"""The collection of points that clients compete for."""
DIMENSION = 4
TIMEOUT = 8.0  # virtual seconds; the clients retry within it
GRACE = 3.0  # virtual seconds that a call may take beyond it: the last dial, and the node's own word on a timeout
NEVER = (Internal, InvalidArgument, PermissionDenied)
"""Errors that no correct cluster answers these clients with, whatever happens to it."""


class Worker:
    """One client, one call at a time. Its random numbers depend on the seed and its name alone."""

    def __init__(self, world: World, db: SimClient, name: str) -> None:
        self.world = world
        self.db = db
        self.name = name
        self.random = random.Random(f"{world.plan.seed} {name}")
        self.over = False

    def collection(self, name: str) -> AsyncCollection:
        return self.db.collection(name)

    async def call(self, kind: str, awaitable: Awaitable[T], *, standing: bool = True) -> T | VectronError:
        """The answer, or the error that was met; `standing`: of a collection that is there all the time."""
        report, began = self.world.report, trio.current_time()
        report.operations += 1
        answer: T | VectronError
        try:
            answer = await awaitable
        except VectronError as error:
            report.failed += 1
            answer = error
            gone = standing and isinstance(error, NotFound) and error.field in ("name", "collection")
            if isinstance(error, NEVER) or gone:
                self.world.violated("error", f"{kind} by {self.name}: {type(error).__name__}: {error.message}")
        else:
            report.done[kind] += 1
        took = trio.current_time() - began
        if took > TIMEOUT + GRACE:
            self.world.violated("L1", f"{kind} by {self.name} took {took:.1f} s, its timeout is {TIMEOUT:g} s")
        return answer

    async def run(self) -> None:
        while not self.over:
            await self.turn()

    async def turn(self) -> None:
        raise NotImplementedError


def vector_of(point: int, state: int) -> list[float]:
    """The vector written with `state`: small integers, exact in float32."""
    return [float(point % 1000), float(state % 1000), float(state % 7), 1.0]
