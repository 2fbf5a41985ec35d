"""All that a node is handed: time, randomness, threads, network, disk and the way out of the cluster."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from vectron_p2p.net.interfaces import Network
    from vectron_p2p.net.outlet import Outlet
    from vectron_p2p.runtime import Clock, CountedExecutor, Crew, Usage
    from vectron_p2p.storage.kv import Disk


@dataclass(frozen=True, slots=True)
class Runtime:
    clock: Clock
    random: random.Random
    """Seeded from the system's entropy in production, from the scenario's seed in simulation."""
    executor: CountedExecutor
    network: Network
    disk: Disk
    outlet: Outlet
    link_threads: Crew
    """Threads of one linking turn: all cores in production, 1 where runs must be repeatable."""
    search_threads: int
    """Of the executor's "search" lane: batches that it searches at once."""
    usage: Usage
    search_on_loop: bool = False
    """Whether the loop may answer a lone caller's small queries; simulations keep the races of loop and threads."""
    machine: str = ""
    """Names this boot of the machine: another one next time means that what was not on disk is lost."""


def new_uuid(rng: random.Random) -> str:
    """A random (version 4) UUID in text form."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
