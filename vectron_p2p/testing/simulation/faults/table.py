"""The table of faults, and how most of them are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from vectron_p2p.testing.simulation.plan import Action, Shape
    from vectron_p2p.testing.simulation.world import World

    Drawn: TypeAlias = tuple[tuple[str, ...], float, float]
    Draw: TypeAlias = Callable[[random.Random, Shape], Drawn]
    Perform: TypeAlias = Callable[[World, Action], Awaitable[None]]


class Fault(NamedTuple):
    kind: str
    group: str
    weight: float
    draw: Draw
    """Hosts, how long it lasts, and a value whose meaning is the fault's own."""
    perform: Perform


FAULTS: dict[str, Fault] = {}


def fault(kind: str, group: str, draw: Draw, *, weight: float = 1.0) -> Callable[[Perform], Perform]:
    def register(perform: Perform) -> Perform:
        FAULTS[kind] = Fault(kind, group, weight, draw, perform)
        return perform

    return register


def anyone(shortest: float, longest: float, values: Sequence[float] = (0.0,)) -> Draw:
    """One host."""
    return lambda rng, shape: ((rng.choice(shape.hosts),), rng.uniform(shortest, longest), rng.choice(values))


def pair(shortest: float, longest: float, values: Sequence[float] = (0.0,)) -> Draw:
    """Two hosts, in an order."""
    return lambda rng, shape: (
        tuple(rng.sample([*shape.hosts, "client"], 2)),
        rng.uniform(shortest, longest),
        rng.choice(values),
    )


def hosts_apart(shortest: float, longest: float, values: Sequence[float]) -> Draw:
    """Two hosts with nodes, in an order."""
    return lambda rng, shape: (tuple(rng.sample(shape.hosts, 2)), rng.uniform(shortest, longest), rng.choice(values))


def some(shortest: float, longest: float) -> Draw:
    """A part of all hosts, in an order; the clients may be in it."""

    def draw(rng: random.Random, shape: Shape) -> Drawn:
        names = [*shape.hosts, "client"]
        return tuple(rng.sample(names, rng.randint(1, len(names) - 1))), rng.uniform(shortest, longest), 0.0

    return draw


def all_hosts(shortest: float, longest: float, values: Sequence[float] = (0.0,)) -> Draw:
    """Every host, in an order."""
    return lambda rng, shape: (
        tuple(rng.sample(shape.hosts, len(shape.hosts))),
        rng.uniform(shortest, longest),
        rng.choice(values),
    )


def victim(shortest: float, longest: float) -> Draw:
    """The host whose disk may be destroyed; the value is a fraction."""
    return lambda rng, shape: ((shape.victim,), rng.uniform(shortest, longest), round(rng.random(), 3))


def astray(shortest: float, longest: float, values: Sequence[float]) -> Draw:
    """The host whose clock may go far wrong."""
    return lambda rng, shape: ((shape.astray,), rng.uniform(shortest, longest), rng.choice(values))
