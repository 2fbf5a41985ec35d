"""What is measured of membership: detection of deaths, load at rest and around a death, false alarms under loss.

All of it from what members say (`MemberChanged`) and send, in virtual time.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from simulations.swim.loop import Loop
from vectron_p2p.membership import SwimConfig, push_pull
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulations.swim.loop import Peer

SETTLE_S = 10.0  # the first push-pulls are over, and nothing is left to tell
GIVE_UP_S = 300.0  # a lone accuser of a thousand members waits 72 s; what takes longer than this is a failure
SLACK_S = 2.0  # after the last member knows: its news still travels, and counts as load of the death
RETURN_S = 60.0


@dataclass(frozen=True, slots=True)
class Death:
    """Seconds from one kill to what the others thought."""

    machine: bool
    """It went without a word; else its process crashed, and its machine told those who were connected."""
    suspected: float
    """The first of them suspects it."""
    dead: float
    """The first of them takes it for dead."""
    known: float
    """All of them do."""
    returned: float
    """After its restart: all take it for alive."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one member sends in a second; `most` is that of the member that sends most."""

    messages: float
    bytes: float
    most_messages: float
    most_bytes: float


@dataclass(frozen=True, slots=True)
class Size:
    """Everything about one size of the cluster."""

    nodes: int
    deaths: list[Death]
    rest: Load
    around: Load
    """From a kill until all know."""
    false_deaths: int
    longest_packet: int
    longest_stream: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Alarms:
    """Living members that others accused while `loss` of all packets went lost."""

    nodes: int
    loss: float
    seconds: float
    suspected: int
    """Suspicions that began, counted once per accused member and incarnation, however many heard of them."""
    dead: int
    """Members taken for dead by anybody."""
    load: Load
    cpu_s: float

    @property
    def suspected_per_hour(self) -> float:
        """Per member."""
        return self.suspected / self.nodes / self.seconds * 3600

    @property
    def dead_per_hour(self) -> float:
        return self.dead / self.nodes / self.seconds * 3600


@dataclass
class Result:
    sizes: list[Size] = field(default_factory=list)
    alarms: list[Alarms] = field(default_factory=list)


class Failed(Exception):
    """Membership did not do in time what it must."""


def measure_size(nodes: int, *, kills: int, seed: int, config: SwimConfig | None = None) -> Size:
    """Start `nodes`, look at them at rest, then kill and restart one after the other."""
    began = time.process_time()
    config = config or SwimConfig.lan()
    loop = _settled(nodes, seed, 0.0, config)
    # A whole turn of push-pulls, which at rest are most of the bytes.
    rest = _load(loop, lambda: loop.run(max(60.0, push_pull.interval(config.push_pull_interval, nodes))))
    random = Random(seed)
    deaths, around = [], []
    for number in range(kills):
        loop.run(random.uniform(0.0, config.probe_interval))
        death, load = _one_death(loop, random.choice(loop.peers), machine=number % 2 == 0)
        deaths.append(death)
        around.append(load)
    return Size(
        nodes=nodes,
        deaths=deaths,
        rest=rest,
        around=Load(*(statistics.fmean(getattr(load, name) for load in around) for name in Load.__slots__)),
        false_deaths=len(loop.wronged[Liveness.DEAD]),
        longest_packet=loop.longest_packet,
        longest_stream=loop.longest_stream,
        cpu_s=time.process_time() - began,
    )


def measure_alarms(nodes: int, loss: float, *, seconds: float, seed: int, config: SwimConfig | None = None) -> Alarms:
    """Nobody dies, but packets do."""
    began = time.process_time()
    loop = _settled(nodes, seed, loss, config or SwimConfig.lan())
    for wronged in loop.wronged.values():
        wronged.clear()
    load = _load(loop, lambda: loop.run(seconds))
    suspected, dead = (len(loop.wronged[liveness]) for liveness in (Liveness.SUSPECT, Liveness.DEAD))
    return Alarms(nodes, loss, seconds, suspected, dead, load, time.process_time() - began)


def _settled(nodes: int, seed: int, loss: float, config: SwimConfig) -> Loop:
    loop = Loop(nodes, seed, loss=loss, config=config)
    loop.start(loop.peers)
    loop.run(SETTLE_S)
    return loop


def _load(loop: Loop, action: Callable[[], object]) -> Load:
    """What is sent during `action`, per member and second."""
    before = {peer.node: (peer.messages, peer.bytes) for peer in loop.peers}
    began = loop.now
    action()
    seconds = loop.now - began
    sent = [
        ((peer.messages - messages) / seconds, (peer.bytes - octets) / seconds)
        for peer in loop.peers
        for messages, octets in (before[peer.node],)
    ]
    messages, octets = zip(*sent, strict=True)
    return Load(statistics.fmean(messages), statistics.fmean(octets), max(messages), max(octets))


def _one_death(loop: Loop, victim: Peer, *, machine: bool) -> tuple[Death, Load]:
    """Kill `victim`, wait until all know, start it again, wait until all know that too."""
    at = loop.now
    loop.changes.clear()
    loop.kill(victim, machine=machine)

    def seen() -> list[float]:
        return _first_seen(loop, victim, Liveness.DEAD)

    def wait() -> None:
        others = len(loop.running())
        if not loop.run(GIVE_UP_S, until=lambda: _all_think(loop, victim, Liveness.DEAD)):
            raise Failed(f"{others - len(seen())} of {others} members do not know of a death after {GIVE_UP_S:g} s")

    load = _load(loop, wait)
    suspected = min(change.at for change in loop.changes if change.effect.node == victim.node)
    dead = seen()
    loop.run(SLACK_S)
    restarted = loop.now
    loop.changes.clear()
    loop.start([victim])
    if not loop.run(RETURN_S, until=lambda: _all_think(loop, victim, Liveness.ALIVE)):
        raise Failed(f"not all members know of a return after {RETURN_S:g} s")
    returned = max(_first_seen(loop, victim, Liveness.ALIVE))
    loop.run(SETTLE_S)
    return Death(machine, suspected - at, min(dead) - at, max(dead) - at, returned - restarted), load


def _all_think(loop: Loop, victim: Peer, liveness: Liveness) -> bool:
    node = victim.node
    return all(peer.swim.liveness(node) is liveness for peer in loop.peers if peer.swim is not None and peer != victim)


def _first_seen(loop: Loop, victim: Peer, liveness: Liveness) -> list[float]:
    """When each member first thought so."""
    first: dict[str, float] = {}
    for change in loop.changes:
        if change.effect.node == victim.node and change.effect.after is liveness:
            first.setdefault(change.observer, change.at)
    return list(first.values())
