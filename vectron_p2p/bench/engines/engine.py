"""What the benchmark asks of another engine, in its own process (`child`): the same graph, points, queries and filters.

Ids are row numbers, as not every engine takes texts. An engine's own errors are its own: whoever calls turns any of
them into a note of the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.jobs import Ask


@dataclass(frozen=True, slots=True)
class Shape:
    """The collection to make: cosine, HNSW."""

    dimension: int
    m: int
    ef_construction: int
    filtered: dict[str, type[int] | type[str]]
    """Fields of the payloads that filters will ask for, and what all their values are: to be indexed."""


class Engine(Protocol):
    """Made with an empty folder of its own and a `Shape`; `close` ends all that it started."""

    insert_batch: int
    """Points of one `insert`: what its own guides advise, within what it takes."""

    @property
    def server(self) -> int | None:
        """The process id of its server; None when it runs in the process that asks."""

    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        """Rows from `first` on; returns when they are acknowledged."""

    def index(self) -> None:
        """Returns when every point is in the graph."""

    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        """Everything that does not depend on the vector is done before: what is returned only searches. It is called
        by several threads.
        """

    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]] | None:
        """As `single`, for many queries in one call; None when it has no such call."""

    def close(self) -> None: ...


def values_of(condition: dict[str, Any]) -> tuple[str, list[Any]]:
    """The field and the values of a filter as `bench.selection` makes them: an equality, or `$in`."""
    ((name, wanted),) = condition.items()
    return name, list(wanted["$in"]) if isinstance(wanted, dict) else [wanted]
