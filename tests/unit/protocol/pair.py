"""Two connections joined by a link that the test pumps, byte by byte if it likes."""

from __future__ import annotations

from typing import Any

from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.events import Event, HandshakeDone
from vectron_p2p.protocol.messages import Hello, Welcome

HELLO = Hello([], "peer", "cluster-1", "node-a", counter=3, boot=2, generation=1, epoch=7)
WELCOME = Welcome(0, "cluster-1", "node-b", "b", 1, 7, "1.0")


class Pair:
    def __init__(self, *, hello: Hello = HELLO, **server_options: Any) -> None:
        self.client = Connection("client", hello=hello)
        self.server = Connection("server", **server_options)

    @classmethod
    def opened(cls, **server_options: Any) -> Pair:
        pair = cls(**server_options)
        (greeting,) = pair.to_server()
        assert isinstance(greeting, HandshakeDone)
        pair.server.accept(WELCOME)
        (welcome,) = pair.to_client()
        assert isinstance(welcome, HandshakeDone)
        return pair

    def to_server(self, step: int | None = None) -> list[Event]:
        return carry(self.client, self.server, step)

    def to_client(self, step: int | None = None) -> list[Event]:
        return carry(self.server, self.client, step)


def drain(source: Connection) -> bytes:
    parts = []
    while data := source.data_to_send():
        parts.append(data)
    return b"".join(parts)


def carry(source: Connection, target: Connection, step: int | None = None) -> list[Event]:
    """All that `source` has to send, in pieces of `step` bytes (None: as it comes)."""
    data = drain(source)
    events: list[Event] = []
    step = step or max(len(data), 1)
    for start in range(0, len(data), step):
        events += target.receive(data[start : start + step])
    return events
