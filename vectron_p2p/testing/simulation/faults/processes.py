"""Faults of processes: killed, without power, stopped, frozen, all at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio

from vectron_p2p.testing.simulation.faults.table import all_hosts, anyone, fault

if TYPE_CHECKING:
    from vectron_p2p.testing.simulation.plan import Action
    from vectron_p2p.testing.simulation.world import World

LOOK = 0.1  # virtual seconds
STOP_WITHIN = 30.0  # virtual seconds that an orderly stop may take: what supervisors wait for before they kill


@fault("kill", "process", anyone(0.3, 15.0), weight=2.0)
async def kill(world: World, action: Action) -> None:
    """SIGKILL, and a restart later."""
    (name,) = action.hosts
    with world.kept_down(name):
        world.cluster.kill(name)
        await trio.sleep(action.lasts)


@fault("kill-briefly", "narrow", anyone(0.05, 0.2))
async def kill_briefly(world: World, action: Action) -> None:
    """As `kill`, but the others have not missed it when it is back."""
    await kill(world, action)


@fault("power", "process", anyone(0.5, 15.0), weight=1.5)
async def power(world: World, action: Action) -> None:
    """The machine goes, and takes along what was not synced."""
    (name,) = action.hosts
    with world.kept_down(name):
        world.cluster.kill(name, power=world.may_lose_power(name))
        await trio.sleep(action.lasts)


@fault("stop", "process", anyone(0.3, 10.0))
async def stop(world: World, action: Action) -> None:
    """SIGTERM; a process that does not serve yet ends at once."""
    (name,) = action.hosts
    host, left = world.host(name), STOP_WITHIN
    with world.kept_down(name):
        if not host.up:
            world.cluster.kill(name)
        node = host.node
        if node is not None:
            node.stop()
        while node is not None and host.node is node and left > 0:
            await trio.sleep(LOOK)
            left -= 0.0 if world.is_frozen(name) else LOOK
        if left <= 0:
            world.violated("L1", f"{name} did not stop within {STOP_WITHIN:g} s")
        await trio.sleep(action.lasts)


@fault("freeze", "process", anyone(0.1, 20.0), weight=1.5)
async def freeze(world: World, action: Action) -> None:
    """SIGSTOP, SIGCONT: time goes on without the process."""
    (name,) = action.hosts
    with world.frozen(name):
        await trio.sleep(action.lasts)


@fault("freeze-all", "process", all_hosts(0.1, 8.0), weight=0.4)
async def freeze_all(world: World, action: Action) -> None:
    """A virtual machine host that is suspended."""
    with ExitStack() as stack:
        for name in action.hosts:
            stack.enter_context(world.frozen(name))
        await trio.sleep(action.lasts)


@fault("mass-restart", "process", all_hosts(0.3, 4.0), weight=0.6)
async def mass_restart(world: World, action: Action) -> None:
    """All machines lose power, or (what survives less there) all processes are killed."""
    power = all(world.may_lose_power(name) for name in action.hosts)
    with ExitStack() as stack:
        for name in action.hosts:
            stack.enter_context(world.kept_down(name))
            world.cluster.kill(name, power=power)
        await trio.sleep(action.lasts)
