"""Running `vectron` as a process, and looking at a cluster of processes until it is as it should be."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vectron_p2p import Client, connect
from vectron_p2p.errors import VectronError
from vectron_p2p.testing.processes import ProcessCluster, wait_for

PROGRAM = (sys.executable, "-m", "vectron_p2p")
DIMENSION = 8
PATIENCE = 60.0  # seconds for what takes two on an idle machine
READY = re.compile(
    r"ready node=[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12} name=(\S+) listen=([\d.]+:\d+) http=-\n"
)


def vectron(*words: object, stdin: str = "", timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """`vectron WORDS`, to its end."""
    command = [*PROGRAM, *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


class Running:
    """A `vectron` process whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str], err: Path) -> None:
        self.process = process
        self._err = err

    def line(self) -> str:
        """The next line on stdout; "" when it ended without one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def wait_err(self, text: str) -> None:
        wait_for(lambda: text in self.err or None, PATIENCE, f"{text!r} on stderr", lambda: self.err)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code after a signal, and what was left on stdout."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


@contextmanager
def running(folder: Path, *words: object) -> Iterator[Running]:
    """`vectron WORDS` in the background; killed at the end of the block."""
    err = folder / f"stderr-{time.monotonic_ns()}"
    with err.open("w") as file:
        process = subprocess.Popen([*PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=file, text=True)
    try:
        yield Running(process, err)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def node(folder: Path, data: Path, *words: object) -> Iterator[tuple[Running, str]]:
    """A ready node on a free port, and its address."""
    with running(folder, "node", "--data", data, "--listen", "127.0.0.1:0", *words) as process:
        match = READY.fullmatch(process.line())
        assert match, process.err
        yield process, match[2]


def free_port() -> int:
    """A port that is free for TCP and UDP now."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as packets:
        stream.bind(("127.0.0.1", 0))
        packets.bind(stream.getsockname())
        return int(stream.getsockname()[1])


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def roots(db: Client, name: str) -> list[set[str]]:
    """Per shard, the different Merkle roots of its replicas."""
    return [{each.merkle_root for each in shard.replicas} for shard in db.cluster().shards if shard.collection == name]


def wait_equal(db: Client, name: str) -> None:
    """Until every replica of every shard has the same rows."""

    def equal() -> bool | None:
        found = roots(db, name)
        return True if found and all(len(each) == 1 and "" not in each for each in found) else None

    wait_for(equal, PATIENCE, "equal replicas", lambda: roots(db, name))


def everybody_alive(address: str, count: int) -> bool | None:
    """Whether the node at `address` knows `count` members, all active and alive."""
    try:
        with connect(address, timeout=2.0) as db:
            nodes = db.cluster().nodes
    except VectronError:
        return None
    return True if len(nodes) == count and {(n.state, n.liveness) for n in nodes} == {("active", "alive")} else None


def wait_healthy(cluster: ProcessCluster) -> None:
    """Until every node sees every other one alive."""
    for each in cluster.nodes:
        count = len(cluster.nodes)
        wait_for(
            lambda: everybody_alive(each.address, count),  # noqa: B023  # called before the loop goes on
            PATIENCE,
            f"{each.name} to see all alive",
            lambda: each.log()[-2000:],  # noqa: B023
        )


def nodes_of(address: str) -> dict[str, Any]:
    """Members by name, as the node at `address` sees them."""
    with connect(address) as db:
        return {each.name: each for each in db.cluster().nodes}
