"""What administrators do in the middle of it all. Steps that last end by themselves, as all actions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.testing.simulation.faults.table import fault

if TYPE_CHECKING:
    import random

    from vectron_p2p.testing.simulation.plan import Action, Shape
    from vectron_p2p.testing.simulation.world import World

NEWCOMERS = ("j1", "j2")  # more would cost much and show little


def _newcomer(rng: random.Random, shape: Shape) -> tuple[tuple[str, ...], float, float]:
    return (rng.choice(NEWCOMERS),), 0.0, 0.0


@fault("join", "admin", _newcomer, weight=0.7)
async def join(world: World, action: Action) -> None:
    """A new node joins; its supervisor starts it."""
    (name,) = action.hosts
    if name not in world.cluster.hosts:
        zones = world.plan.zones or ("default",)
        zone = zones[len(world.cluster.hosts) % len(zones)]
        host = world.cluster.add_host(name, zone=zone, durability=world.plan.shape.durability)
        await world.cluster.start(host.name, join=[other.address for other in world.cluster.hosts.values()], wait=False)
