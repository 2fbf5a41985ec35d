"""An event loop of its own for many membership cores: a heap of ticks and deliveries in virtual time.

Owns time, the link and what is counted on it. Must not know what is measured. Messages are encoded, for their size and
their cap, and handed over as objects: that bytes survive the way is tested elsewhere, and decoding would be most of
the time at a thousand members. A run is a function of its arguments.
"""

from __future__ import annotations

import heapq
import math
import uuid
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from vectron_p2p.membership import (
    Envelope,
    MemberChanged,
    MemberSeed,
    SendPacket,
    SendStream,
    Swim,
    SwimConfig,
    encode_packet,
)
from vectron_p2p.membership.messages import Incarnation, PushPull, PushPullReply
from vectron_p2p.membership.wire import MAX_PACKET, MAX_STREAM
from vectron_p2p.model.ids import Address, ClusterId, NodeId
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.membership import Effect
    from vectron_p2p.membership.messages import Message

DELAY_S = (0.0002, 0.002)  # one way, of a data centre and a busy event loop
RETRANSMIT_S = 0.2  # Linux' least; doubles with each further loss of one segment
CONNECTIONS = 20  # peers that hold a connection to a node and so hear of its crash; a pool closes idle ones
HEADERS = 28  # bytes of IP and UDP per packet; of a TCP segment a little more


class Peer:
    """One member: its core, or None while it is down."""

    __slots__ = ("address", "boot", "bytes", "messages", "node", "refuses", "swim", "tick_at")

    def __init__(self, node: NodeId, address: Address) -> None:
        self.node = node
        self.address = address
        self.swim: Swim | None = None
        self.boot = 0
        self.tick_at = math.inf
        self.refuses = False
        """While down: its machine is up and refuses connections."""
        self.messages = 0
        self.bytes = 0


@dataclass(frozen=True, slots=True)
class Change:
    """`observer` thinks differently of a member since `at`."""

    at: float
    observer: NodeId
    effect: MemberChanged


@dataclass(frozen=True, slots=True)
class _Delivery:
    target: Peer
    message: Message
    sender: Peer
    packet: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """`peer` is told of its connections to `about`: `refused` when it tried one, else one that it had broke."""

    peer: Peer
    about: NodeId
    refused: bool


