"""A little world for epoch logs: virtual time, a bad network, disks, crashes, and the checks that must always hold.

Every effect is performed on its own, some time after the one before it, so a crash can fall between any two; calls are
made while earlier effects of the same node still wait. Messages are packed as on the wire, lost, doubled and delayed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgpack

from vectron_p2p.catalog.commands import ActivateMember, AddMember, Command, command_to_wire, operation_of
from vectron_p2p.catalog.config import CatalogConfig
from vectron_p2p.catalog.effects import Alarm, Applied, Effect, Persist, ProposalFailed, Proposed, Send
from vectron_p2p.catalog.log import EpochLog
from vectron_p2p.catalog.records import STATE, bootstrap, load
from vectron_p2p.catalog.state import ClusterState, found
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.ids import Address, ClusterId, NodeId

GOSSIP = 0.2


class Violation(AssertionError):
    """A rule was broken."""


@dataclass
class Faults:
    loss: float = 0.0
    doubling: float = 0.0
    slow: float = 0.0
    """Share of messages that take up to 3 s."""
    delay: float = 0.02
    disk: float = 0.02


@dataclass
class Host:
    node: NodeId
    disk: dict[bytes, bytes] = field(default_factory=dict)
    log: EpochLog | None = None
    life: int = 0
    queue: list[Effect] = field(default_factory=list)
    busy: bool = False
    applied: ClusterState | None = None
    waker: float = -1.0


@dataclass
class Ask:
    """A client's wish: proposed again, at any node, until it is answered."""

    command: Command
    at: NodeId | None
    results: list[dict[str, Any]] = field(default_factory=list)
    errors: list[VectronError] = field(default_factory=list)


