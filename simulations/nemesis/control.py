"""How the program that runs a nemesis speaks with the process that carries the traffic: JSON lines, one answer each.

The carrier ends when its standard input does, so it never outlives the program that started it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import trio

from simulations.nemesis.links import from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulations.nemesis.links import Links, Pair

END_WITHIN = 5.0  # seconds for a carrier to end once told: it has nothing to save


class Carrier:
    """What a proxy and a switch have in common: the links, and who is where."""

    def __init__(self) -> None:
        self.links: Links = {}

    def relink(self, links: Links) -> None:
        self.links = links

    def reset(self, pairs: list[Pair]) -> None:
        """Reset all TCP connections of these pairs, whoever opened them."""
        raise NotImplementedError

    def know(self, index: int, node: str) -> None:
        """Node `index` has the UUID `node`."""

    def down(self, index: int) -> None:
        """The process of `index` is gone: nobody listens there."""

    def up(self, index: int) -> None:
        """It is being started."""

    def figures(self) -> dict[str, int]:
        """What was carried and dropped."""
        raise NotImplementedError

    def perform(self, command: dict[str, Any]) -> dict[str, Any]:
        match command:
            case {"do": "links", "links": rows}:
                self.relink(from_wire(rows))
            case {"do": "reset", "pairs": pairs}:
                self.reset([(source, target) for source, target in pairs])
            case {"do": "know", "index": index, "node": node}:
                self.know(index, node)
            case {"do": "down", "index": index}:
                self.down(index)
            case {"do": "up", "index": index}:
                self.up(index)
            case {"do": "figures"}:
                return self.figures()
            case _:
                raise ValueError(f"no such command: {command}")
        return {}


def ignore_interrupts() -> None:
    """Ctrl-C is for the program that started this carrier."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def obey(carrier: Carrier, ready: dict[str, Any]) -> None:
    """Say `ready`, then perform commands until there are no more."""
    _answer(ready)
    async for line in trio.wrap_file(sys.stdin):
        _answer(carrier.perform(json.loads(line)))


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class Remote:
    """The program's end. Not safe for several threads."""

    def __init__(self, command: Sequence[str]) -> None:
        # Its own process group, so that Ctrl-C does not cut the network before the nodes were stopped.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        self.ready = self._read()

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        try:
            self._process.communicate(timeout=END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that carries the traffic ended with {self._process.wait()}")
        document: dict[str, Any] = json.loads(line)
        return document
