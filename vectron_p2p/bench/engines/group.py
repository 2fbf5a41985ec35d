"""The figures of other engines, each beside those of our node, measured by turns.

An engine is measured at the lowest ef with which it reaches the wanted recall itself, with each filter anew: what
counts is the speed of answers that are as good. One engine at a time: it is gone before the next one starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.bench.engines import registry
from vectron_p2p.bench.engines.engine import Shape
from vectron_p2p.bench.engines.hosted import EngineFailed, Hosted
from vectron_p2p.bench.figures import EngineCurve, Row, Speed, spread
from vectron_p2p.bench.jobs import Ask
from vectron_p2p.bench.measure import BATCH_WARM, Truth, milliseconds
from vectron_p2p.bench.repeated import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vectron_p2p.bench.engines.registry import Known
    from vectron_p2p.bench.figures import Spread
    from vectron_p2p.bench.jobs import Outcome
    from vectron_p2p.bench.measure import Window
    from vectron_p2p.bench.rows import Run
    from vectron_p2p.bench.stage import Stage

OURS = "vectron"


def engines(run: Run, stage: Stage) -> list[Row]:
    """Of those installed. One that fails is a note, and what was measured of it before stands."""
    absent = registry.missing(registry.ENGINES)
    if absent is not None:
        run.note(absent)
    rows: list[Row] = []
    for known in registry.installed(registry.ENGINES):
        try:
            with Hosted(known) as hosted:
                for row in _Beside(run, stage, known, hosted).rows():
                    rows.append(row)  # noqa: PERF402 - those before a failure are kept
        except EngineFailed as error:
            run.note(f"{known.title} {known.version} failed, and was measured no further: {error}")
    return rows


class _Beside:
    """One engine beside our node."""

    def __init__(self, run: Run, stage: Stage, known: Known, hosted: Hosted) -> None:
        self._run = run
        self._stage = stage
        self._known = known
        self._hosted = hosted

    def rows(self) -> Iterator[Row]:
        run, stage, k = self._run, self._stage, self._run.settings.k
        yield from self._loaded()
        measured = self._curve()
        ask = Ask(k, self._lowest_ef(measured.curve, "without a filter"))
        if measured.batches:

            def ours() -> Window:
                return run.measure.batch(stage.place, run.ask(), run.truth)

            yield self._row("batch", f"batch of {run.settings.batch:,}", ask, ours, lambda: self._batch(ask), raw=True)
        for clients in run.settings.engine_clients:
            label = f"{clients} client{'s' if clients > 1 else ''}"
            yield self._single(f"single-{clients}", label, ask, run.ask(), run.truth, clients)
        for each in run.filtered():
            truth = Truth(run.truth.supply, each.nearest)
            theirs = self._enough(Ask(k, ask.ef, filter=each.filter), truth, each.label)
            mine = Ask(k, run.ef, filter=each.filter)
            repeated(run, stage, mine, truth)
            yield self._single(f"filter-{each.name}", f"{each.label}, 1 client", theirs, mine, truth, 1)

    def _enough(self, ask: Ask, truth: Truth, label: str) -> Ask:
        """With a filter some need a wider search for the same recall than without."""
        speeds = []
        for ef in (ef for ef in self._run.settings.efs if ef >= ask.ef):
            window = self._searches(replace(ask, ef=ef), truth, 1)
            speeds.append(Speed(ef, window.rate, window.recall))
            if window.recall >= self._run.settings.recall:
                break
        return replace(ask, ef=self._lowest_ef(speeds, label))

    def _loaded(self) -> Iterator[Row]:
        run, stage = self._run, self._stage
        data, settings = run.data, run.settings
        fields = {name: _kind(run, name) for each in run.filtered() for name in each.filter}
        size = self._hosted.open(Shape(data.dimension, settings.m, settings.ef_construction, fields))
        acked, indexed = self._hosted.load(data, size)
        points = len(data.ids)
        for key, label, theirs, ours in (
            ("ingest", "ingest acked", acked, stage.acked),
            ("linked", "fully indexed", indexed, stage.linked),
        ):
            key, label = self._names(key, label)
            yield Row(key, label, spread([points / theirs]), "points/s", ours / theirs, OURS)
        sizes = self._hosted.memory()
        more = {"mapped_mb": sizes["mapped"] / 1e6}
        key, label = self._names("memory", "anonymous memory")
        ratio = sizes["anonymous"] / data.vectors.nbytes
        yield Row(key, label, spread([sizes["anonymous"] / 1e6]), "MB", ratio, "vectors", more=more)

    def _curve(self) -> EngineCurve:
        """Batches, or single queries of one client where there are none, once at each ef."""
        run, known = self._run, self._known
        first = self._hosted.batch(Ask(run.settings.k, run.settings.efs[0]), run.truth.supply.split(1)[0], 1, 1)
        run.truth.supply.asked(2)
        measured = EngineCurve(known.title, known.version, known.place, first is not None)
        run.engines.append(measured)
        for ef in run.settings.efs:
            ask = Ask(run.settings.k, ef)
            window = self._batch(ask) if measured.batches else self._searches(ask, run.truth, 1)
            measured.curve.append(Speed(ef, window.rate, window.recall))
        return measured

    def _lowest_ef(self, speeds: Sequence[Speed], where: str) -> int:
        wanted = self._run.settings.recall
        for speed in speeds:
            if speed.recall >= wanted:
                return speed.ef
        best = max(speeds, key=lambda speed: speed.recall)
        self._run.note(
            f"{self._known.title} has recall {wanted} with no ef {where}; taken: {best.ef}, with {best.recall:.4f}"
        )
        return best.ef

    def _single(self, key: str, label: str, theirs: Ask, mine: Ask, truth: Truth, clients: int) -> Row:
        run, stage = self._run, self._stage

        def ours() -> Window:
            return run.measure.searches(stage.place, mine, truth, clients)

        return self._row(key, label, theirs, ours, lambda: self._searches(theirs, truth, clients))

    def _row(
        self,
        key: str,
        label: str,
        ask: Ask,
        ours: Callable[[], Window],
        theirs: Callable[[], Window],
        *,
        raw: bool = False,
    ) -> Row:
        """Both by turns, raw hnswlib too where it is asked the same."""
        run = self._run
        mine: list[Window] = []
        others: list[Window] = []
        beneath: list[Window] = []
        for _ in range(run.settings.repeats):
            if raw:
                beneath.append(run.measure.raw_batch(run.truth, run.ef))
            mine.append(ours())
            others.append(theirs())
        speed, beside = _rate(others), _rate(mine)
        more = milliseconds(others) if others[0].durations else {}
        more |= {"ef": ask.ef, "vectron_per_s": beside.median, "vectron_recall": _recall(mine)}
        if beneath:
            more["raw_per_s"] = _rate(beneath).median
        key, label = self._names(key, f"{label}, ef {ask.ef}")
        of = f"{OURS}, recall {more['vectron_recall']:.4f}"
        return Row(key, label, speed, "q/s", speed.median / beside.median, of, _recall(others), more)

    def _batch(self, ask: Ask) -> Window:
        queries, count = self._run.truth.supply.split(1)[0], self._run.settings.batch
        outcome = self._hosted.batch(ask, queries, count, BATCH_WARM)
        if outcome is None:
            raise EngineFailed("it has batches no more")
        return self._window(outcome, self._run.truth)

    def _searches(self, ask: Ask, truth: Truth, clients: int) -> Window:
        settings = self._run.settings
        queries = truth.supply.split(1)[0]
        outcome = self._hosted.searches(ask, queries, clients, settings.seconds, settings.warm)
        if not outcome.done:
            raise EngineFailed(f"no search was answered within {settings.seconds:g} s")
        return self._window(outcome, truth)

    def _window(self, outcome: Outcome, truth: Truth) -> Window:
        """An engine knows points by their rows."""
        ids = self._run.data.ids
        if strangers := {row for _, rows in outcome.found for row in rows} - set(range(len(ids))):
            raise EngineFailed(f"it found what was never written: {min(strangers, key=str)!r}")
        outcome.found = [(number, [ids[int(row)] for row in rows]) for number, rows in outcome.found]
        return self._run.measure.window([outcome], truth)

    def _names(self, key: str, label: str) -> tuple[str, str]:
        known = self._known
        return f"engines-{known.key}-{key}", f"{known.title} {known.version} ({known.place}): {label}"


def _kind(run: Run, name: str) -> type[int] | type[str]:
    return int if all(isinstance(payload.get(name, 0), int) for payload in run.data.payloads) else str


def _rate(windows: Sequence[Window]) -> Spread:
    return spread([window.rate for window in windows])


def _recall(windows: Sequence[Window]) -> float:
    return spread([window.recall for window in windows]).median
