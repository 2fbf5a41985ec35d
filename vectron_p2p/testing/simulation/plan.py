"""What a run depends on, drawn from its seed before it begins: the cluster, its clients, the network, the faults.

A fault is an `Action`: it begins at its time, lasts, and ends by itself, on hosts named beforehand. So any subset of
the actions is a plan too, and the others keep their times and hosts in it.

Invariant: all that destroys what a disk holds falls on one host of a plan, the victim, and it is a minority of every
shard's owners and of the voters: what is lost beyond that nothing promises to survive.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vectron_p2p.testing.simulation.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.testing.simulation.scenarios import Scenario

CALM_END = 2.0  # seconds before the end in which no action begins: too short to do anything


@dataclass(frozen=True, slots=True)
class Action:
    """One fault: what, when (seconds from the beginning of the workload), where, for how long."""

    at: float
    kind: str
    hosts: tuple[str, ...] = ()
    lasts: float = 0.0
    value: float = 0.0

    def __str__(self) -> str:
        where = ",".join(self.hosts)
        value = f" ({self.value:+g})" if self.value else ""
        return f"{self.at:7.3f} {self.kind} {where}{value} for {self.lasts:.2f} s"


@dataclass(frozen=True, slots=True)
class Shape:
    """The cluster of a plan, as far as faults are drawn from it."""

    hosts: tuple[str, ...]
    victim: str
    """The host whose disk may be destroyed."""
    astray: str
    """The host whose clock may go far wrong."""
    durability: str


@dataclass(frozen=True, slots=True)
class Clients:
    plain: int
    linear: int
    churn: int
    ones: int
    fresh: int


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    scenario: str
    seconds: float
    shape: Shape
    zones: tuple[str, ...]
    shards: int
    short_floors: bool
    """Tombstones are collected after seconds: otherwise no run is long enough for it."""
    loss: float
    streams_lose: bool
    duplication: float
    delay: tuple[float, float]
    clients: Clients
    actions: tuple[Action, ...]
    kept: tuple[int, ...] | None = None
    """The actions that are done, by number; None: all."""

    @property
    def rules(self) -> Scenario:
        return SCENARIOS[self.scenario]

    @property
    def chosen(self) -> list[tuple[int, Action]]:
        numbered = enumerate(self.actions)
        return [(i, action) for i, action in numbered if self.kept is None or i in self.kept]

    def keep(self, numbers: Iterable[int] | None) -> Plan:
        """This plan with those actions alone."""
        return self if numbers is None else replace(self, kept=tuple(sorted(set(numbers))))


def draw(seed: int, scenario: str, seconds: float) -> Plan:
    """The plan of a seed."""
    from vectron_p2p.testing.simulation.faults import FAULTS

    chosen = SCENARIOS[scenario]
    rng = random.Random(f"{seed} plan")
    count = rng.choice(chosen.hosts)
    hosts = tuple(f"n{number}" for number in range(1, count + 1))
    durability = "interval" if rng.random() < 0.15 else "fsync"
    shape = Shape(hosts, rng.choice(hosts), rng.choice(hosts), chosen.durability or durability)
    zones = rng.choice([(), (), ("a", "b"), ("a", "b", "c")])
    network = "network" in chosen.groups and not chosen.quick
    mean = rng.choice([0.0005, 0.002, 0.02, 0.08])
    mean = min(mean, 0.002) if chosen.quick else mean
    enabled = [fault for fault in FAULTS.values() if fault.group in chosen.groups and rng.random() < 0.5]
    if chosen.kinds:
        enabled = [FAULTS[kind] for kind in sorted(chosen.kinds)]
    actions: list[Action] = []
    pause, at = rng.uniform(*chosen.pause), 0.0
    while enabled:
        at += rng.uniform(0.2, pause)
        if at >= seconds - CALM_END:
            break
        fault = rng.choices(enabled, [each.weight for each in enabled])[0]
        hosts_, lasts, value = fault.draw(rng, shape)
        actions.append(Action(at, fault.kind, hosts_, min(lasts, seconds - at), value))
    return Plan(
        seed=seed,
        scenario=scenario,
        seconds=seconds,
        shape=shape,
        zones=zones,
        shards=rng.choice(chosen.shards),
        short_floors=rng.random() < 0.5 if chosen.short_floors is None else chosen.short_floors,
        loss=rng.choice([0.0, 0.0, 0.02, 0.1, 0.25]) if network else 0.0,
        streams_lose=rng.random() < 0.7,
        duplication=rng.choice([0.0, 0.0, 0.1, 0.5]) if network else 0.0,
        delay=(mean * rng.choice([0.1, 0.5, 1.0]), mean),
        clients=Clients(
            rng.randint(*chosen.plain),
            rng.randint(*chosen.linear),
            rng.randint(*chosen.churn),
            rng.randint(*chosen.ones),
            rng.randint(*chosen.fresh),
        ),
        actions=tuple(actions),
    )
