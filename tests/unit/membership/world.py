"""N cores on a fake link, in virtual time: the driver of the membership tests.

Packets are lost and delayed, TCP messages only delayed; partitions and pauses stop both. Every message passes through
its byte form, and every step checks what must always hold.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from vectron_p2p.membership import (
    Effect,
    Envelope,
    MemberChanged,
    MemberSeed,
    Refuted,
    SendPacket,
    SendStream,
    Swim,
    SwimConfig,
    decode_packet,
    encode_packet,
)
from vectron_p2p.membership.messages import Incarnation, Message
from vectron_p2p.membership.wire import MAX_PACKET
from vectron_p2p.model.ids import Address, ClusterId, NodeId
from vectron_p2p.model.nodes import Liveness

CLUSTER = ClusterId("7d0c6a52-7f2f-4f3b-9a56-0a35b7d1f9aa")


@dataclass
class Process:
    """One running node."""

    node: NodeId
    address: Address
    swim: Swim
    paused: bool = False
    slow: tuple[float, float] = (0.0, 0.0)
    """Bounds of the time that each message waits before the node takes it in."""
    inbox: list[Callable[[], None]] = field(default_factory=list)
    """What arrived during a pause."""


@dataclass
class Change:
    at: float
    observer: NodeId
    effect: MemberChanged


class World:
    """Time, the link, and the nodes on it."""

    def __init__(self, names: Sequence[str], *, seed: int = 1, config: SwimConfig | None = None) -> None:
        self.random = Random(seed)
        self.config = config or SwimConfig.lan()
        self.now = 100.0
        self.packet_loss = 0.0
        self.stream_loss = 0.0
        self.delay = (0.0002, 0.002)
        self.blocked: set[tuple[NodeId, NodeId]] = set()
        self.udp_blocked = False
        self.resets = True
        """Whether a kill is told to peers by their connections."""
        self.nodes = [NodeId(name) for name in names]
        self.catalog = {node: Address(f"host-{node}", 7700) for node in self.nodes}
        self.boots = dict.fromkeys(self.nodes, 0)
        self.processes: dict[NodeId, Process] = {}
        self.changes: list[Change] = []
        self.refuted: list[tuple[float, NodeId, Refuted]] = []
        self.packets = 0
        self.streams = 0
        self.ticks = 0
        self._seen: dict[tuple[NodeId, NodeId], Incarnation] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    # --- nodes ------------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start nodes (all, without names); each start is a new boot."""
        for name in names or tuple(self.nodes):
            node = NodeId(name)
            self.boots[node] += 1
            address = self.catalog[node]
            swim = Swim(
                node,
                address,
                self.config,
                boot=self.boots[node],
                random=Random(self.random.getrandbits(64)),
                now=self.now,
            )
            process = self.processes[node] = Process(node, address, swim)
            self._seen = {key: value for key, value in self._seen.items() if key[0] != node}
            self.perform(process, swim.set_members(self.seeds(), self.now))

    def seeds(self) -> list[MemberSeed]:
        return [MemberSeed(node, address) for node, address in self.catalog.items()]

    def kill(self, name: str) -> None:
        process = self.processes.pop(NodeId(name))
        if self.resets:
            for peer in list(self.processes.values()):
                if not self._cut(process.node, peer.node):
                    self.at(self._delay(), functools.partial(self._broken, peer, process.node))

    def _broken(self, peer: Process, node: NodeId) -> None:
        self._arrive(peer, lambda: self.perform(peer, peer.swim.probe_now(node, self.now)))

    def pause(self, name: str) -> None:
        self.processes[NodeId(name)].paused = True

    def resume(self, name: str) -> None:
        process = self.processes[NodeId(name)]
        process.paused = False
        waiting, process.inbox = process.inbox, []
        # A loop that wakes up finds its timers and its sockets ready at once, in no particular order.
        if self.random.random() < 0.5:
            self._tick(process)
        for arrival in waiting:
            arrival()

    def swim(self, name: str) -> Swim:
        return self.processes[NodeId(name)].swim

    def call(self, name: str, effects: list[Effect]) -> None:
        self.perform(self.processes[NodeId(name)], effects)

    # --- faults -----------------------------------------------------------------------------------------------------

    def partition(self, *groups: Sequence[str]) -> None:
        side = {NodeId(name): index for index, group in enumerate(groups) for name in group}
        self.blocked = {(a, b) for a in self.nodes for b in self.nodes if side.get(a) != side.get(b)}

    def heal(self) -> None:
        self.blocked = set()

    def _cut(self, source: NodeId, target: NodeId) -> bool:
        return (source, target) in self.blocked

    def _delay(self) -> float:
        return self.now + self.random.uniform(*self.delay)

    # --- effects ----------------------------------------------------------------------------------------------------

    def perform(self, process: Process, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendPacket():
                    self._send_packet(process, effect)
                case SendStream():
                    self._send_stream(process, effect)
                case MemberChanged():
                    self.changes.append(Change(self.now, process.node, effect))
                case Refuted():
                    self.refuted.append((self.now, process.node, effect))
        self._check(process)

    def _check(self, process: Process) -> None:
        for view in process.swim.members():
            key = (process.node, view.node)
            assert view.incarnation >= self._seen.get(key, Incarnation(0, 0)), "an incarnation went down"
            self._seen[key] = view.incarnation
        key = (process.node, process.node)
        assert process.swim.incarnation >= self._seen.get(key, Incarnation(0, 0))
        self._seen[key] = process.swim.incarnation

    def _encode(self, process: Process, message: Message) -> bytes:
        return encode_packet(Envelope(CLUSTER, 1, 7, b"h" * 16, process.node, 1, 10**12), message)

    def _send_packet(self, process: Process, effect: SendPacket) -> None:
        self.packets += 1
        data = self._encode(process, effect.message)
        assert len(data) <= MAX_PACKET
        if self.udp_blocked or self.random.random() < self.packet_loss:
            return
        sender, source = process.node, process.address

        def arrive() -> None:
            target = next((p for p in self.processes.values() if p.address == effect.address), None)
            if target is not None and not self._cut(sender, target.node):
                self._deliver(target, data, source)

        self.at(self._delay(), arrive)

    def _send_stream(self, process: Process, effect: SendStream) -> None:
        self.streams += 1
        data = self._encode(process, effect.message)
        if self._cut(process.node, effect.node) or self._cut(effect.node, process.node):
            return
        if self.random.random() < self.stream_loss:
            return
        address = process.swim.address(effect.node)

        def arrive() -> None:
            target = self.processes.get(effect.node)
            if target is not None and target.address == address:  # a pool refuses a peer that is not the one it wants
                self._deliver(target, data, None)
            elif self.resets and self.processes.get(process.node) is process:
                refused = lambda: self.perform(process, process.swim.stream_refused(effect.node, self.now))  # noqa: E731
                self._arrive(process, refused)

        self.at(self._delay(), arrive)

    def _deliver(self, target: Process, data: bytes, source: Address | None) -> None:
        def take_in() -> None:
            if self.processes.get(target.node) is target:
                envelope, message = decode_packet(data)
                self.perform(target, target.swim.receive(message, envelope.sender, source, self.now))

        if target.slow[1]:
            self.at(self.now + self.random.uniform(*target.slow), lambda: self._arrive(target, take_in))
        else:
            self._arrive(target, take_in)

    def _arrive(self, target: Process, action: Callable[[], None]) -> None:
        if target.paused:
            target.inbox.append(action)
        elif self.processes.get(target.node) is target:
            action()

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, action))

    def _tick(self, process: Process) -> None:
        self.ticks += 1
        self.perform(process, process.swim.tick(self.now))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let `seconds` pass, or fewer when `until` comes true; whether it did."""
        end = self.now + seconds
        while True:
            if until is not None and until():
                return True
            when, process = math.inf, None
            for candidate in self.processes.values():
                if not candidate.paused and candidate.swim.next_deadline < when:
                    when, process = candidate.swim.next_deadline, candidate
            if self._events and self._events[0][0] <= when:
                when, process = self._events[0][0], None
            if when > end:
                self.now = end
                return False
            self.now = max(self.now, when)
            if process is not None:
                self._tick(process)
            else:
                heapq.heappop(self._events)[2]()

    # --- what is seen -----------------------------------------------------------------------------------------------

    def liveness(self, observer: str, node: str) -> Liveness | None:
        return self.swim(observer).liveness(NodeId(node))

    def all_see(self, node: str, liveness: Liveness) -> bool:
        return all(p.swim.liveness(NodeId(node)) is liveness for p in self.processes.values() if p.node != node)

    def agreed(self) -> bool:
        """Every running node sees all running nodes alive, where they are, and all others dead."""
        return all(
            view.liveness is (Liveness.ALIVE if view.node in self.processes else Liveness.DEAD)
            and (view.node not in self.processes or view.address == self.processes[view.node].address)
            for process in self.processes.values()
            for view in process.swim.members()
        )

    def deaths(self, since: float = 0.0) -> list[Change]:
        return [c for c in self.changes if c.effect.after is Liveness.DEAD and c.at >= since]
