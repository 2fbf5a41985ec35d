"""The figures, a function for each group: what is measured beside what.

Within a group the sides take turns (`repeats` times), always in the same order, so that both see the machine alike.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.bench.cost import Cost
from vectron_p2p.bench.figures import Row, percentile, spread
from vectron_p2p.bench.filtered import filtered
from vectron_p2p.bench.jobs import Ask, WriteJob
from vectron_p2p.bench.load import BenchFailed
from vectron_p2p.bench.measure import Truth, milliseconds
from vectron_p2p.bench.queries import PopularSupply, Supply
from vectron_p2p.bench.repeated import repeated
from vectron_p2p.bench.selection import SHARES, far_queries
from vectron_p2p.client.sync_client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.bench.data import Data
    from vectron_p2p.bench.figures import EngineCurve
    from vectron_p2p.bench.filtered import Filtered
    from vectron_p2p.bench.load import Generators
    from vectron_p2p.bench.measure import Measure, Window
    from vectron_p2p.bench.settings import Settings
    from vectron_p2p.bench.stage import Stage

ANSWER_S = 120.0  # to the first correct answer after a restart; longer is no restart any more
FAR_QUERIES = 10  # fewer say nothing about recall
FAR_SEED = 1
FAR_OF = f"{SHARES[1] * 100:.0f}"
POPULAR_SEED = 2


@dataclass(slots=True)
class Run:
    """What all groups share. `ef` is that of the speeds."""

    data: Data
    settings: Settings
    truth: Truth
    measure: Measure
    generators: Generators
    build_raw: Callable[[], float]
    """Builds raw hnswlib anew; points per second."""
    raw_rates: list[float]
    """Of each time that it was built in this run."""
    note: Callable[[str], None]
    ef: int = 0
    engines: list[EngineCurve] = field(default_factory=list)
    """Other engines of this run and their curves."""
    _filtered: list[Filtered] | None = None

    def filtered(self) -> list[Filtered]:
        """Chosen and searched exactly when first asked for: that takes seconds."""
        if self._filtered is None:
            self._filtered = filtered(self.data, self.settings.k, self.note)
        return self._filtered

    def ask(self, *, with_payload: bool = False) -> Ask:
        return Ask(self.settings.k, self.ef, with_payload=with_payload)


def _row(
    key: str, label: str, windows: Sequence[Window], stage: Stage, beside: Sequence[Window] = (), of: str = ""
) -> Row:
    speed = spread([window.rate for window in windows])
    ratio = speed.median / spread([window.rate for window in beside]).median if beside else None
    found = spread([window.recall for window in windows]).median
    more = milliseconds(windows) if windows[0].durations else {}
    return Row(key, label, speed, "q/s", ratio, of if beside else "", found, more | stage.lag())


def ingest(run: Run, stage: Stage) -> list[Row]:
    """Taken while the stage was set. Raw hnswlib was built before, and is again after: a machine that others share is
    not as fast in one half minute as in the next.
    """
    if stage.nodes == 1:
        run.raw_rates.append(run.build_raw())
    raw = statistics.harmonic_mean(run.raw_rates)
    spans = {"raw_slowest": min(run.raw_rates), "raw_fastest": max(run.raw_rates)}
    points, suffix, where = len(run.data.ids), "", "one node"
    if stage.nodes > 1:
        suffix, where = f"-{stage.nodes}", f"{stage.nodes} nodes"
    rates = [points / seconds for seconds in (stage.searchable, stage.linked)]
    acked = {"acked": points / stage.acked}
    return [
        Row(f"ingest{suffix}", f"ingest acked and searchable, {where}", spread([rates[0]]), "points/s", more=acked),
        Row(
            f"linked{suffix}", f"fully linked, {where}", spread([rates[1]]), "points/s",
            rates[1] / raw, "raw add_items", more=spans | stage.load_lag,
        ),
    ]  # fmt: skip


def batch(run: Run, stage: Stage) -> list[Row]:
    raw, ours, full = [], [], []
    for _ in range(run.settings.repeats):
        raw.append(run.measure.raw_batch(run.truth, run.ef))
        ours.append(run.measure.batch(stage.place, run.ask(), run.truth))
        full.append(run.measure.batch(stage.place, run.ask(with_payload=True), run.truth))
    size = run.settings.batch
    return [
        _row("batch", f"batch of {size:,}", ours, stage, raw, "raw batch"),
        _row("batch-payload", f"batch of {size:,} with payloads", full, stage, ours, "batch without"),
    ]


def single(run: Run, stage: Stage) -> list[Row]:
    rows = []
    for connections in run.settings.connections:
        raw, ours, serial = [], [], []
        cost = Cost(stage, run.generators)
        for _ in range(run.settings.repeats):
            raw.append(run.measure.raw_batch(run.truth, run.ef))
            if connections == 1:
                serial.append(run.measure.raw_serial(run.truth, run.ef))
            ours.append(run.measure.searches(stage.place, run.ask(), run.truth, connections))
        label = f"single queries, {connections} connection{'s' if connections > 1 else ''}"
        row = _row(f"single-{connections}", label, ours, stage, raw, "raw batch")
        row.more.update(cost.per_query(), raw_us=spread([window.cpu_us for window in raw]).median)
        rows.append(row)
        if serial:
            rows.append(_serial(serial, ours))
    return rows


def _serial(raw: Sequence[Sequence[float]], ours: Sequence[Window]) -> Row:
    theirs = spread([percentile(calls, 50) * 1000 for calls in raw])
    mine = spread([percentile(window.durations, 50) * 1000 for window in ours])
    more = {"raw_p50_ms": theirs.median, "over_raw_ms": mine.median - theirs.median}
    found = spread([window.recall for window in ours]).median
    return Row("serial", "serial queries, p50", mine, "ms", mine.median / theirs.median, "raw serial", found, more)


def payload(run: Run, stage: Stage) -> list[Row]:
    connections = max(run.settings.connections)
    bare, full = [], []
    for _ in range(run.settings.repeats):
        bare.append(run.measure.searches(stage.place, run.ask(), run.truth, connections))
        full.append(run.measure.searches(stage.place, run.ask(with_payload=True), run.truth, connections))
    return [_row("payload", f"with payloads, {connections} connections", full, stage, bare, "without payloads")]


def cache(run: Run, stage: Stage) -> list[Row]:
    """Queries of which some are asked much more often than others, beside those that are never asked twice."""
    connections = max(run.settings.connections)
    queries = run.data.queries
    popular = Truth(PopularSupply(queries, np.arange(len(queries)), POPULAR_SEED), run.truth.rows)
    before, plain, ours = (0, 0), [], []
    for _ in range(run.settings.repeats):
        plain.append(run.measure.searches(stage.place, run.ask(), run.truth, connections))
        before = stage.cached()
        ours.append(run.measure.searches(stage.place, run.ask(), popular, connections))
    hits, asked = (now - then for now, then in zip(stage.cached(), before, strict=True))
    row = _row("cache", f"popular queries, {connections} connections", ours, stage, plain, "each asked once")
    row.more["from_cache"] = hits / max(1, asked)
    return [row]


def filters(run: Run, stage: Stage) -> list[Row]:
    """Beside the same searches without a filter: by one client, and by all. Of filters that were asked before."""
    cases: list[tuple[str, str, Ask, Truth]] = []
    own: dict[str, int] = {}
    for each in run.filtered():
        ask = Ask(run.settings.k, run.ef, filter=each.filter)
        truth = Truth(run.truth.supply, each.nearest)
        own[f"filter-{each.name}"] = repeated(run, stage, ask, truth)
        cases.append((f"filter-{each.name}", each.label, ask, truth))
        if each.name == FAR_OF:
            far = far_queries(run.truth.rows, each.kept)
            if len(far) < FAR_QUERIES:
                run.note(f"only {len(far)} queries have no neighbour that this filter keeps: no figure for them")
                continue
            supply = Supply(run.data.queries, far, FAR_SEED)
            cases.append((f"filter-{each.name}-far", f"{each.label}, none near", ask, Truth(supply, each.nearest)))
    rows_out = []
    for connections in sorted({min(run.settings.connections), max(run.settings.connections)}):
        plain: list[Window] = []
        windows: list[list[Window]] = [[] for _ in cases]
        for _ in range(run.settings.repeats if cases else 0):
            plain.append(run.measure.searches(stage.place, run.ask(), run.truth, connections))
            for (_, _, ask, truth), into in zip(cases, windows, strict=True):
                into.append(run.measure.searches(stage.place, ask, truth, connections))
        for (key, label, _, _), measured in zip(cases, windows, strict=True):
            text = f"{label}, {connections} conn."
            row = _row(f"{key}-{connections}", text, measured, stage, plain, "unfiltered")
            if own.get(key):
                row.more.update(own_graph=own[key], anonymous_mb=stage.memory()["anonymous"] / 1e6)
            rows_out.append(row)
    return rows_out


def memory(run: Run, stage: Stage) -> list[Row]:
    sizes = stage.memory()
    vectors = run.data.vectors.nbytes
    megabytes = {name: size / 1e6 for name, size in sizes.items()}
    more = {"mapped_mb": megabytes["mapped"], "vectors_mb": vectors / 1e6}
    ratio = sizes["anonymous"] / vectors
    return [
        Row("memory", "anonymous memory of a node", spread([megabytes["anonymous"]]), "MB", ratio, "vectors", more=more)
    ]


def mixed(run: Run, stage: Stage) -> list[Row]:
    """Searches while points are replaced. Both kinds of clients are processes of their own."""
    settings = run.settings
    searchers = settings.mixed_searchers
    quiet = [run.measure.searches(stage.place, run.ask(), run.truth, searchers) for _ in range(settings.repeats)]
    rows = slice(min(len(run.data.ids), round(settings.mixed_seconds * settings.mixed_rate)))
    (search,) = run.measure.search_jobs(stage.place, run.ask(), run.truth, searchers, 1, settings.mixed_seconds)
    write = WriteJob(
        stage.place, run.data.ids[rows], run.data.vectors[rows], run.data.payloads[rows], run.truth.supply.noise,
        settings.mixed_rate, settings.mixed_batch, settings.mixed_seconds,
    )  # fmt: skip
    with stage.watching_tail() as tail:
        found, written = run.generators.run([search, write])
    window = run.measure.window([found], run.truth)
    label = f"{searchers} searchers beside {settings.mixed_rate:,.0f} points/s"
    row = _row("mixed", label, [window], stage, quiet, f"quiet, {searchers} connections")
    row.more["written_per_s"] = written.done / written.seconds
    row.more["write_p99_ms"] = percentile(written.durations, 99) * 1000
    if written.errors:
        row.more["writes_failed"] = len(written.errors)
        run.note(f"a write failed: {written.errors[0]}")
    if tail:
        row.more["tail_max"] = max(tail)
    return [row]


def restart(run: Run, stage: Stage) -> list[Row]:
    """Kill -9, start, and ask until the answer is right: all of the true neighbours, from all of the shards."""
    k, ids = run.settings.k, run.data.ids
    answers = (stage.collection.search(query, k=k, ef=run.ef, with_payload=False) for query in run.data.queries)
    pairs = enumerate(zip(answers, run.truth.rows, strict=True))
    right = (at for at, (hits, rows) in pairs if {hit.id for hit in hits} == {ids[row] for row in rows})
    number = next(right, None)
    if number is None:
        raise BenchFailed("no query of the data set is answered fully before the restart")
    wanted = {ids[row] for row in run.truth.rows[number]}
    taken = []
    for _ in range(run.settings.repeats):
        stage.cluster.kill(0)
        started = time.perf_counter()
        stage.cluster.start_node(0)
        with Client(stage.place.target) as db:
            collection = db.collection(stage.place.collection)
            while True:
                result = collection.search(run.data.queries[number], k=k, ef=run.ef, with_payload=False)
                if not result.partial and {hit.id for hit in result} == wanted:
                    break
                if time.perf_counter() > started + ANSWER_S:
                    raise BenchFailed(f"no correct answer within {ANSWER_S:.0f} s of the restart")
        taken.append(time.perf_counter() - started)
    return [Row("restart", "kill -9 to first correct answer", spread(taken), "s")]


def cluster(run: Run, stage: Stage, one_node: Sequence[Window]) -> list[Row]:
    """At `one`, through all nodes; `one_node` was measured in the same run, after as much rest."""
    stage.rest(run.settings.settle)
    connections = max(run.settings.connections)
    ours = [run.measure.searches(stage.place, run.ask(), run.truth, connections) for _ in range(run.settings.repeats)]
    label = f"{stage.nodes} nodes, {stage.nodes} replicas, {connections} connections"
    return [*ingest(run, stage), _row("cluster", label, ours, stage, one_node, "one node")]
