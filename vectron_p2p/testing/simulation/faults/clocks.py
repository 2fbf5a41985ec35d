"""Faults of wall clocks: steps, far steps of one host, and steps back while a process is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.testing.simulation.faults.table import anyone, astray, fault

if TYPE_CHECKING:
    from vectron_p2p.testing.simulation.plan import Action
    from vectron_p2p.testing.simulation.world import World

DOWN = 1.0  # seconds that a process is down while its clock is set back


async def _off(world: World, name: str, seconds: float, lasts: float) -> None:
    clock = world.host(name).clock
    clock.wall_offset += seconds
    await trio.sleep(lasts)
    clock.wall_offset -= seconds


@fault("clock-step", "clock", anyone(2.0, 25.0, (-2.0, -0.2, 0.2, 2.0)), weight=1.5)
async def clock_step(world: World, action: Action) -> None:
    await _off(world, action.hosts[0], action.value, action.lasts)


@fault("clock-astray", "clock", astray(2.0, 25.0, (-300.0, 300.0)))
async def clock_astray(world: World, action: Action) -> None:
    await _off(world, action.hosts[0], action.value, action.lasts)


@fault("clock-back", "clock", astray(2.0, 25.0, (-0.2, -2.0, -300.0)))
async def clock_back(world: World, action: Action) -> None:
    """The process comes back in its own past."""
    (name,) = action.hosts
    with world.kept_down(name):
        world.cluster.kill(name)
        await trio.sleep(DOWN)
    await _off(world, name, action.value, action.lasts)
