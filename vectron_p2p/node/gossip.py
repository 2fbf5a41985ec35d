"""Membership as the node uses it: SWIM driven on this node's packets, with the news that ride in every envelope.

Owns the envelope (cluster, catalog position, durable counter, wall clock, digest of alerts) and what is learnt from it:
who is ahead in the catalog, how far a peer's clock is off, who knows of other alerts. Invariant: nothing of another
cluster goes any further than this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.membership.effects import MemberChanged, Refuted, SendPacket, SendStream
from vectron_p2p.membership.members import MemberSeed
from vectron_p2p.membership.messages import Message, Ping
from vectron_p2p.membership.swim import Swim
from vectron_p2p.membership.wire import BadPacket, Envelope, decode_packet, encode_packet
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.net.interfaces import ConnectionLost, Endpoint
from vectron_p2p.node.driver import Driver
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.messages import SwimNote

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import Address, NodeId
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.alert_exchange import AlertExchange
    from vectron_p2p.replication.hlc import HybridClock

log = get_logger(__name__)

STREAM_TIMEOUT = 5.0  # for a message over TCP; membership itself waits half a second for a fallback ping


class Gossip:
    """`on_change(node, before, after)` is told when this node's opinion of a member changes."""

    def __init__(
        self,
        identity: Identity,
        address: Address,
        endpoint: Endpoint,
        catalog: Catalog,
        pool: Pool,
        hlc: HybridClock,
        runtime: Runtime,
        limits: Limits,
        *,
        on_change: Callable[[NodeId, Liveness | None, Liveness | None], None],
        alerts: Callable[[], AlertExchange],
        background: trio.Nursery,
    ) -> None:
        self._identity = identity
        self._endpoint = endpoint
        self._catalog = catalog
        self._pool = pool
        self._hlc = hlc
        self._runtime = runtime
        self._on_change = on_change
        self._alerts = alerts
        self._background = background
        self._swim = Swim(
            identity.node, address, limits.swim, boot=identity.boot, random=runtime.random, now=runtime.clock.now()
        )
        self._driver = Driver(self._swim, runtime.clock, self._perform)
        self.bad_packets = 0
        self.strangers = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.follow(catalog.state)

    # --- what others ask --------------------------------------------------------------------------------------------

    def liveness(self, node: NodeId) -> Liveness:
        return self._swim.liveness(node) or Liveness.DEAD

    def address(self, node: NodeId) -> Address | None:
        return self._swim.address(node)

    def follow(self, state: ClusterState) -> None:
        """The catalog has a new state: its current members are the ones to know."""
        self._hlc.expect(len(state.current()))
        seeds = [
            MemberSeed(node, self._identity.peer_address(node) or state.members[node].address)
            for node in state.current()
        ]
        self._driver.post(lambda now: self._swim.set_members(seeds, now))

    def suspect(self, node: NodeId) -> None:
        """A connection to `node` broke or was refused."""
        self._driver.post(lambda now: self._swim.probe_now(node, now))

    def lag(self, seconds: float) -> None:
        self._swim.loop_lag(seconds)

    def paused(self, seconds: float) -> None:
        self._driver.post(lambda now: self._swim.local_pause(now, seconds))

    def leave(self) -> None:
        """This node stops: tell all."""
        self._driver.post(self._swim.leave)

    # --- tasks ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._driver.run)
            nursery.start_soon(self._receive_packets)

    async def _receive_packets(self) -> None:
        while True:
            data, source = await self._endpoint.receive_packet()
            self.bytes_in += len(data)
            self._receive(data, source)

    def receive_note(self, note: SwimNote, sender: NodeId) -> None:
        """A membership message that came over TCP."""
        self._receive(note.packet, None)

    def _receive(self, data: bytes, source: Address | None) -> None:
        try:
            envelope, message = decode_packet(data)
        except BadPacket:
            self.bad_packets += 1
            return
        sender = envelope.sender
        if envelope.cluster != self._catalog.state.cluster or sender == self._identity.node:
            self.strangers += 1
            return
        self._catalog.observe(sender, envelope.generation, envelope.epoch, envelope.hash)
        if self._swim.liveness(sender) is None:
            self.strangers += 1  # a member of an epoch that is still to come here, or of one long past
            return
        self._alerts().heard(sender, envelope.alerts)
        now, wall = self._runtime.clock.now(), int(self._runtime.clock.wall() * 1000)
        self._hlc.notice(wall, now)
        self._hlc.set_peer_offset(sender, envelope.wall_ms - wall, now)
        self._driver.offer(lambda at: self._heard(message, envelope, source, at))

    def _heard(self, message: Message, envelope: Envelope, source: Address | None, now: float) -> list[Any]:
        effects = self._swim.receive(message, envelope.sender, source, now)
        if isinstance(
            message, Ping
        ):  # the one message that names its sender's boot; every node pings every other in turn
            self._identity.heard_peer(envelope.sender, message.incarnation.boot, envelope.counter, message.address)
        return effects

    def _packet(self, message: Message) -> bytes:
        state = self._catalog.state
        return encode_packet(
            Envelope(
                cluster=state.cluster,
                generation=state.generation,
                epoch=state.epoch,
                hash=state.hash,
                sender=self._identity.node,
                counter=self._identity.counter,
                wall_ms=int(self._runtime.clock.wall() * 1000),
                alerts=self._alerts().digest,
            ),
            message,
        )

    async def _perform(self, effect: Any) -> None:
        match effect:
            case SendPacket(address, _, message):
                packet = self._packet(message)
                self.bytes_out += len(packet)
                await self._endpoint.send_packet(packet, address)
            case SendStream(node, message):
                self._background.start_soon(self._send_stream, node, self._packet(message))
            case MemberChanged(node, before, after, address, reason):
                log.info(
                    "member_changed",
                    member=node,
                    before=before and before.value,
                    after=after and after.value,
                    address=str(address),
                    reason=reason,
                )
                if after is None:
                    self._hlc.forget_peer(node)
                self._on_change(node, before, after)
            case Refuted(incarnation, accused, by):
                log.warning("refuted", incarnation=list(incarnation), accused=accused.value, by=by)

    async def _send_stream(self, node: NodeId, packet: bytes) -> None:
        self._pool.reset(node)  # a probe has to find out now, whatever calls found a moment ago
        try:
            await self._pool.note(node, SwimNote(packet), timeout=STREAM_TIMEOUT)
        except (VectronError, ConnectionLost) as error:
            if self._pool.refused(node):
                self._driver.post(lambda now: self._swim.stream_refused(node, now))
            log.debug("membership_message_lost", peer=node, error=str(error))
