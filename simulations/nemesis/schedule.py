"""Which faults happen, in which order, for how long: a function of the seed.

A step is one fault or two at once, then everything is healed, then a rest. In each era the kinds are drawn that are on
(swarm): runs with few kinds reach states that a run with all of them rarely does. A share of the steps takes a
majority of the nodes away, for seconds: availability may end then, safety may not.

How a fault acts is not decided here; `links_of` only says what it does to the network.
"""

from __future__ import annotations

import enum
import math
import random
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

from simulations.nemesis.links import CLIENTS, CUT, Link, Links

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STEPS_PER_ERA = 8  # some two minutes: long enough for kinds to meet, and a run of 30 minutes sees a dozen swarms
KIND_IS_ON = 0.6  # of the kinds in an era
HEAVY_SHARE = 0.12  # of the steps
SECOND_SHARE = 0.25  # of the light steps: with a degraded network, or another fault on the same node
REST_S = (2.0, 7.0)  # after healing; membership needs a few seconds to see everybody again, some steps come earlier
HEAVY_S = (2.0, 8.0)


class Kind(enum.StrEnum):
    """Of a fault. The node's neighbours see most of them as "it does not answer", each in another way."""

    KILL = "kill"
    """SIGKILL; started again at the end."""
    PAUSE = "pause"
    """SIGSTOP, SIGCONT."""
    CUT_OFF = "cut-off"
    """Nothing in or out, clients included."""
    CUT_FROM_PEERS = "cut-from-peers"
    """As above, but clients still reach it: it must not answer what it cannot know."""
    DEAF = "deaf"
    """What peers send does not arrive."""
    MUTE = "mute"
    """What it sends to peers does not arrive."""
    LINK_DOWN = "link-down"
    """One pair of nodes, both ways."""
    LINK_ONE_WAY = "link-one-way"
    """One pair of nodes, one way."""
    NO_PACKETS = "no-packets"
    """No UDP with peers; TCP is sound."""
    NO_STREAMS = "no-streams"
    """TCP with peers stalls; UDP is sound: a node that looks alive and is of no use."""
    SLOW = "slow"
    """All that it sends and gets is late."""
    FLAP = "flap"
    """Cut off and back, each second."""
    RESETS = "resets"
    """All its TCP connections are reset, twice a second."""
    LOSSY = "lossy"
    """All nodes: packets are lost, doubled, delayed, reordered."""
    SLOW_DISK = "slow-disk"
    """Few operations a second on its disk; only where that can be done."""
    CLOCK = "clock"
    """Its wall clock is set off; only where that can be done."""
    HALVES = "halves"
    """A minority of two or more nodes without the others; clients reach all."""
    BRIDGE = "bridge"
    """Two halves that see only one node in common."""
    SHATTER = "shatter"
    """No node sees another."""
    KILL_MANY = "kill-many"
    PAUSE_MANY = "pause-many"
    KILL_ALL = "kill-all"


