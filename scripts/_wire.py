"""One blocking connection to one node, without routing, retries or failover.

The client library hides which node answers; a measurement that asks "what does this very node say" must not.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Self

from vectron_p2p.model.ids import Address
from vectron_p2p.protocol import messages
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.events import Closed, ErrorResponse, HandshakeDone, Response

if TYPE_CHECKING:
    from vectron_p2p.protocol.events import Event


class WireClosed(ConnectionError):
    """The node closed the connection, or refused it."""


class Wire:
    """Asks one node, one request at a time."""

    def __init__(self, address: Address, *, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._socket = socket.create_connection(address, timeout)
        self._connection = Connection("client", hello=messages.Hello(versions=[], role="client"))
        try:
            self.welcome = self._wait(HandshakeDone).peer
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, message: Any, *, timeout: float | None = None) -> Any:
        """The reply.

        Raises:
            VectronError: The node's own.
            OSError: No answer in time, or no connection any more.
        """
        self._connection.send_request(message, timeout=timeout or self._timeout)
        event = self._wait(Response | ErrorResponse, timeout)
        if isinstance(event, ErrorResponse):
            raise event.error
        return event.message

    def liveness(self) -> dict[str, str]:
        """By node id, as this node sees it."""
        info = self.ask(messages.GetCluster(shards=False)).info
        return {node["id"]: str(node["liveness"]) for node in info["nodes"]}

    def _wait(self, kind: Any, timeout: float | None = None) -> Any:
        end = time.monotonic() + (timeout or self._timeout)
        while True:
            while data := self._connection.data_to_send():
                self._socket.sendall(data)
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            for event in self._receive():
                if isinstance(event, Closed):
                    raise WireClosed(event.reason)
                if isinstance(event, kind):
                    return event

    def _receive(self) -> list[Event]:
        return self._connection.receive(self._socket.recv(1 << 16))


def wire_to(address: str, *, timeout: float = 5.0) -> Wire:
    """A connection to `host:port`."""
    host, _, port = address.rpartition(":")
    return Wire(Address(host, int(port)), timeout=timeout)
