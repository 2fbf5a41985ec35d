"""Filters asked before they are measured: until a graph of their own is linked, and no longer where none comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vectron_p2p.bench import repeated as module
from vectron_p2p.bench.jobs import Ask
from vectron_p2p.bench.load import BenchFailed
from vectron_p2p.bench.repeated import repeated


class Bench:
    """Answers the plans given, the last one for ever; counts what is asked."""

    def __init__(self, *plans: dict[str, Any]) -> None:
        self.plans = list(plans)
        self.batches = 0
        self.looks = 0

    def batch(self, *_: object) -> None:
        assert not self.looks
        self.batches += 1

    def search(self, _: object, **asked: Any) -> SimpleNamespace:
        assert asked == {"k": 10, "ef": 48, "filter": {"a": 1}, "with_payload": False, "explain": True}
        self.looks += 1
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        return SimpleNamespace(plan=[plan] if plan else None)

    def run(self) -> int:
        run: Any = SimpleNamespace(measure=self, data=SimpleNamespace(queries=np.zeros((1, 2)), ids=[1]))
        stage: Any = SimpleNamespace(collection=self, place=None, db=SimpleNamespace(status=str))
        truth: Any = None
        points = repeated(run, stage, Ask(10, 48, filter={"a": 1}), truth)
        assert self.batches == module.BATCHES
        return points


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.0)


def test_it_waits_for_the_graph() -> None:
    bench = Bench({"plan": "graph"}, {"plan": "graph", "subgraph": 0}, {"plan": "graph", "subgraph": 7})
    assert (bench.run(), bench.looks) == (7, 3)


def test_what_is_scanned_gets_none() -> None:
    bench = Bench({"plan": "exact"})
    assert (bench.run(), bench.looks) == (0, 1)


def test_nor_does_a_filter_that_has_not_earned_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEGINS", 0.05)
    bench = Bench({"plan": "graph"})
    assert bench.run() == 0
    assert bench.looks > 1


def test_an_answer_without_a_plan_is_said() -> None:
    with pytest.raises(BenchFailed, match="plan"):
        Bench({}).run()
