"""The network between the nodes of a nemesis, as the program that runs it sees it.

A fabric says how each node is started so that its traffic runs through the carrier, and passes faults on to it.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulations.nemesis.control import Remote
from simulations.nemesis.links import to_wire
from simulations.nemesis.switch import TUN, namespace, network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulations.nemesis.links import Links, Pair

FIRST_PORT = 10_000  # below it are the services that a machine may run
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
ATTEMPTS = 1000
PORT = 7700  # of every node in a namespace: the default


class Fabric:
    """One network for `nodes` nodes."""

    kind: str

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def host(self, index: int) -> str:
        """Where others reach node `index`."""
        raise NotImplementedError

    def arguments(self, index: int) -> list[str]:
        """Options of `vectron node` that make its traffic run through here."""
        raise NotImplementedError

    def wrap(self, index: int) -> list[str]:
        """What to put before the command of node `index`."""
        raise NotImplementedError

    def relink(self, links: Links) -> None:
        """These faults and no others."""
        self._remote.ask(do="links", links=to_wire(links))

    def reset(self, pairs: Sequence[Pair]) -> None:
        self._remote.ask(do="reset", pairs=list(pairs))

    def know(self, index: int, node: str) -> None:
        self._remote.ask(do="know", index=index, node=node)

    def down(self, index: int) -> None:
        self._remote.ask(do="down", index=index)

    def up(self, index: int) -> None:
        self._remote.ask(do="up", index=index)

    def figures(self) -> dict[str, Any]:
        return self._remote.ask(do="figures")

    def close(self) -> None:
        self._remote.close()


class ProxyFabric(Fabric):
    """A proxy in front of each node; no privileges needed."""

    kind = "proxy"

    def __init__(self, nodes: int, seed: int) -> None:
        ports = free_ports(2 * nodes)
        self._fronts, self._backs = ports[:nodes], ports[nodes:]
        lists = [",".join(map(str, each)) for each in (self._fronts, self._backs)]
        super().__init__(Remote([sys.executable, "-m", "simulations.nemesis.proxy", *lists, str(seed)]))

    def host(self, index: int) -> str:
        return "127.0.0.1"

    def arguments(self, index: int) -> list[str]:
        return ["--listen", f"127.0.0.1:{self._backs[index]}", "--advertise", f"127.0.0.1:{self._fronts[index]}"]

    def wrap(self, index: int) -> list[str]:
        return []


class SwitchFabric(Fabric):
    """A network namespace per node (root, Linux)."""

    kind = "netns"

    def __init__(self, nodes: int, seed: int) -> None:
        super().__init__(Remote([sys.executable, "-m", "simulations.nemesis.switch", str(nodes), str(seed)]))
        self._pid = int(self._remote.ready["pid"])

    @staticmethod
    def why_not() -> str:
        """Why it cannot be done here; empty: it can."""
        if os.geteuid():
            return "only root may make network namespaces"
        if shutil.which("ip") is None:
            return "there is no `ip` (iproute2)"
        if not TUN.exists():
            return f"there is no {TUN}"
        name = namespace(os.getpid(), 0)
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
        if made.returncode:
            return f"no network namespace can be made: {made.stderr.strip()}"
        subprocess.run(["ip", "netns", "del", name], check=True)
        return ""

    def host(self, index: int) -> str:
        return f"{network_of(self._pid)}.{index + 1}"

    def arguments(self, index: int) -> list[str]:
        return ["--listen", f"{self.host(index)}:{PORT}", "--insecure"]

    def wrap(self, index: int) -> list[str]:
        return ["ip", "netns", "exec", namespace(self._pid, index)]


def free_ports(count: int) -> list[int]:
    """Ports free for TCP and UDP, outside the range that outgoing connections draw from: none of those can take the
    port of a node while it is down."""
    last = int(EPHEMERAL.read_text(encoding="ascii").split()[0]) if EPHEMERAL.exists() else 32_768
    rng = random.Random()  # two programs at once should not try the same ports
    found: list[int] = []
    for _ in range(ATTEMPTS):
        port = rng.randrange(FIRST_PORT, last)
        if port not in found and _is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError(f"no {count} free ports between {FIRST_PORT} and {last}")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