class Loop:
    """`size` members on one link."""

    def __init__(self, size: int, seed: int, *, loss: float = 0.0, config: SwimConfig | None = None) -> None:
        self._random = Random(seed)
        self._config = config or SwimConfig.lan()
        self.loss = loss
        self.now = 0.0
        ids = [NodeId(str(uuid.UUID(int=self._random.getrandbits(128), version=4))) for _ in range(size)]
        self._cluster = ClusterId(str(uuid.UUID(int=self._random.getrandbits(128), version=4)))
        self.peers = [Peer(node, Address(f"10.0.{at // 250}.{at % 250 + 1}", 7700)) for at, node in enumerate(ids)]
        self._by_node = {peer.node: peer for peer in self.peers}
        self._by_address = {peer.address: peer for peer in self.peers}
        self._seeds = [MemberSeed(peer.node, peer.address) for peer in self.peers]
        self._events: list[tuple[float, int, Peer | _Delivery | _Told]] = []
        self._order = 0
        self.changes: list[Change] = []
        """Of liveness. Members that are added or removed are not among them."""
        self.wronged: dict[Liveness, set[tuple[NodeId, Incarnation]]] = {Liveness.SUSPECT: set(), Liveness.DEAD: set()}
        """Running members that anybody took for this, each in the incarnation that it had then."""
        self.longest_packet = 0
        self.longest_stream = 0
        self.exchanges = 0
        self.events = 0

    # --- members ----------------------------------------------------------------------------------------------------

    def start(self, peers: Sequence[Peer]) -> None:
        for peer in peers:
            peer.boot += 1
            random = Random(self._random.getrandbits(64))
            peer.swim = Swim(peer.node, peer.address, self._config, boot=peer.boot, random=random, now=self.now)
            peer.tick_at = math.inf
            self._perform(peer, peer.swim.set_members(self._seeds, self.now))

    def kill(self, peer: Peer, *, machine: bool) -> None:
        """End a process; with its `machine` gone too nobody is told, else connections break and are refused."""
        peer.swim = None
        peer.refuses = not machine
        if not machine:
            others = [each for each in self.peers if each.swim is not None]
            for other in self._random.sample(others, min(CONNECTIONS, len(others))):
                self._at(self._delay(), _Told(other, peer.node, refused=False))

    def running(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.swim is not None]

    # --- time -------------------------------------------------------------------------------------------------------

    def run(self, seconds: float, until: Callable[[], bool] | None = None, check_every: float = 0.05) -> bool:
        """Let `seconds` pass, or fewer when `until` comes true (looked at now and then); whether it did."""
        end = self.now + seconds
        look = self.now
        events = self._events
        while events and events[0][0] <= end:
            if until is not None and self.now >= look:
                if until():
                    return True
                look = self.now + check_every
            at, _, event = heapq.heappop(events)
            self.now = at
            self.events += 1
            if type(event) is Peer:
                self._tick(event, at)
            elif type(event) is _Delivery:
                self._deliver(event, at)
            elif type(event) is _Told:
                self._tell(event, at)
        self.now = end
        return until is not None and until()

    def _at(self, when: float, event: Peer | _Delivery | _Told) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, event))

    def _delay(self) -> float:
        return self.now + self._random.uniform(*DELAY_S)

    def _tick(self, peer: Peer, at: float) -> None:
        if peer.swim is None or peer.tick_at != at:
            return  # it was brought forward meanwhile, or the process is gone
        peer.tick_at = math.inf
        if peer.swim.next_deadline <= at:
            self._perform(peer, peer.swim.tick(at))
        else:
            self._arm(peer)

    def _arm(self, peer: Peer) -> None:
        """Have a tick come in time. One that comes too early looks again: deadlines are put off more often."""
        assert peer.swim is not None
        due = peer.swim.next_deadline
        if due < peer.tick_at:
            peer.tick_at = max(due, self.now)
            self._at(peer.tick_at, peer)

    def _deliver(self, event: _Delivery, at: float) -> None:
        target = event.target
        if target.swim is not None:
            source = event.sender.address if event.packet else None
            self._perform(target, target.swim.receive(event.message, event.sender.node, source, at))

    def _tell(self, event: _Told, at: float) -> None:
        if (swim := event.peer.swim) is not None:
            told = swim.stream_refused if event.refused else swim.probe_now
            self._perform(event.peer, told(event.about, at))

    # --- the link ---------------------------------------------------------------------------------------------------

    def _perform(self, peer: Peer, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendPacket():
                    self._packet(peer, effect)
                case SendStream():
                    self._stream(peer, effect)
                case MemberChanged() if effect.before is not None and effect.after is not None:
                    self._changed(peer, effect, effect.after)
        self._arm(peer)

    def _changed(self, peer: Peer, effect: MemberChanged, after: Liveness) -> None:
        if after is effect.before:
            return
        self.changes.append(Change(self.now, peer.node, effect))
        accused = self._by_node[effect.node].swim
        if accused is not None and after is not Liveness.ALIVE:
            self.wronged[after].add((effect.node, accused.incarnation))

    def _count(self, peer: Peer, message: Message) -> int:
        # The numbers of the envelope are as long as those of a cluster in use.
        envelope = Envelope(self._cluster, 0, 40_000, b"h" * 16, peer.node, 5_000_000, 1_790_000_000_000)
        size = len(encode_packet(envelope, message))
        peer.messages += 1
        peer.bytes += size + HEADERS
        return size

    def _packet(self, peer: Peer, effect: SendPacket) -> None:
        size = self._count(peer, effect.message)
        self.longest_packet = max(self.longest_packet, size)
        if size > MAX_PACKET:
            raise AssertionError(f"a packet of {size} bytes")
        target = self._by_address.get(effect.address)
        if target is not None and self._random.random() >= self.loss:
            self._at(self._delay(), _Delivery(target, effect.message, peer, packet=True))

    def _stream(self, peer: Peer, effect: SendStream) -> None:
        size = self._count(peer, effect.message)
        self.longest_stream = max(self.longest_stream, size)
        if size > MAX_STREAM:
            raise AssertionError(f"a message of {size} bytes over TCP")
        self.exchanges += isinstance(effect.message, PushPull | PushPullReply)
        target = self._by_node[effect.node]
        late, wait = self._delay(), RETRANSMIT_S
        while self._random.random() < self.loss:
            late, wait = late + wait, 2 * wait
        if target.swim is not None:
            self._at(late, _Delivery(target, effect.message, peer, packet=False))
        elif target.refuses:
            self._at(late, _Told(peer, target.node, refused=True))
