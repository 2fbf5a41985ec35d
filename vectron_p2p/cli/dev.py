"""`vectron dev`: a local cluster of several node processes, for trying things out.

Invariant: whatever ends this process, its nodes end too.
"""

from __future__ import annotations

import ctypes
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vectron_p2p.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

PROGRAM = (sys.executable, "-m", "vectron_p2p")
BASE_PORT = 7700  # so that `vectron status` finds the first node without --connect
STOP_S = 15.0  # a node drains for 5 s, then flushes; after this it hangs and is killed
PR_SET_PDEATHSIG = 1  # linux/prctl.h
READY = re.compile(r"ready node=\S+ name=(?P<name>\S+) listen=(?P<listen>\S+) ")


class Stop(Exception):
    """SIGINT or SIGTERM arrived."""


def _die_with_parent() -> None:
    """In the child: end when the parent dies, however it dies (Linux only; elsewhere its SIGKILL leaves nodes)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Nodes:
    """The processes, and the lines they print."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        """(name, line of stdout), None at its end."""

    def start(self, name: str, data: Path, listen: str, join: Sequence[str]) -> None:
        command = [*PROGRAM, "node", "--data", str(data), "--listen", listen, "--name", name]
        for address in join:
            command += ["--join", address]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C reaches us alone, and we pass it on once. No session of its own: see `testing.processes`.
            process_group=0,
            preexec_fn=_die_with_parent,
        )
        self.running[name] = process
        threading.Thread(target=self._read, args=(name, process), daemon=True).start()

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.lines.put((name, line.rstrip("\n")))
        self.lines.put((name, None))

    def ready(self, wanted: set[str]) -> dict[str, str]:
        """Waits for the ready lines of `wanted`, printing them; name -> address.

        Raises:
            click.ClickException: One of them ended first.
        """
        found: dict[str, str] = {}
        while wanted - found.keys():
            name, line = self.lines.get()
            if line is None:
                code = self.running.pop(name).wait()
                raise click.ClickException(f"{name} ended with exit code {code} before it was ready")
            output.text(line)
            match = READY.match(line)
            if match:
                found[name] = match["listen"]
        return found

    def watch(self) -> None:
        """Returns when all have ended by themselves."""
        while self.running:
            name, line = self.lines.get()
            if line is not None:
                output.text(line)
            else:
                code = self.running.pop(name).wait()
                output.note(f"{name} ended with exit code {code}")

    def stop(self) -> None:
        """Ends all: asked first, killed when that takes too long."""
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in self.running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Stop`, once: a second one does not disturb the stopping."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise Stop

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@click.command()
@click.option("--nodes", "count", type=click.IntRange(1, 64), default=3, show_default=True, help="How many nodes.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder; each node has one below it.",
)
@click.option(
    "--base-port",
    type=click.IntRange(0, 65535 - 63),
    default=BASE_PORT,
    show_default=True,
    help="Port of the first node, the next one for the second...; 0 picks free ones.",
)
def dev(count: int, data: Path, base_port: int) -> int:
    """Run a local cluster of N processes until Ctrl-C.

    Prints the ready line of each node, then `ready nodes=N connect=...`. The same folder starts the same cluster again.
    """
    names = [f"node{number}" for number in range(1, count + 1)]
    listen = [f"127.0.0.1:{base_port + index if base_port else 0}" for index in range(count)]
    nodes = Nodes()
    try:
        with _signals_raise():
            try:
                nodes.start(names[0], data / names[0], listen[0], ())
                addresses = nodes.ready({names[0]})
                for name, address in zip(names[1:], listen[1:], strict=True):
                    nodes.start(name, data / name, address, [addresses[names[0]]])
                addresses |= nodes.ready(set(names[1:]))
                output.text(f"ready nodes={count} connect={','.join(addresses[name] for name in names)}")
                nodes.watch()
            finally:
                nodes.stop()
    except Stop:
        return 0
    output.note("no node is left")
    return 1
