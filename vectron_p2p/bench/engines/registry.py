"""Which engines there are, and which of them are installed. Looks for packages without importing them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vectron_p2p.bench.engines.engine import Engine, Shape


@dataclass(frozen=True, slots=True)
class Known:
    """An engine by name: where its adapter is (`module:Class`), and the package it needs."""

    key: str
    """Of its rows: `engines-KEY-batch`."""
    title: str
    place: str
    """`server`, or `in process`: nothing is sent anywhere, which favours it."""
    package: str
    distribution: str
    adapter: str

    @property
    def version(self) -> str:
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return "unknown"

    def make(self, folder: Path, shape: Shape) -> Engine:
        module, name = self.adapter.split(":")
        adapter = cast("Callable[[Path, Shape], Engine]", getattr(importlib.import_module(module), name))
        return adapter(folder, shape)


_HERE = "vectron_p2p.bench.engines"
ENGINES = (
    Known("chroma", "Chroma", "server", "chromadb", "chromadb", f"{_HERE}.chroma:Chroma"),
    Known("qdrant", "Qdrant Edge", "in process", "qdrant_edge", "qdrant-edge-py", f"{_HERE}.qdrant:QdrantEdge"),
    Known("zvec", "zvec", "in process", "zvec", "zvec", f"{_HERE}.zvec:Zvec"),
)


def installed(engines: Sequence[Known] = ENGINES) -> list[Known]:
    return [engine for engine in engines if find_spec(engine.package) is not None]


def missing(engines: Sequence[Known] = ENGINES) -> str | None:
    """What to do about those that are not installed; None when all are."""
    present = installed(engines)
    absent = [engine for engine in engines if engine not in present]
    if not absent:
        return None
    titles = ", ".join(engine.title for engine in absent)
    return f"not installed, so not measured: {titles}; pip install {' '.join(each.distribution for each in absent)}"
