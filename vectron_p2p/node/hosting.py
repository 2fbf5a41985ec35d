"""A node on this machine: the real clock, threads, network and disk, put together for `main` and `embedded`.

The one place of the node package that reads the system's entropy and counts its cores.
"""

from __future__ import annotations

import os
import random
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.net.outlet import RealOutlet
from vectron_p2p.node.config import Limits, NodeConfig
from vectron_p2p.node.runtime import Runtime
from vectron_p2p.runtime.crew import ThreadCrew
from vectron_p2p.runtime.real import Lane, ProcessUsage, TrioClock, open_executor, usable_cores
from vectron_p2p.storage.folder import LevelDisk
from vectron_p2p.storage.memory import MemoryDisk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.net.interfaces import Network
    from vectron_p2p.storage.kv import Disk

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SWITCH_INTERVAL = 0.001  # seconds a thread may keep the interpreter: the default 5 ms would be felt on the event loop


def machine_boot() -> str:
    """Names the machine's boot: the kernel's own id where it has one, else the time of the boot.

    The time moves with the wall clock, so a clock that was set looks like a restart: replicas then learn in vain.
    """
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"booted-{int(psutil.boot_time())}"


def lanes() -> dict[str, Lane]:
    """Lanes of work and their threads."""
    cores = len(usable_cores())
    return {
        "system": Lane(1),  # catalog, identity and clock mark are one store with one writer, and wait for nothing else
        # Each waits for its shard's fsync most of the time; what they pack in between is Python code, as are the checks
        # of large batches below. They stand back a little for the loops that wait for the interpreter or a core: an
        # import into three nodes on two cores delayed these by 36-66 ms (p99), now 21-25, at 0.95 of the speed.
        "disk": Lane(4, nice=3),
        "read": Lane(2),  # short gets, which must not stand behind an fsync
        "admit": Lane(1, nice=3),  # more threads would not speed it up
        # More than cores would only share them. They stand back for event loops, also those of other nodes on the
        # machine, which need a core for a moment: three nodes on two cores had a lag of 25-40 ms (p99), now 10-22.
        # Apart: on two cores, 100 connections got 5,300 answers a second, and 4,600 where the scheduler placed them.
        "search": Lane(min(cores, 4), nice=5, apart=True),
        "notify": Lane(2),  # a receiver of alerts that hangs keeps one
        # One linking turn at a time, on all cores. It stands back for searches, but by little: a turn has the graph to
        # itself, and searches wait for it (3 more, and 8 searchers beside 1,000 points/s got 0.5 of what they get
        # without, instead of 0.6).
        "index": Lane(1, nice=7),
    }


@contextmanager
def open_runtime(config: NodeConfig, network: Network) -> Iterator[Runtime]:
    """The runtime of one node, with its folder locked. Inside `trio.run`.

    Raises:
        StorageError: The folder is in use, of an unknown format, or cannot be written.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    disk: Disk
    locked: LevelDisk | None = None
    if config.data is None:
        disk = MemoryDisk()
    else:
        disk = locked = LevelDisk(config.data)
        locked.lock()
    try:
        threads = lanes()
        with open_executor(threads) as executor:
            yield Runtime(
                clock=TrioClock(),
                random=random.Random(os.urandom(16)),
                executor=executor,
                network=network,
                disk=disk,
                outlet=RealOutlet(),
                link_threads=ThreadCrew(len(usable_cores())),
                search_threads=threads["search"].threads,
                usage=ProcessUsage(),
                search_on_loop=True,
                machine=machine_boot(),
            )
    finally:
        if locked is not None:
            locked.unlock()


def limits() -> Limits:
    """The limits of production."""
    return Limits(swim=SwimConfig.lan())


def causes(error: BaseException) -> list[BaseException]:
    """What nurseries wrapped into `error`: why a node ended."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [cause for each in error.exceptions for cause in causes(each)]
