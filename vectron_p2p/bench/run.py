"""The whole run, in its fixed order: raw hnswlib is built, one node is measured beside it, then several nodes."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from vectron_p2p.bench import rows
from vectron_p2p.bench.data import exact_neighbours
from vectron_p2p.bench.engines.group import engines
from vectron_p2p.bench.figures import spread
from vectron_p2p.bench.load import Generators
from vectron_p2p.bench.measure import Measure, Truth
from vectron_p2p.bench.queries import Supply
from vectron_p2p.bench.raw import Raw
from vectron_p2p.bench.stage import staged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.bench.data import Data
    from vectron_p2p.bench.figures import EngineCurve, Row
    from vectron_p2p.bench.measure import Window
    from vectron_p2p.bench.settings import Settings
    from vectron_p2p.bench.stage import Stage

SEED = 0
GENERATORS = 2
ONE_NODE = {  # in the order in which they are measured: what changes points comes last, memory before what fills caches
    "ingest": rows.ingest,
    "memory": rows.memory,
    "batch": rows.batch,
    "single": rows.single,
    "payload": rows.payload,
    "cache": rows.cache,
    "filters": rows.filters,
    "engines": engines,
    "mixed": rows.mixed,
    "restart": rows.restart,
}


@dataclass(frozen=True, slots=True)
class Point:
    """Of the curve: batches at one ef, raw and ours."""

    ef: int
    raw_rate: float
    raw_recall: float
    rate: float
    recall: float


@dataclass(slots=True)
class Report:
    about: dict[str, Any]
    ef: int = 0
    curve: list[Point] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    engines: list[EngineCurve] = field(default_factory=list)


def bench(data: Data, settings: Settings, say: Callable[[str], None]) -> Report:
    """Measures; `say` is told how far it is.

    Raises:
        BenchFailed, ProcessFailed: A figure could not be measured.
    """
    report = Report(_about(data, settings))

    def note(text: str) -> None:
        report.notes.append(text)
        say(text)

    say("exact neighbours")
    supply = Supply(data.queries, np.arange(len(data.queries)), SEED)
    truth = Truth(supply, exact_neighbours(data, settings.k))
    say(f"raw hnswlib: {len(data.ids):,} points")

    def build() -> Raw:
        return Raw(data, m=settings.m, ef_construction=settings.ef_construction, threads=settings.threads)

    raw = build()
    report.about["raw_add_items_per_s"] = raw.build_rate
    with Generators(GENERATORS) as generators:
        measure = Measure(data, settings, generators, raw)
        build_rates = [raw.build_rate]
        run = rows.Run(data, settings, truth, measure, generators, lambda: build().build_rate, build_rates, note)
        say("one node: loading")
        one_node: list[Window] = []
        with staged(data, settings, 1) as stage:
            stage.rest(settings.settle)
            say("curve of recall and speed")
            report.curve = _curve(run, stage)
            report.engines = run.engines
            report.ef = run.ef = _lowest_ef(report.curve, settings.recall, note)
            for group, measured in ONE_NODE.items():
                if group in settings.groups:
                    say(group)
                    report.rows += measured(run, stage)
                if group == "payload" and "cluster" in settings.groups:
                    connections = max(settings.connections)
                    one_node = [
                        measure.searches(stage.place, run.ask(), truth, connections) for _ in range(settings.repeats)
                    ]
        if "cluster" in settings.groups:
            say(f"{settings.nodes} nodes: loading")
            with staged(data, settings, settings.nodes) as stage:
                say("cluster")
                report.rows += rows.cluster(run, stage, one_node)
    return report


def _curve(run: rows.Run, stage: Stage) -> list[Point]:
    points = []
    for ef in run.settings.efs:
        run.ef = ef
        raw, ours = [], []
        for _ in range(run.settings.repeats):
            raw.append(run.measure.raw_batch(run.truth, ef))
            ours.append(run.measure.batch(stage.place, run.ask(), run.truth))
        points.append(Point(ef, *_medians(raw), *_medians(ours)))
    return points


def _medians(windows: Sequence[Window]) -> tuple[float, float]:
    return spread([each.rate for each in windows]).median, spread([each.recall for each in windows]).median


def _lowest_ef(curve: Sequence[Point], wanted: float, note: Callable[[str], None]) -> int:
    """The first at which both sides have the recall: one ef for both, so that neither does less work."""
    for point in curve:
        if min(point.recall, point.raw_recall) >= wanted:
            return point.ef
    best = max(curve, key=lambda point: min(point.recall, point.raw_recall))
    note(f"no ef of {', '.join(str(point.ef) for point in curve)} has recall {wanted} on both sides; taken: {best.ef}")
    return best.ef


def _about(data: Data, settings: Settings) -> dict[str, Any]:
    return {
        "data": data.name,
        "points": len(data.ids),
        "dimension": data.dimension,
        "queries": len(data.queries),
        "settings": settings,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "hnswlib": version("hnswlib"),
        "vectron": version("vectron-p2p"),
    }
