"""The network of a node that is alone: it listens and nobody comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio

from vectron_p2p.net.interfaces import ConnectionLost, Stream

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address


class LoneEndpoint:
    """An endpoint on no network."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._closed = trio.Event()

    async def _closing(self) -> NoReturn:
        await self._closed.wait()
        raise ConnectionLost("the endpoint is closed")

    async def accept(self) -> Stream:
        await self._closing()

    async def receive_packet(self) -> tuple[bytes, Address]:
        await self._closing()

    async def send_packet(self, data: bytes, address: Address) -> None:
        """Nobody is there."""

    async def aclose(self) -> None:
        self._closed.set()


class LoneNetwork:
    """For embedded nodes."""

    async def listen(self, address: Address) -> LoneEndpoint:
        return LoneEndpoint(address)

    async def connect(self, address: Address, *, timeout: float) -> Stream:
        raise ConnectionLost(f"{address} cannot be reached: this node is embedded and has no network")
