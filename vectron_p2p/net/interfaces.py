"""What the rest of the node knows of a network.

Invariant: whatever goes wrong on the way surfaces as `ConnectionLost`, or as another `OSError` where an address cannot
be listened on; trio's and the platform's own exceptions stay behind these interfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import Address

MAX_PACKET = 1400  # bytes of a UDP packet: under every usual MTU, so that loss of one fragment never loses the whole


class ConnectionLost(OSError):
    """The other side cannot be reached, or went away. Whether it got what was sent last is unknown."""


class ConnectionRefused(ConnectionLost):
    """The machine answered that nobody listens there: the process is gone, not the network."""


class Stream(Protocol):
    """Bytes in order, both ways. One task may send and another receive at a time.

    A cancelled `send_all` leaves the stream useless: unknown how much went out.
    """

    @property
    def remote(self) -> Address:
        """Where the other side sends from; for a stream that was opened here, the address it was opened to."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Raises:
        ConnectionLost: The stream is broken.
        """
        ...

    def send_nowait(self, data: bytes) -> int:
        """How many of the bytes could be taken at once, 0 to all; never raises. Not while `send_all` is under way."""
        ...

    async def receive_some(self, max_bytes: int) -> bytes:
        """At least one byte; b"" at the end of the stream.

        Raises:
            ConnectionLost: The stream is broken.
        """
        ...

    async def receive_each(self, max_bytes: int, take: Callable[[bytes], bool]) -> None:
        """Gives `take` what arrives, piece by piece, until it returns False or has got b"", the end of the stream.

        For who reads a stream for as long as it lives: cheaper than `receive_some` for each piece. `take` runs in the
        context of the caller, but not in its task.

        Raises:
            ConnectionLost: The stream is broken.
            Exception: Of `take`.
        """
        ...

    async def aclose(self) -> None:
        """Closes at once, whatever is under way; waiting calls end with `ConnectionLost`. Never waits for the other
        side.
        """
        ...


class Endpoint(Protocol):
    """Where a node listens: streams and packets on one port."""

    @property
    def address(self) -> Address: ...

    async def accept(self) -> Stream:
        """Raises:
        ConnectionLost: The endpoint is closed.
        """
        ...

    async def receive_packet(self) -> tuple[bytes, Address]:
        """Raises:
        ConnectionLost: The endpoint is closed.
        """
        ...

    async def send_packet(self, data: bytes, address: Address) -> None:
        """Sends or drops: no error, no waiting for room."""
        ...

    async def aclose(self) -> None: ...


class Network(Protocol):
    """One machine's way to the others."""

    async def listen(self, address: Address) -> Endpoint:
        """Opens TCP and UDP on one port; port 0 picks one that is free for both.

        Raises:
            OSError: The address is in use or not this machine's.
        """
        ...

    async def connect(self, address: Address, *, timeout: float) -> Stream:
        """Raises:
        ConnectionLost: Refused, unreachable, or not there within `timeout` seconds.
        """
        ...
