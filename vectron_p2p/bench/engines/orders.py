"""What the process of an engine is told to do: plain data, pickled between our own processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.engines.registry import Known
    from vectron_p2p.bench.jobs import Ask
    from vectron_p2p.bench.queries import Queries


@dataclass(frozen=True, slots=True)
class Open:
    """Answered with the number of points of an `Insert`."""

    known: Known
    folder: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Insert:
    """Answered with the seconds until they were acknowledged."""

    first: int
    vectors: Matrix
    payloads: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Index:
    """Answered with the seconds until all points were in the graph."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Answered with bytes, `anonymous` and `mapped`: of the server, or what the engine added to this process."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One call with `count` queries, after one with `warm`. Answered with an `Outcome` whose ids are rows; None when
    the engine has no such call.
    """

    ask: Ask
    queries: Queries
    count: int
    warm: int


@dataclass(frozen=True, slots=True)
class Window:
    """Single searches of `clients` threads, as in `SearchJob`. Answered with an `Outcome` whose ids are rows."""

    ask: Ask
    queries: Queries
    clients: int
    seconds: float
    warm: int


Order: TypeAlias = Open | Insert | Index | Memory | Batch | Window