class World:
    def __init__(self, seed: int, config: CatalogConfig | None = None) -> None:
        self.rng = Random(seed)
        self.config = config or CatalogConfig()
        self.now = 0.0
        self.faults = Faults()
        self.hosts: dict[NodeId, Host] = {}
        self.group: dict[NodeId, int] = {}
        self.history: dict[int, bytes] = {}
        self.asks: dict[str, Ask] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.alarms: list[str] = []
        self.on_effect: Callable[[Host, Effect], None] = lambda host, effect: None
        self.sent: list[tuple[NodeId, NodeId, dict[str, Any]]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    # --- time -----------------------------------------------------------------------------------------------------

    def after(self, delay: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, do))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            at, _, do = heapq.heappop(self._events)
            self.now = max(self.now, at)
            do()
            if until():
                return True
        self.now = end
        return until()

    # --- nodes ----------------------------------------------------------------------------------------------------

    def found(self, name: str = "n1") -> Host:
        node = NodeId(name)
        state = found(ClusterId("c"), node, name, Address(name, 7700), "")
        self.history[1] = state.to_bytes()
        return self._new_host(node, state)

    def _new_host(self, node: NodeId, state: ClusterState) -> Host:
        host = self.hosts[node] = Host(node)
        for key, value in bootstrap(state):
            assert value is not None
            host.disk[key] = value
        self.start(node)
        return host

    def start(self, node: NodeId) -> None:
        host = self.hosts[node]
        if host.log is not None:
            return
        persisted = load(sorted(host.disk.items()))
        assert persisted is not None
        if host.applied is not None and persisted.state.epoch < host.applied.epoch:
            raise Violation(f"{node} came back at {persisted.state.epoch}, it had been at {host.applied.epoch}")
        host.life += 1
        host.log = EpochLog(node, persisted, rng=Random(self.rng.random()), config=self.config)
        host.applied = persisted.state
        self._check(persisted.state)
        self._gossip(node, host.life)
        self._wake(host)

    def crash(self, node: NodeId) -> None:
        host = self.hosts[node]
        host.log = None
        host.life += 1
        host.queue.clear()
        host.busy = False
        host.waker = -1.0

    def up(self) -> list[NodeId]:
        return [node for node, host in self.hosts.items() if host.log is not None]

    def grow(self, *names: str, seconds: float = 60.0, zones: tuple[str, ...] = ("",)) -> None:
        """Let nodes join, one after the other."""
        for index, name in enumerate(names):
            node = NodeId(name)
            zone = zones[index % len(zones)]
            self.ask(f"add-{name}", AddMember(node, name, Address(name, 7700), zone))
            assert self.run(seconds, lambda name=name: bool(self.asks[f"add-{name}"].results))  # type: ignore[misc]
            state = max((h.applied for h in self.hosts.values() if h.applied), key=lambda state: state.epoch)
            self._new_host(node, state)
            self.ask(f"activate-{name}", ActivateMember(node), at=name)
            assert self.run(seconds, lambda name=name: bool(self.asks[f"activate-{name}"].results))  # type: ignore[misc]
        assert self.run(seconds, self.agreed)

    # --- clients --------------------------------------------------------------------------------------------------

    def ask(self, ask_id: str, command: Command, *, at: str | None = None, retry: bool = True) -> Ask:
        ask = self.asks[ask_id] = Ask(command, None if at is None else NodeId(at))
        self._propose(ask_id, retry, 0)
        return ask

    def _propose(self, ask_id: str, retry: bool, attempt: int) -> None:
        ask = self.asks[ask_id]
        if ask.results or (attempt and not retry):
            return
        node = ask.at or (self.rng.choice(self.up()) if self.up() else None)
        host = self.hosts.get(node) if node else None
        if host is not None and host.log is not None:
            proposal = f"{ask_id}#{attempt}"
            self._perform(host, host.log.propose(proposal, command_to_wire(ask.command), self.now))
        self.after(self.rng.uniform(1, 6), lambda: self._propose(ask_id, retry, attempt + 1))

    def _answered(self, ask_id: str, result: dict[str, Any]) -> None:
        ask = self.asks[ask_id]
        ask.results.append(result)
        operation = operation_of(ask.command)
        if operation is not None and self.outcomes.setdefault(operation, result) != result:
            raise Violation(f"operation {operation} gave {result} and {self.outcomes[operation]}")

    # --- effects --------------------------------------------------------------------------------------------------

    def _perform(self, host: Host, effects: list[Effect]) -> None:
        host.queue += effects
        self._next(host)
        self._wake(host)

    def _next(self, host: Host) -> None:
        if host.busy or not host.queue:
            return
        host.busy = True
        slow = isinstance(host.queue[0], Persist) and self.faults.disk
        life = host.life
        self.after(self.rng.uniform(0, slow or 0.001), lambda: self._done(host, life))

    def _done(self, host: Host, life: int) -> None:
        if life != host.life:
            return
        host.busy = False
        effect = host.queue.pop(0)
        match effect:
            case Persist(puts):
                for key, value in puts:
                    if value is None:
                        host.disk.pop(key, None)
                    else:
                        host.disk[key] = value
            case Send(node, body):
                self._transmit(host.node, node, body)
            case Applied(state):
                if host.applied is not None and state.epoch <= host.applied.epoch:
                    raise Violation(f"{host.node} went from epoch {host.applied.epoch} to {state.epoch}")
                host.applied = state
                self._check(state)
                if host.disk[STATE] != state.to_bytes():
                    raise Violation(f"{host.node} reports epoch {state.epoch} that is not what its disk holds")
            case Proposed(proposal, _, result):
                self._answered(proposal.partition("#")[0], result)
            case ProposalFailed(proposal, error):
                self.asks[proposal.partition("#")[0]].errors.append(error)
            case Alarm(text):
                self.alarms.append(f"{host.node}: {text}")
                raise Violation(self.alarms[-1])
        self.on_effect(host, effect)
        if life == host.life:
            self._next(host)

    def _check(self, state: ClusterState) -> None:
        data = state.to_bytes()
        if self.history.setdefault(state.epoch, data) != data:
            raise Violation(f"two states at epoch {state.epoch}")

    def _wake(self, host: Host) -> None:
        """A timer for the log's next deadline."""
        if host.log is None or host.log.next_deadline in (float("inf"), host.waker):
            return
        host.waker = host.log.next_deadline
        life, at = host.life, host.waker
        self.after(max(0.0, at - self.now), lambda: self._tick(host, life, at))

    def _tick(self, host: Host, life: int, at: float) -> None:
        if host.log is not None and life == host.life and host.waker == at:
            host.waker = -1.0
            self._perform(host, host.log.tick(self.now))

    # --- network --------------------------------------------------------------------------------------------------

    def _transmit(self, source: NodeId, target: NodeId, body: dict[str, Any]) -> None:
        self.sent.append((source, target, body))
        if self.rng.random() < self.faults.loss:
            return
        packed = msgpack.packb(body)
        for _ in range(2 if self.rng.random() < self.faults.doubling else 1):
            longest = 3.0 if self.rng.random() < self.faults.slow else self.faults.delay
            self.after(self.rng.uniform(0.001, longest), lambda: self._deliver(source, target, packed))

    def linked(self, a: NodeId, b: NodeId) -> bool:
        return self.group.get(a, 0) == self.group.get(b, 0)

    def _deliver(self, source: NodeId, target: NodeId, packed: bytes) -> None:
        host = self.hosts.get(target)
        if host is not None and host.log is not None and self.linked(source, target):
            self._perform(host, host.log.receive(msgpack.unpackb(packed), source, self.now))

    def _gossip(self, node: NodeId, life: int) -> None:
        host = self.hosts[node]
        if host.life != life or host.applied is None:
            return
        state = host.applied
        for peer in self.rng.sample(sorted(self.hosts), min(2, len(self.hosts))):
            other = self.hosts[peer]
            if (
                peer != node
                and other.log is not None
                and self.linked(node, peer)
                and self.rng.random() >= self.faults.loss
            ):
                heard = other.log.observe(node, state.generation, state.epoch, state.hash, self.now)
                self._perform(other, heard)
        self.after(GOSSIP, lambda: self._gossip(node, life))

    # --- verdicts -------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        self.group.clear()
        self.faults = Faults()
        for node in sorted(self.hosts):
            self.start(node)

    def agreed(self) -> bool:
        """All nodes are up, at one epoch, and nobody has anything left to do or decide."""
        states = {host.applied.hash if host.applied else None for host in self.hosts.values()}
        idle = all(host.log is not None and not host.queue for host in self.hosts.values())
        return len(states) == 1 and idle
