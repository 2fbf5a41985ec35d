"""Engines that need no package: one that works, and some that do what no engine should. Run by a real child process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from vectron_p2p.bench.data import nearest
from vectron_p2p.bench.engines.registry import Known
from vectron_p2p.query.filters import matches, parse_filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.jobs import Ask


def known(name: str, package: str = "numpy") -> Known:
    return Known(name.lower(), name, "in process", package, package, f"tests.unit.bench.odd_engines:{name}")


class Exact:
    """Scans all; says much on its standard output, as native libraries do."""

    insert_batch = 70
    server: int | None = None

    def __init__(self, folder: Path, shape: Shape) -> None:
        (folder / "file").write_text(str(shape), encoding="utf-8")
        self.vectors = np.empty((0, shape.dimension), dtype=np.float32)
        self.payloads: list[dict[str, Any]] = []

    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        assert first == len(self.vectors)
        self.vectors = np.concatenate([self.vectors, vectors])
        self.payloads += payloads
        os.write(1, b"inserted\n")
        print("inserted")

    def index(self) -> None:
        pass

    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        search = Exact.batch(self, ask)
        return lambda vector: search(vector[None])[0]

    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]]:
        kept = np.arange(len(self.vectors))
        if ask.filter is not None:
            tree = parse_filter(ask.filter)
            kept = np.flatnonzero([matches(tree, payload) for payload in self.payloads])
        return lambda vectors: kept[nearest(self.vectors[kept], vectors, ask.k)].tolist()

    def close(self) -> None:
        pass


class Dies(Exact):
    def index(self) -> None:
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)


class DiesSearching(Exact):
    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        os._exit(3)

    def batch(self, ask: Ask) -> None:  # type: ignore[override]
        return None


class Invents(Exact):
    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        return lambda vector: [-1]

    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]]:
        return lambda vectors: [[-1]] * len(vectors)


class Forgets(Exact):
    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]]:
        return lambda vectors: []


class Hangs(Exact):
    """With a server of its own that hangs too, and names it in a file."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        super().__init__(folder, shape)
        sleeper = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
        self.server = sleeper.pid

    def index(self) -> None:
        threading.Event().wait()


class HangsClosing(Exact):
    def close(self) -> None:
        threading.Event().wait()


class Refuses(Exact):
    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        raise RuntimeError("no room")
