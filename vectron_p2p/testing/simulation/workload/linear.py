"""Clients that compete for few points with linearizable and conditional operations; the history of each point must be
linearizable (`checks.registers`).

A point is used for some operations and then left, which keeps its history short enough to be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import AlreadyExists, ConsistencyError, NotFound, VectronError, VersionConflict
from vectron_p2p.testing.checks.registers import Content, History, Operation
from vectron_p2p.testing.simulation.workload.clients import SHARED, Worker, vector_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from vectron_p2p.testing.client import SimClient
    from vectron_p2p.testing.simulation.world import World

FIRST = 1_000_000  # ids
RATE = 4.0  # calls per second and client
REFUSED = (AlreadyExists, NotFound, VersionConflict)
READS = ("get", "delete-filter")
"""What reads, as a whole or first: no acknowledgement there says nothing of what was written."""
KINDS = {
    "get": 5,
    "upsert": 2,
    "delete": 1,
    "insert": 2,
    "update": 1,
    "cas": 4,
    "set-payload": 2,
    "delete-payload": 1,
    "delete-filter": 1,
}
PLAIN = {"put": 4, "erase": 1}
"""Plain writes at quorum: they may be done again by an attempt that follows, until the call returns."""


class Registers:
    """The points and their histories, each of `length` operations."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.all: list[History] = []
        self._current: list[History] = []
        self._number = 0

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def pick(self, place: int) -> History:
        """The point in use at one of some places."""
        while len(self._current) <= place:
            self._current.append(self._fresh())
        if len(self._current[place].operations) >= self._length:
            self._current[place] = self._fresh()
        return self._current[place]

    def _fresh(self) -> History:
        history = History(FIRST + len(self.all))
        self.all.append(history)
        return history


class LinearWorker(Worker):
    def __init__(self, world: World, db: SimClient, number: int, registers: Registers) -> None:
        super().__init__(world, db, f"linear-{number}")
        self._registers = registers
        self._read: dict[int, tuple[Content, str]] = {}
        """Content and version of each point as this client read it last."""

    async def turn(self) -> None:
        rng, rules = self.random, self.world.plan.rules
        history = self._registers.pick(rng.randrange(rules.at_a_time))
        kinds = rules.mix or ({**KINDS, **PLAIN} if rules.puts else KINDS)
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        known = self._read.get(history.point)
        if kind == "cas" and known is None:
            kind = "get"
        operation = Operation(kind, trio.current_time(), self._registers.next_number())
        if kind == "cas" and known is not None:
            operation.expected = known[0]
        history.operations.append(operation)
        answer = await self.call(kind, self._ask(history.point, operation, known))
        operation.ended = trio.current_time()
        self._note(history.point, operation, answer)
        await trio.sleep(rng.expovariate(RATE * rules.rate))

    def _ask(self, point: int, operation: Operation, known: tuple[Content, str] | None) -> Awaitable[Any]:
        docs, number = self.collection(SHARED), operation.number
        row: dict[str, Any] = {
            "ids": [point],
            "vectors": [vector_of(point, number)],
            "payloads": [{"number": number, "point": point, "extra": True}],
        }
        match operation.kind:
            case "get":
                level = "linearizable" if self.random.random() < self.world.plan.rules.linearizable else "quorum"
                return docs.get([point], with_vector=True, consistency=level)  # type: ignore[arg-type]
            case "upsert" | "put":
                return docs.upsert(**row, consistency="linearizable" if operation.kind == "upsert" else "quorum")
            case "insert" | "update":
                return docs.upsert(**row, mode=operation.kind)
            case "cas":
                return docs.upsert(**row, if_version=known[1] if known else None)
            case "delete" | "erase":
                level = "linearizable" if operation.kind == "delete" else "quorum"
                return docs.delete(ids=[point], consistency=level)  # type: ignore[arg-type]
            case "delete-filter":
                return docs.delete(filter={"point": point})
            case "set-payload":
                return docs.set_payload({"tag": number}, ids=[point])
        return docs.delete_payload(["extra"], ids=[point])

    def _note(self, point: int, operation: Operation, answer: Any) -> None:
        if isinstance(answer, REFUSED) and operation.kind in ("insert", "update", "cas"):
            operation.outcome = "failed"
        elif (
            isinstance(answer, ConsistencyError) and not answer.acked and operation.kind not in ("get", "delete-filter")
        ):
            operation.outcome = "refused"
        elif isinstance(answer, VectronError):
            operation.outcome = "unknown"
        else:
            operation.outcome = "ok"
            if operation.kind == "get":
                operation.result = self._content(point, answer[0])
            elif operation.kind in ("set-payload", "delete-payload"):
                operation.changed = answer.count

    def _content(self, point: int, row: Any) -> Content | None:
        if row is None:
            self._read.pop(point, None)
            return None
        payload = row.payload
        content = Content(payload["number"], payload.get("tag", 0), "extra" in payload)
        if payload["point"] != point or list(row.vector) != vector_of(point, content.number):
            self.world.violated("D8", f"point {point} has a vector or payload that is not its own: {payload}")
        self._read[point] = (content, row.version)
        return content
