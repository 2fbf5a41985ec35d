"""A small world for the tests: hosts in memory, servers that answer `Count`, and callers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import NotFound, VectronError
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.net.interfaces import ConnectionLost, Stream
from vectron_p2p.net.rpc import Caller, Quick, RpcServer
from vectron_p2p.protocol.messages import (
    Count,
    CountReply,
    Done,
    GetStatus,
    Hello,
    MerkleLeaves,
    MerkleLeavesReply,
    Welcome,
)
from vectron_p2p.runtime.real import TrioClock
from vectron_p2p.testing.network import MemoryHost, MemoryNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

HELLO = Hello([], "peer", "cluster-1", "caller")


def welcome(node: str) -> Welcome:
    return Welcome(0, "cluster-1", node, node, 0, 1, "test")


class World:
    def __init__(self, seed: int = 1) -> None:
        self.clock = TrioClock()
        self.random = random.Random(seed)
        self.network = MemoryNetwork(self.clock, self.random)

    def host(self, name: str) -> MemoryHost:
        return self.network.host(name)


class Node:
    """Answers by the name of the collection counted: a number, "slow", "never", "fail", "missing"; `MerkleLeaves` with
    as many bytes as its shard number says.
    """

    def __init__(self, world: World, name: str, port: int = 7700, node: str | None = None) -> None:
        self.world = world
        self.name = name
        self.node = NodeId(node or name)
        self.address = Address(name, port)
        self.running = 0
        self.cancelled = 0
        self.greeted = 0
        self.notes: list[Any] = []
        self.callers: list[Caller] = []
        self.refuse: VectronError | None = None
        self.quick: Quick | None = None
        self.server: RpcServer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        endpoint = await self.world.host(self.name).listen(self.address)
        self.server = RpcServer(
            endpoint,
            clock=self.world.clock,
            welcome=self.greet,
            handler=self.handle,
            on_note=self.take_note,
            quick=self.quick,
        )
        try:
            await self.server.run(task_status=task_status)
        finally:
            await endpoint.aclose()

    def greet(self, _: Hello) -> Welcome:
        self.greeted += 1
        if self.refuse is not None:
            raise self.refuse
        return welcome(self.node)

    def take_note(self, message: Any, caller: Caller) -> None:
        self.callers.append(caller)
        if message == Done():
            raise RuntimeError("a note that cannot be taken")
        self.notes.append(message)

    async def handle(self, message: Any, caller: Caller) -> Any:
        self.running += 1
        try:
            return await self._answer(message, caller)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, message: Any, caller: Caller) -> Any:
        if isinstance(message, GetStatus):
            self.callers.append(caller)
            return Done()
        if isinstance(message, MerkleLeaves):
            return MerkleLeavesReply(bytes(message.shard))
        assert isinstance(message, Count)
        match message.collection:
            case "slow":
                await self.world.clock.sleep(1.0)
            case "never":
                await trio.sleep_forever()
            case "fail":
                raise RuntimeError("a defect")
            case "missing":
                raise NotFound("no such collection", field="name")
            case "group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._missing)
            case "nothing":
                return None
            case number if number.isdigit():
                return CountReply(int(number))
        return CountReply(-1)

    async def _missing(self) -> None:
        raise NotFound("in a child")


async def read_until_closed(stream: Stream) -> bytes:
    """Whatever comes until the other side closes or resets."""
    data = b""
    try:
        while chunk := await stream.receive_some(65536):
            data += chunk
    except ConnectionLost:
        pass
    return data


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event, and time is virtual
        await trio.sleep(0.01)
