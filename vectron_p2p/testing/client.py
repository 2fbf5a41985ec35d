"""The real asynchronous client on a simulated network, with its choices drawn from a seed."""

from __future__ import annotations

import itertools
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.client.async_client import AsyncClient
from vectron_p2p.client.leases import leased
from vectron_p2p.client.results import parse_addresses
from vectron_p2p.client.session import Session
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.net.interfaces import ConnectionLost, Network
from vectron_p2p.net.rpc import RpcConnection
from vectron_p2p.node.runtime import new_uuid
from vectron_p2p.protocol.connection import PROTOCOL_VERSIONS
from vectron_p2p.protocol.messages import Hello
from vectron_p2p.protocol.silence import Silence, Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from vectron_p2p.model.ids import Address
    from vectron_p2p.runtime import Clock


class SimTransport:
    """Carries out `Call`s over `network`; one connection per node, dialled when needed."""

    def __init__(self, session: Session, network: Network, clock: Clock, nursery: trio.Nursery) -> None:
        self._session = session
        self._network = network
        self._clock = clock
        self._nursery = nursery
        self._connections: dict[Address, RpcConnection] = {}
        self._said: dict[Address, tuple[int, int]] = {}
        self._ahead: dict[Address, float | None] = {}

    async def call(self, step: Call) -> Any:
        connection = self._connections.get(step.address)
        session = self._session
        told = self._said.get(step.address, (0, 0)) >= (session.generation, session.epoch)
        try:
            if connection is None or not connection.usable or not told:
                connection = await self._dial(step)
        except ConnectionLost as error:
            raise LinkLost(str(error), sent=False) from error
        message, until = leased(step.message, self._clock.now(), self._ahead[step.address], connection.pending_bytes)
        watch = trio.CancelScope()
        self._nursery.start_soon(self._watch, connection, step.silence_timeout, watch)
        try:
            return await connection.call(message, timeout=step.timeout, trace=step.trace)
        except ConnectionLost as error:
            raise LinkLost(str(error), sent=True, until=until) from error
        finally:
            watch.cancel()

    async def _watch(self, connection: RpcConnection, patience: float, scope: trio.CancelScope) -> None:
        """As the real shells do: a node that falls silent is pinged, and given up when that brings nothing."""
        heard, silence = connection.heard, Silence(self._clock.now())
        with scope:
            while True:
                await self._clock.sleep(max(0.0, silence.deadline(patience) - self._clock.now()))
                if connection.heard > heard:
                    heard = connection.heard
                    silence.heard(heard)
                verdict = silence.look(self._clock.now(), patience)
                if verdict is Verdict.LOST:
                    connection.close("no sign of life")
                    return
                if verdict is Verdict.PING:
                    connection.ping()

    async def _dial(self, step: Call) -> RpcConnection:
        session = self._session
        hello = Hello(
            versions=list(PROTOCOL_VERSIONS),
            role="client",
            cluster=session.cluster,
            generation=session.generation,
            epoch=session.epoch,
        )
        connection = RpcConnection(self._network, step.address, hello, self._clock)
        await self._nursery.start(connection.run, step.dial_timeout)
        welcome = connection.welcome
        session.welcomed(step.address, welcome.cluster, welcome.generation, welcome.epoch)
        session.learn(parse_addresses(welcome.nodes))
        self._said[step.address] = (session.generation, session.epoch)
        self._ahead[step.address] = welcome.now - self._clock.now() if welcome.now else None
        self._connections[step.address] = connection
        return connection

    async def aclose(self) -> None:
        for connection in self._connections.values():
            connection.close()


class SimClient(AsyncClient):
    """`AsyncClient` whose network, clock and randomness are handed in."""

    def __init__(
        self, seeds: list[Address], clock: Clock, rng: random.Random, *, timeout: float, learning: bool
    ) -> None:
        super().__init__(",".join(map(str, seeds)), timeout=timeout)
        self.session = Session(
            tuple(seeds),
            timeout=timeout,
            now=clock.now,
            rng=rng,
            operation_id=lambda: new_uuid(rng),
            trace=_traces(rng),
            retry=None,
            learning=learning,
        )


def _traces(rng: random.Random) -> Callable[[], int]:
    """Trace ids that are another client's only by chance, without a draw: it would make another run of every seed."""
    return itertools.count(zlib.crc32(repr(rng.getstate()).encode()) << 24).__next__


@asynccontextmanager
async def open_client(
    seeds: list[Address],
    network: Network,
    clock: Clock,
    rng: random.Random,
    nursery: trio.Nursery,
    *,
    timeout: float,
    learning: bool = True,
) -> AsyncIterator[SimClient]:
    """A client for the length of a block."""
    client = SimClient(seeds, clock, rng, timeout=timeout, learning=learning)
    client._transport = SimTransport(client.session, network, clock, nursery)
    try:
        yield client
    finally:
        await client.close()
