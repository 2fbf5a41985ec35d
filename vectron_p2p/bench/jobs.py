"""What a load generator is told to do and what it answers: plain data, pickled between our own processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.queries import Queries


@dataclass(frozen=True, slots=True)
class Place:
    """A collection and the nodes through which to reach it."""

    target: str
    collection: str


@dataclass(frozen=True, slots=True)
class Ask:
    """How to search: arguments of `Collection.search`."""

    k: int
    ef: int
    filter: dict[str, Any] | None = None
    with_payload: bool = False


@dataclass(frozen=True, slots=True)
class SearchJob:
    """Search for `seconds` on `connections` threads, a connection each, after `warm` queries on each of them."""

    place: Place
    ask: Ask
    queries: Queries
    connections: int
    seconds: float
    warm: int


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One `search_batch` of `count` queries, after one of `warm`."""

    place: Place
    ask: Ask
    queries: Queries
    count: int
    warm: int


@dataclass(frozen=True, slots=True)
class WriteJob:
    """Replace points, `rate` a second in batches of `batch`, for `seconds`. Each batch is moved by another of `noise`:
    vectors that had not changed would not be work.
    """

    place: Place
    ids: list[int | str]
    vectors: Matrix
    payloads: list[dict[str, Any]]
    noise: Matrix
    rate: float
    batch: int
    seconds: float


Job: TypeAlias = SearchJob | BatchJob | WriteJob


@dataclass(slots=True)
class Outcome:
    """`done` queries or points in `seconds`; `durations` in seconds, an operation each."""

    seconds: float = 0.0
    done: int = 0
    durations: list[float] = field(default_factory=list)
    found: list[tuple[int, list[int | str]]] = field(default_factory=list)
    """(number of the variant, ids found)."""
    partial: int = 0
    errors: list[str] = field(default_factory=list)
    turns: int = 0
    """Variants used up, warming included."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The generator could not do its job."""

    text: str