HEAVY = frozenset({Kind.HALVES, Kind.BRIDGE, Kind.SHATTER, Kind.KILL_MANY, Kind.PAUSE_MANY, Kind.KILL_ALL})
"""More than one node is away."""
SPECIAL = frozenset({Kind.SLOW_DISK, Kind.CLOCK})
"""Not possible everywhere."""
PROCESS = frozenset({Kind.KILL, Kind.KILL_MANY, Kind.KILL_ALL})
PAUSING = frozenset({Kind.PAUSE, Kind.PAUSE_MANY})
LASTS_S: dict[Kind, tuple[float, float]] = {
    Kind.PAUSE: (1.0, 20.0),  # from below what membership notices to well above
    Kind.KILL: (0.5, 10.0),
}
LASTS_ELSE_S = (3.0, 12.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """`nodes`: those it is done to; of a pair the first is the one that sends. `strength` is 0 to 1, or an offset."""

    kind: Kind
    nodes: tuple[int, ...]
    strength: float = 0.0

    @property
    def away(self) -> frozenset[int]:
        """The nodes that count as down or cut off while it lasts."""
        if self.kind is Kind.LOSSY:
            return frozenset()
        if self.kind in (Kind.LINK_DOWN, Kind.LINK_ONE_WAY):
            return frozenset(self.nodes[:1])
        return frozenset(self.nodes)

    def __str__(self) -> str:
        offset = f"{self.strength:+.3g}s" if self.kind is Kind.CLOCK else ""
        return " ".join(word for word in (self.kind, ",".join(f"n{node}" for node in self.nodes), offset) if word)


@dataclass(frozen=True, slots=True)
class Step:
    faults: tuple[Fault, ...]
    seconds: float
    rest: float

    @property
    def away(self) -> frozenset[int]:
        return frozenset().union(*(fault.away for fault in self.faults))


def steps(
    seed: int, nodes: int, kinds: Sequence[Kind] | None = None, *, special: Sequence[Kind] = ()
) -> Iterator[Step]:
    """Steps without end.

    Args:
        kinds: Only these, all of them on; None: swarm.
        special: Which of `SPECIAL` can be done here.
    """
    rng = random.Random(f"nemesis {seed}")
    while True:
        on = [kind for kind in Kind if rng.random() < KIND_IS_ON]
        era = on if kinds is None else list(kinds)
        light = [kind for kind in era if kind not in HEAVY]
        heavy = [kind for kind in era if kind in HEAVY and (nodes >= 5 or kind is not Kind.BRIDGE)]
        others = [*light, Kind.LOSSY] if kinds is None else light
        for _ in range(STEPS_PER_ERA):
            step = _step(rng, nodes, light, others, heavy)
            yield replace(step, faults=tuple(_possible(fault, special) for fault in step.faults))


def _possible(fault: Fault, special: Sequence[Kind]) -> Fault:
    """What cannot be done here becomes a kill, so that a seed means the same schedule otherwise on every machine."""
    return replace(fault, kind=Kind.KILL) if fault.kind in SPECIAL and fault.kind not in special else fault


def _step(rng: random.Random, nodes: int, light: list[Kind], others: list[Kind], heavy: list[Kind]) -> Step:
    rest = rng.uniform(*REST_S)
    if heavy and (not light or rng.random() < HEAVY_SHARE):
        return Step((_fault(rng, rng.choice(heavy), nodes),), rng.uniform(*HEAVY_S), rest)
    first = _fault(rng, rng.choice(light or [Kind.KILL]), nodes)
    seconds = rng.uniform(*LASTS_S.get(first.kind, LASTS_ELSE_S))
    if not others or rng.random() >= SECOND_SHARE:
        return Step((first,), seconds, rest)
    second = _fault(rng, rng.choice(others), nodes)
    if second.away and first.away and second.kind is not first.kind:
        # On the same node: two nodes away for long would be a majority of some shard's owners.
        second = Fault(
            second.kind, (*sorted(first.away), *_others(rng, nodes, first.away))[: len(second.nodes)], second.strength
        )
    return Step((first,) if second.kind is first.kind else (first, second), seconds, rest)


def _others(rng: random.Random, nodes: int, without: frozenset[int]) -> list[int]:
    found = [node for node in range(nodes) if node not in without]
    rng.shuffle(found)
    return found


def _fault(rng: random.Random, kind: Kind, nodes: int) -> Fault:
    order = list(range(nodes))
    rng.shuffle(order)
    majority = nodes // 2 + 1
    strength = rng.random()
    match kind:
        case Kind.LOSSY:
            return Fault(kind, (), strength)
        case Kind.LINK_DOWN | Kind.LINK_ONE_WAY:
            return Fault(kind, tuple(order[:2]), strength)
        case Kind.HALVES:
            return Fault(kind, tuple(sorted(order[: max(1, nodes - majority)])), strength)
        case Kind.BRIDGE:  # the last one sees both sides
            return Fault(kind, tuple(order), strength)
        case Kind.KILL_MANY | Kind.PAUSE_MANY:
            return Fault(kind, tuple(sorted(order[:majority])), strength)
        case Kind.SHATTER | Kind.KILL_ALL:
            return Fault(kind, tuple(range(nodes)), strength)
        case Kind.CLOCK:  # from what is within bounds to hours, either way
            return Fault(kind, tuple(order[:1]), rng.choice([-1, 1]) * 10 ** (strength * 4 - 1))
        case _:
            return Fault(kind, tuple(order[:1]), strength)


def links_of(fault: Fault, nodes: int) -> Links:
    """What `fault` does to the network; of one that comes and goes, what it does while it is there."""
    every = range(nodes)
    match fault.kind:
        case Kind.CUT_OFF | Kind.FLAP:
            return _around(fault.nodes[0], [*every, CLIENTS], CUT, CUT)
        case Kind.CUT_FROM_PEERS:
            return _around(fault.nodes[0], every, CUT, CUT)
        case Kind.DEAF:
            return _around(fault.nodes[0], every, CUT, None)
        case Kind.MUTE:
            return _around(fault.nodes[0], every, None, CUT)
        case Kind.LINK_DOWN:
            first, second = fault.nodes
            return {(first, second): CUT, (second, first): CUT}
        case Kind.LINK_ONE_WAY:
            first, second = fault.nodes
            return {(first, second): CUT}
        case Kind.NO_PACKETS:
            link = Link(udp=False)
            return _around(fault.nodes[0], every, link, link)
        case Kind.NO_STREAMS:
            link = Link(tcp=False)
            return _around(fault.nodes[0], every, link, link)
        case Kind.SLOW:  # up to a quarter second each way: below every timeout, above every wait for a hedge
            link = Link(delay=0.01 + 0.24 * fault.strength, jitter=0.05)
            return _around(fault.nodes[0], [*every, CLIENTS], link, link)
        case Kind.LOSSY:
            link = Link(loss=0.1 + 0.3 * fault.strength, duplicate=0.1, delay=0.001, jitter=0.1 * fault.strength)
            return dict.fromkeys(permutations(every, 2), link)
        case Kind.HALVES:
            return _between(fault.nodes, [node for node in every if node not in fault.nodes])
        case Kind.BRIDGE:
            half = math.ceil((len(fault.nodes) - 1) / 2)
            return _between(fault.nodes[:half], fault.nodes[half:-1])
        case Kind.SHATTER:
            return _between(every, every)
        case _:
            return {}


def _around(node: int, others: Sequence[int], inward: Link | None, outward: Link | None) -> Links:
    links: Links = {}
    for other in others:
        if other != node:
            if inward is not None:
                links[other, node] = inward
            if outward is not None:
                links[node, other] = outward
    return links


def _between(left: Sequence[int], right: Sequence[int]) -> Links:
    pairs = [(first, second) for first in left for second in right if first != second]
    return {pair: CUT for first, second in pairs for pair in ((first, second), (second, first))}
