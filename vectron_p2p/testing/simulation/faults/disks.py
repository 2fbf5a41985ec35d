"""Faults of disks: failed writes, no space, bits that flip, disks that are empty or old when the machine comes back.

What destroys data falls on the plan's victim alone (`plan`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.node.node import SYSTEM
from vectron_p2p.node.replica import KV_PREFIX
from vectron_p2p.testing.simulation.faults.table import all_hosts, anyone, fault, victim
from vectron_p2p.testing.simulation.world import AFTERMATH, Doubt

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.cluster import Host
    from vectron_p2p.testing.simulation.plan import Action
    from vectron_p2p.testing.simulation.world import World

NEARLY_FULL = 1 << 20  # bytes: less than nodes keep free, and enough for all that a run writes
DOWN = 0.5  # seconds between the death of a process and its next start


@fault("write-errors", "disk", anyone(0.0, 0.0, (1.0, 2.0, 4.0)))
async def write_errors(world: World, action: Action) -> None:
    """The next `value` writes fail. A node whose catalog cannot be written ends, and is started again."""
    (name,) = action.hosts
    world.excuse(name, AFTERMATH)
    world.host(name).disk.fail_writes(int(action.value))


@fault("failed writes", "failed writes", anyone(0.0, 0.0, (1.0, 1.0, 2.0, 3.0)))
async def failed_writes(world: World, action: Action) -> None:
    """The next `value` writes of each replica on a host fail; its own records are well, so the process lives on."""
    (name,) = action.hosts
    disk = world.host(name).disk
    for store in disk.names(KV_PREFIX):
        disk.fail_writes(int(action.value), name=store)


@fault("disk-full", "disk", anyone(0.5, 15.0))
async def disk_full(world: World, action: Action) -> None:
    (name,) = action.hosts
    disk = world.host(name).disk
    world.excuse(name, action.lasts + AFTERMATH)
    disk.set_free(0)
    await trio.sleep(action.lasts)
    disk.set_free(disk.total_bytes())


@fault("no room", "forgotten", all_hosts(1.2, 2.5))
async def no_room(world: World, action: Action) -> None:
    """All disks are nearly full, as they are where all nodes hold the same: writes are refused, and none fails."""
    disks = [world.host(name).disk for name in action.hosts]
    for disk in disks:
        disk.set_free(NEARLY_FULL)
    await trio.sleep(action.lasts)
    for disk in disks:
        disk.set_free(disk.total_bytes())


@fault("slow-disk", "disk", anyone(1.0, 15.0, (10.0, 100.0)))
async def slow_disk(world: World, action: Action) -> None:
    """All that a process does off its loop takes `value` times as long."""
    (name,) = action.hosts
    executor = world.host(name).executor
    if executor is not None:
        executor.slow = action.value
        await trio.sleep(action.lasts)
        executor.slow = 1.0


@fault("bit-flip", "disk", victim(0.0, 0.0))
async def bit_flip(world: World, action: Action) -> None:
    """One pair of some store rots. Where it is the node's own records, the node is lost once it looks at them."""
    (name,) = action.hosts
    disk = world.host(name).disk
    names = disk.names()
    if not world.may_destroy() or not names:
        return
    store = names[min(int(action.value * len(names)), len(names) - 1)]
    key = disk.flip_bit(store)
    world.note(f"{name}: {store} is damaged at {key!r}")
    if store == SYSTEM:
        world.excuse(name, AFTERMATH)
        world.doubted[name] = Doubt("its own records are damaged", certain=False)
        with world.kept_down(name):
            world.cluster.kill(name)
            await trio.sleep(DOWN)


@fault("empty-disk", "disk", victim(0.5, 10.0), weight=0.5)
async def empty_disk(world: World, action: Action) -> None:
    """The machine is set up anew: its node is lost, and another one joins."""
    (name,) = action.hosts
    if not world.may_destroy():
        return
    with world.kept_down(name):
        world.cluster.kill(name, power=True)
        world.reinstall(name)
        await trio.sleep(action.lasts)


@fault("old-disk", "disk", victim(4.0, 20.0), weight=0.7)
async def old_disk(world: World, action: Action) -> None:
    """The disk is restored from a copy `lasts` seconds old. Its peers have to turn that node away: it has forgotten
    what it acknowledged since. (If a majority of them has heard of it since; what nobody knows nobody can tell.)
    """
    (name,) = action.hosts
    host = world.host(name)
    node = _running(host)
    if not world.may_destroy() or node is None:
        return
    counter, image = world.cluster.node(name).identity.counter, host.disk.image()
    await trio.sleep(action.lasts)
    others = [other.node for other in world.cluster.up if other is not host]
    known = [other.identity._peers.get(node, {}).get("counter", 0) for other in others if other is not None]
    witnesses = sum(each > counter + 1 for each in known)
    if not world.may_destroy() or _running(host) != node or 2 * witnesses <= len(world.cluster.hosts):
        return
    with world.kept_down(name):
        world.cluster.kill(name, power=True)
        host.disk.restore(image)
        world.doubted[name] = Doubt(f"its disk is of {action.lasts:.1f} s ago", certain=True)
        world.note(f"{name} comes back with its disk of {action.lasts:.1f} s ago")
        await trio.sleep(DOWN)


def _running(host: Host) -> NodeId | None:
    """The node that serves on `host`."""
    return host.node.identity.node if host.up and host.node is not None else None
