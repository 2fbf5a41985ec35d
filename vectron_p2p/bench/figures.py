"""What is made of measurements: percentiles, medians with their spread, recall, and the rows of the report."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repeated measurements, the smallest and the largest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is to what `of` names, measured in the same run."""

    key: str
    label: str
    spread: Spread
    unit: str
    ratio: float | None = None
    of: str = ""
    recall: float | None = None
    more: dict[str, float] = field(default_factory=dict)
    """Figures that belong to it, by name with unit: `p99_ms`."""

    def figure(self, name: str) -> float | None:
        """`value`, `ratio`, `recall` or one of `more`; None when it was not measured."""
        known = {"value": self.spread.median, "ratio": self.ratio, "recall": self.recall}
        return known[name] if name in known else self.more.get(name)


@dataclass(frozen=True, slots=True)
class Speed:
    """Queries per second and recall at one ef."""

    ef: int
    rate: float
    recall: float


@dataclass(frozen=True, slots=True)
class EngineCurve:
    """Another engine that was measured, and its curve."""

    title: str
    version: str
    place: str
    """`server`, or `in process`."""
    batches: bool
    """Whether the curve is of batches; of single queries by one client where it has none."""
    curve: list[Speed] = field(default_factory=list)


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; nan of nothing."""
    return float(np.percentile(values, percent, method="higher")) if len(values) else float("nan")


def recall(found: Iterable[Iterable[Any]], wanted: Iterable[Iterable[Any]]) -> float:
    """The share of all that is wanted that was found; nan when nothing is wanted.

    A query of which fewer than k match wants only those.
    """
    hits = total = 0
    for got, want in zip(found, wanted, strict=True):
        wish = set(want)
        hits += len(wish & set(got))
        total += len(wish)
    return hits / total if total else float("nan")
