"""A node that speaks the real protocol on a real socket, and answers as a test tells it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Self

from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.model.ids import Address
from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus, NodeInfo, NodeStatus, ReplicaInfo, ShardInfo
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields
from vectron_p2p.protocol import messages
from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.events import Closed, HandshakeDone, Request
from vectron_p2p.protocol.messages import Hello, Welcome

CLUSTER = "11111111-1111-1111-1111-111111111111"
NODE = "22222222-2222-2222-2222-222222222222"

NO_ANSWER = object()
"""Returned by a handler: keep the request waiting for ever."""
HANG_UP = object()
"""Returned by a handler: break the connection."""

Handler = Callable[[Any], Any]


class FakeNode:
    """Listens on a loopback port; each connection is served by a thread.

    `handler(message)` returns the reply, an exception (VectronError) raised or one of the marks above.
    """

    def __init__(self, handler: Handler, *, cluster: str = CLUSTER, epoch: int = 1, port: int = 0) -> None:
        self.handler = handler
        self.cluster = cluster
        self.epoch = epoch
        self.hellos: list[Hello] = []
        self.requests: list[Any] = []
        self.timeouts: list[float | None] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Vanishes as a killed process does: the port refuses, connections break."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)

    def hang_up(self) -> None:
        """Breaks all connections; new ones are taken."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def target(self) -> str:
        return str(self.address)

    def _start(self, function: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, accepted)

    def _serve(self, stream: socket.socket) -> None:
        self._open.add(stream)
        try:
            with stream:
                self._talk(stream)
        except OSError:
            pass
        finally:
            self._open.discard(stream)

    def _talk(self, stream: socket.socket) -> None:
        connection = Connection("server")
        while True:
            for event in connection.receive(stream.recv(65536)):
                if isinstance(event, HandshakeDone):
                    assert isinstance(event.peer, Hello)
                    self.hellos.append(event.peer)
                    if event.peer.cluster not in (None, self.cluster):
                        connection.refuse(InvalidArgument("this is another cluster", field="cluster"))
                    else:
                        connection.accept(Welcome(1, self.cluster, NODE, "n1", 0, self.epoch, "test"))
                elif isinstance(event, Request):
                    self.requests.append(event.message)
                    self.timeouts.append(event.timeout)
                    if not self._answer(connection, event):
                        return
                elif isinstance(event, Closed):
                    return
            while data := connection.data_to_send():
                stream.sendall(data)
            if connection.closed:
                return

    def _answer(self, connection: Connection, request: Request) -> bool:
        try:
            reply = self.handler(request.message)
        except VectronError as error:
            connection.respond_error(request.id, error)
            return True
        if reply is HANG_UP:
            return False
        if reply is not NO_ANSWER:
            connection.respond(request.id, reply)
        return True


def node_info(address: str = "127.0.0.1:7700", **changes: Any) -> NodeInfo:
    fields = {"id": NODE, "name": "n1", "address": address, "zone": "a", "state": "active", "liveness": "alive"}
    return NodeInfo(**{**fields, **changes})


def cluster_info(address: str = "127.0.0.1:7700", *, epoch: int = 1) -> ClusterInfo:
    replica = ReplicaInfo(NODE, "ready", 5, 1000, "ab", 5, 0)
    return ClusterInfo(CLUSTER, epoch, [node_info(address)], [ShardInfo("docs", 0, [replica])], [NODE])


def cluster_status(address: str = "127.0.0.1:7700") -> ClusterStatus:
    node = NodeStatus(NODE, "n1", address, "a", "active", "alive", version="0.1.0", epoch=1, points=5, loop_lag_ms=1.5)
    return ClusterStatus(CLUSTER, 1, NODE, [node], [NODE], 1, 0)


def collection_info(name: str = "docs", **changes: Any) -> CollectionInfo:
    fields: dict[str, Any] = {
        "name": name, "dimension": 3, "metric": "cosine", "shards": 2, "replicas": 3, "m": 16, "ef_construction": 100,
        "count": 5, "indexed": 0, "bytes": 1000, "id": "c1", "under_replicated": 0,
    }  # fmt: skip
    return CollectionInfo(**{**fields, **changes})


def payload_fields(name: str = "docs") -> PayloadFields:
    colour = PayloadField("colour", ["keyword"], 5, 2, values=["blue", "red"], bytes=2100)
    price = PayloadField("price", ["int", "float"], 3, 33, distinct_exact=False, lowest=0.5, highest=900.0, bytes=2300)
    return PayloadFields(name, 5, 1, [colour, price], more=3, shards=2, missing_shards=1)


def reply_with_info(message: Any) -> Any:
    """Answers to everything about the cluster and its one collection."""
    if isinstance(message, messages.GetCluster):
        return messages.ClusterReply(asdict(cluster_info()))
    if isinstance(message, messages.GetStatus):
        return messages.StatusReply(asdict(cluster_status()))
    if isinstance(message, messages.CreateCollection | messages.DescribeCollection):
        return messages.CollectionReply(asdict(collection_info(message.name)))
    if isinstance(message, messages.GetPayloadFields):
        return messages.PayloadFieldsReply(asdict(payload_fields(message.name)), [])
    if isinstance(message, messages.DeleteCollection):
        return messages.Done()
    if isinstance(message, messages.ListCollections):
        return messages.CollectionsReply([asdict(collection_info())])
    raise AssertionError(f"not expected here: {message}")
