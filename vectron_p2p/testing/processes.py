"""`ProcessCluster`: real `vectron node` processes on loopback, in a temporary folder.

    with ProcessCluster(3) as cluster:
        cluster.start()
        with connect(cluster.connect) as db:
            ...
            cluster.kill(2)
            cluster.start_node(2)

Invariants: leaving the block kills every process that it started, and no other, and removes its temporary folder,
whatever happened: an error, Ctrl-C, SIGTERM or SIGHUP. Signal handlers are afterwards what they were. A node keeps its
folder and port over kills and restarts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

T = TypeVar("T")

READY_TIMEOUT = (
    60.0  # a node with 100,000 points that was killed rebuilds a graph before it is fast, not before it is ready
)
STOP_TIMEOUT = 30.0
POLL = 0.02
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessFailed(Exception):
    """A node did not do what was asked of it; the message ends with what it said last."""


@dataclass(slots=True)
class ProcessNode:
    """One node: its folder and port stay, its process comes and goes."""

    index: int
    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    id: str = ""
    name: str = ""
    ready_line: str = ""
    process: subprocess.Popen[bytes] | None = None
    wrap: Sequence[str] = ()
    """Goes before its command: `ip netns exec NAME`, `env NAME=VALUE`; it has to become the node, not its parent."""
    starts: int = 0
    ready_seconds: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ProcessFailed(f"node {self.index} was not started")
        return self.process.pid

    def output(self) -> str:
        """What its last process wrote on stdout."""
        path = self.folder.with_suffix(".out")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def log(self) -> str:
        """What its processes wrote on stderr, all runs."""
        path = self.folder.with_suffix(".err")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)


def _stop_on_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class ProcessCluster:
    """N nodes. Node 0 founds the cluster, the others join through it."""

    def __init__(self, nodes: int, *, arguments: Sequence[str] = (), keep: bool = False) -> None:
        self._arguments = list(arguments)
        self._keep = keep
        self._handlers: dict[signal.Signals, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="vectron-"))
        self.nodes: list[ProcessNode] = []
        for _ in range(nodes):
            self.add_node()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._handlers = {number: signal.getsignal(number) for number in ENDINGS}
            for number in (signal.SIGTERM, signal.SIGHUP):  # SIGINT raises by itself
                signal.signal(number, _stop_on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C while tidying up would leave processes behind.
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        try:
            for node in self.nodes:
                self._kill_group(node)
            self._kill_strays()
            if self._keep:
                sys.stderr.write(f"kept: {self.folder}\n")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}

    def __getitem__(self, index: int) -> ProcessNode:
        return self.nodes[index]

    @property
    def connect(self) -> str:
        """All nodes, for `connect`, dead ones too: the client fails over."""
        return ",".join(node.address for node in self.nodes)

    def others(self, index: int) -> str:
        return ",".join(node.address for node in self.nodes if node.index != index)

    def add_node(self) -> ProcessNode:
        """One more, not started."""
        index = len(self.nodes)
        node = ProcessNode(index, self.folder / f"node-{index}")
        self.nodes.append(node)
        return node

    def start(self) -> None:
        """Start all nodes and wait until each is ready."""
        self.start_node(0)
        for node in self.nodes[1:]:
            self.start_node(node.index, wait=False)
        for node in self.nodes[1:]:
            self.wait_ready(node.index)

    def start_node(self, index: int, *, wait: bool = True, arguments: Sequence[str] = ()) -> float:
        """Start one; seconds until it was ready (0 with `wait` false). `arguments` win over those made here."""
        node = self.nodes[index]
        if node.running:
            raise ProcessFailed(f"node {index} is running")
        program = [*node.wrap, sys.executable, "-m", "vectron_p2p"]
        command = [*program, "node", "--data", str(node.folder), "--name", f"n{index}"]
        command += ["--listen", node.address]
        if index:
            command += ["--join", self.nodes[0].address]
        command += [*self._arguments, *arguments]
        node.starts += 1
        started = time.monotonic()
        with node.folder.with_suffix(".out").open("wb") as out, node.folder.with_suffix(".err").open("ab") as err:
            # Its own process group: Ctrl-C reaches this program alone, which then stops the nodes in order. Not a
            # session: Linux schedules those as units (autogroup), and a node's event loop would wait for its turn
            # behind the search threads of the others: lag p99 130 ms instead of 22 on two busy cores.
            node.process = subprocess.Popen(command, stdout=out, stderr=err, process_group=0)
        if not wait:
            return 0.0
        self.wait_ready(index)
        node.ready_seconds.append(time.monotonic() - started)
        return node.ready_seconds[-1]

    def wait_ready(self, index: int, timeout: float = READY_TIMEOUT) -> None:
        """Wait for the ready line and take identity and port from it."""
        node = self.nodes[index]

        def ready_line() -> str | None:
            if not node.running:
                code = node.process.returncode if node.process is not None else None
                raise ProcessFailed(f"node {index} ended with {code} before it was ready:\n{node.log()[-2000:]}")
            text = node.output()
            return text if text.startswith("ready ") and text.endswith("\n") else None

        node.ready_line = wait_for(ready_line, timeout, f"node {index} to be ready", lambda: node.log()[-2000:])
        fields = dict(word.split("=", 1) for word in node.ready_line.split()[1:])
        node.id, node.name = fields["node"], fields["name"]
        node.port = int(fields["listen"].rpartition(":")[2])

    def kill(self, index: int) -> None:
        """SIGKILL, and wait until the process is gone."""
        node = self.nodes[index]
        if not node.running:
            raise ProcessFailed(f"node {index} is not running; it ended by itself:\n{node.log()[-2000:]}")
        self._kill_group(node)

    def freeze(self, index: int) -> None:
        """SIGSTOP: its sockets stay open and nothing answers, as on a machine that hangs."""
        os.killpg(self.nodes[index].pid, signal.SIGSTOP)

    def thaw(self, index: int) -> None:
        """SIGCONT."""
        os.killpg(self.nodes[index].pid, signal.SIGCONT)

    def stop(self, index: int) -> int:
        """SIGTERM; the exit code."""
        return self._stop([self.nodes[index]])[0]

    def stop_all(self) -> list[int]:
        """SIGTERM to all that were started, at once; their exit codes."""
        return self._stop([node for node in self.nodes if node.process is not None])

    @staticmethod
    def _stop(nodes: list[ProcessNode]) -> list[int]:
        for node in nodes:
            if node.process is None:
                raise ProcessFailed(f"node {node.index} was not started")
            node.process.terminate()  # does nothing to one that has ended
        codes = []
        for node in nodes:
            assert node.process is not None
            try:
                codes.append(node.process.wait(STOP_TIMEOUT))
            except subprocess.TimeoutExpired:
                text = f"node {node.index} did not stop within {STOP_TIMEOUT:.0f} s"
                raise ProcessFailed(f"{text}:\n{node.log()[-2000:]}") from None
        return codes

    @staticmethod
    def _kill_group(node: ProcessNode) -> None:
        if node.process is not None and node.running:  # once it was waited for, its pid may be somebody else's
            # The group: a node may have forked a child for a graph snapshot.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.process.pid, signal.SIGKILL)
            node.process.wait()

    def _kill_strays(self) -> None:
        """What is left: a node whose start was interrupted before we noted its process, a forked child of one that
        ended. The name of our folder in their command line tells them from the processes of others.
        """
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(word.startswith(f"{self.folder}{os.sep}") for word in process.cmdline()):
                    process.kill()


def wait_for(probe: Callable[[], T | None], timeout: float, what: str, detail: Callable[[], object] | None = None) -> T:
    """Poll `probe` until it returns something that is not None.

    Raises:
        ProcessFailed: It did not within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        found = probe()
        if found is not None:
            return found
        if time.monotonic() > end:
            more = f":\n{detail()}" if detail is not None else ""
            raise ProcessFailed(f"waited {timeout:.0f} s in vain for {what}{more}")
        time.sleep(POLL)
