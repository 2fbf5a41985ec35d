"""One pool of connections per node: to each peer one for requests and one for bulk, dialled when first needed.

Owns dialling, back-off and the check that the right node answers. Must not know who is a member: `resolve` says where a
node is now. Invariants: at most one dial per peer and kind is under way, however many callers wait for it; a caller
never waits for a peer that is backing off; a connection is used only when the node at its end is the one wanted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Unavailable, VectronError
from vectron_p2p.model.statistics import PeerStatistics
from vectron_p2p.net.interfaces import ConnectionLost, ConnectionRefused
from vectron_p2p.net.rpc_client import DIAL_TIMEOUT, RpcConnection

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from vectron_p2p.model.ids import Address, NodeId
    from vectron_p2p.net.interfaces import Network
    from vectron_p2p.protocol.messages import Hello
    from vectron_p2p.runtime import Clock

BACKOFF_BASE = 0.1  # a restarting process is back within a second: the first retries are worth their cost
BACKOFF_CAP = 5.0  # a peer that returns without telling is found again this soon
JITTER = 0.5  # share of each pause that is drawn: peers of a restarted node must not all dial at once


class Unreachable(Unavailable):
    """Said here, not answered there: the node cannot be reached now, nothing was sent."""


class _Lane:
    """The connection of one kind to one peer."""

    __slots__ = ("connection", "dialled")

    def __init__(self) -> None:
        self.connection: RpcConnection | None = None
        self.dialled: trio.Event | None = None
        """Set when the dial under way has ended; None when there is none."""


class _Peer:
    """A peer and the back-off that both its lanes share."""

    __slots__ = ("error", "failed_address", "failures", "lanes", "node", "refused", "retry_at")

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.lanes = (_Lane(), _Lane())
        self.failures = 0
        self.retry_at = 0.0
        self.failed_address: Address | None = None
        self.error = ""
        self.refused = False


class Pool:
    """Args:
    hello: Makes the greeting of each new connection.
    resolve: Where a node is, None when unknown.
    on_broken: Told of each connection that broke or could not be made, once, before the calls on it end, and whether
        that was because the other side gave no sign of life.
    on_refused: Told what a node said that turned this one away.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        rng: random.Random,
        hello: Callable[[], Hello],
        resolve: Callable[[NodeId], Address | None],
        *,
        on_broken: Callable[[NodeId, bool], None] | None = None,
        on_refused: Callable[[NodeId, VectronError], None] | None = None,
    ) -> None:
        self._network = network
        self._clock = clock
        self._random = rng
        self._hello = hello
        self._resolve = resolve
        self._on_broken = on_broken
        self._on_refused = on_refused
        self._peers: dict[NodeId, _Peer] = {}
        self._open: dict[RpcConnection, None] = {}
        self._ended = (0, 0)
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Holds all connections until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def call(self, node: NodeId, message: Any, *, timeout: float, bulk: bool = False) -> Any:
        """The reply of `node`. `bulk` takes the connection on which large messages delay nobody.

        Raises:
            Unreachable: The node cannot be reached now; nothing was sent.
            VectronError: What the node answered; DeadlineExceeded after `timeout` seconds.
            ConnectionLost: The connection ended while waiting: the outcome is unknown.
        """
        deadline = self._clock.now() + timeout
        connection = self._ready(node, bulk) or await self._connect(node, bulk, timeout)
        return await connection.call(message, timeout=max(deadline - self._clock.now(), 0.0))

    async def note(self, node: NodeId, message: Any, *, timeout: float, bulk: bool = False) -> None:
        """Sends a one-way message. Raises as `call`; no error does not mean that it arrived."""
        deadline = self._clock.now() + timeout
        connection = self._ready(node, bulk) or await self._connect(node, bulk, timeout)
        with self._clock.move_on_after(max(deadline - self._clock.now(), 0.0)) as scope:
            await connection.note(message)
        if scope.cancelled_caught:
            raise DeadlineExceeded(f"node {node} took no data for {timeout:.3g} s", node=node)

    async def call_address(self, address: Address, message: Any, timeout: float) -> Any:
        """The reply of whichever node is at `address`, over a connection of its own. Raises as `call`."""
        deadline = self._clock.now() + timeout
        dial = min(timeout, DIAL_TIMEOUT)
        async with RpcConnection.open(self._network, address, self._hello(), self._clock, timeout=dial) as connection:
            return await connection.call(message, timeout=max(deadline - self._clock.now(), 0.0))

    def reset(self, node: NodeId) -> None:
        """The node was seen alive: the next call dials at once."""
        peer = self._peers.get(node)
        if peer is not None:
            peer.failures = 0
            peer.retry_at = 0.0

    def refused(self, node: NodeId) -> bool:
        """Whether the last dial was refused: the machine answers, but nobody listens."""
        peer = self._peers.get(node)
        return peer is not None and peer.refused

    def drop(self, node: NodeId) -> None:
        """Closes and forgets; calls under way end with `ConnectionLost`. A later call dials anew."""
        peer = self._peers.pop(node, None)
        if peer is not None:
            for lane in peer.lanes:
                if lane.connection is not None:
                    lane.connection.close("dropped by the pool")

    def heard(self, node: NodeId) -> float:
        """When `node` last sent anything over the connections there are; -inf without any."""
        peer = self._peers.get(node)
        lanes = () if peer is None else peer.lanes
        return max((lane.connection.heard for lane in lanes if lane.connection is not None), default=-math.inf)

    def ping(self, node: NodeId) -> None:
        """Ask for a sign of life, over the connection for requests, if there is one."""
        connection = self._ready(node, bulk=False)
        if connection is not None:
            connection.ping()

    def statistics(self) -> list[PeerStatistics]:
        """All peers known, by node id."""
        now = self._clock.now()
        found = []
        for node, peer in sorted(self._peers.items()):
            open_lanes = [lane.connection for lane in peer.lanes if lane.connection is not None]
            found.append(
                PeerStatistics(
                    node=node,
                    connections=len(open_lanes),
                    in_flight=sum(connection.in_flight for connection in open_lanes),
                    pending_bytes=sum(connection.pending_bytes for connection in open_lanes),
                    failures=peer.failures,
                    retry_in_s=max(peer.retry_at - now, 0.0),
                )
            )
        return found

    def transferred(self) -> tuple[int, int]:
        """Bytes in and out on all connections since the start."""
        bytes_in, bytes_out = self._ended
        for connection in self._open:
            more_in, more_out = connection.transferred
            bytes_in += more_in
            bytes_out += more_out
        return bytes_in, bytes_out

    # --- connections --------------------------------------------------------------------------------------------------

    def _ready(self, node: NodeId, bulk: bool) -> RpcConnection | None:
        peer = self._peers.get(node)
        connection = None if peer is None else peer.lanes[bulk].connection
        return connection if connection is not None and connection.usable else None

    async def _connect(self, node: NodeId, bulk: bool, timeout: float) -> RpcConnection:
        """A usable connection, dialled if there is none. Raises Unreachable, DeadlineExceeded."""
        peer = self._peers.get(node)
        if peer is None:
            peer = self._peers[node] = _Peer(node)
        lane = peer.lanes[bulk]
        dialled = lane.dialled if lane.dialled is not None else self._dial_soon(peer, lane)
        with self._clock.move_on_after(timeout) as scope:
            await dialled.wait()
        if scope.cancelled_caught:
            raise DeadlineExceeded(f"node {node} could not be reached within {timeout:.3g} s", node=node)
        connection = lane.connection
        if connection is None or not connection.usable:
            raise Unreachable(f"node {node} cannot be reached: {peer.error or 'the connection ended'}", node=node)
        return connection

    def _dial_soon(self, peer: _Peer, lane: _Lane) -> trio.Event:
        if self._nursery is None:
            raise Unreachable("this node is stopping, or not yet started")
        address = self._resolve(peer.node)
        if address is None:
            raise Unreachable(f"no address of node {peer.node} is known", node=peer.node)
        wait = peer.retry_at - self._clock.now()
        if wait > 0 and address == peer.failed_address:
            text = f"node {peer.node} cannot be reached: {peer.error}; tried again in {wait:.1f} s"
            raise Unreachable(text, node=peer.node)
        lane.dialled = trio.Event()
        self._nursery.start_soon(self._dial, self._nursery, peer, lane, address, lane.dialled)
        return lane.dialled

    async def _dial(
        self, nursery: trio.Nursery, peer: _Peer, lane: _Lane, address: Address, dialled: trio.Event
    ) -> None:
        connection = RpcConnection(self._network, address, self._hello(), self._clock)
        try:
            await nursery.start(self._hold, peer, lane, connection)
            answered = connection.welcome.node
            if not connection.usable:
                raise ConnectionLost(f"{address} ended the connection at once")
            if answered != peer.node:
                connection.close("another node answered")
                raise ConnectionLost(f"{address} is node {answered} now")
        except (ConnectionLost, VectronError) as error:
            peer.refused = isinstance(error, ConnectionRefused)
            self._failed(peer, address, str(error))
            if isinstance(error, VectronError) and self._on_refused is not None:
                self._on_refused(peer.node, error)
        else:
            if self._peers.get(peer.node) is peer:
                peer.failures, peer.retry_at, peer.error, peer.refused = 0, 0.0, "", False
                lane.connection = connection
            else:
                connection.close("dropped by the pool")
        finally:
            lane.dialled = None
            dialled.set()

    def _failed(self, peer: _Peer, address: Address, error: str) -> None:
        peer.failures += 1
        peer.error = error
        peer.failed_address = address
        pause = min(BACKOFF_BASE * 2.0 ** min(peer.failures - 1, 16), BACKOFF_CAP)
        peer.retry_at = self._clock.now() + pause * (1 - JITTER * self._random.random())
        self._tell(peer)

    async def _hold(
        self,
        peer: _Peer,
        lane: _Lane,
        connection: RpcConnection,
        *,
        task_status: trio.TaskStatus[RpcConnection] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._open[connection] = None
        try:
            await connection.run(DIAL_TIMEOUT, task_status=task_status)
        finally:
            del self._open[connection]
            (bytes_in, bytes_out), (more_in, more_out) = self._ended, connection.transferred
            self._ended = bytes_in + more_in, bytes_out + more_out
        if lane.connection is connection:
            lane.connection = None
            if not connection.left_orderly:
                self._tell(peer, connection.fell_silent)

    def _tell(self, peer: _Peer, silent: bool = False) -> None:
        if self._on_broken is not None and self._peers.get(peer.node) is peer:
            self._on_broken(peer.node, silent)
