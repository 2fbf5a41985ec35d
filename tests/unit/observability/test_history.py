"""Rings of the past: each coarser one says the same of the same time, in fixed memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.observability.history import SLOTS, TIERS, Rings

START = 1_700_000_040.0  # a whole minute


def rings() -> Rings:
    return Rings({"mean": False, "most": True})


def test_samples_of_a_slot_are_folded() -> None:
    found = rings()
    for second, value in enumerate([1.0, 2.0, 6.0]):
        found.add(START + second, {"mean": value, "most": value})
    step, newest, figures = found.read(3, ["mean", "most"])
    assert (step, newest) == (1, int(START) + 2)
    assert figures == {"mean": [1.0, 2.0, 6.0], "most": [1.0, 2.0, 6.0]}
    step, newest, figures = found.read(3600, ["mean", "most"])
    assert (step, newest) == (10, int(START) // 10)
    assert figures["mean"][-1] == pytest.approx(3.0)
    assert figures["most"][-1] == 6.0
    assert figures["mean"][:-1] == [None] * 359
    assert found.read(24 * 3600, ["most"])[2]["most"][-1] == 6.0


def test_gaps_stay_gaps() -> None:
    found = rings()
    for second in (0, 1, 5, 700, 702):
        found.add(START + second, {"mean": second, "most": second})
    assert found.read(5, ["mean"])[2] == {"mean": [None, None, 700.0, None, 702.0]}
    assert [each for each in found.read(600, ["mean"])[2]["mean"] if each is not None] == [700.0, 702.0]


def test_before_the_first_sample_there_is_nothing() -> None:
    assert rings().read(60, ["mean"]) == (1, -1, {"mean": []})


def test_an_earlier_sample_tears_no_hole() -> None:
    found = rings()
    found.add(START, {"mean": 1.0, "most": 1.0})
    found.add(START - 50, {"mean": 3.0, "most": 3.0})
    assert found.read(2, ["mean", "most"])[2] == {"mean": [None, 2.0], "most": [None, 3.0]}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 900), st.floats(-1e9, 1e9)), min_size=1, max_size=200))
def test_each_ring_holds_the_newest_of_its_span(samples: list[tuple[int, float]]) -> None:
    found = rings()
    at, taken = START, []
    for gap, value in samples:
        at += gap
        found.add(at, {"mean": value, "most": value})
        taken.append((at, value))
    for tier in TIERS:
        step, newest, figures = found.read(tier.step_s * tier.slots, ["most"])
        assert step == tier.step_s
        expected: dict[int, float] = {}
        for moment, value in taken:
            slot = int(moment // step)
            if slot > newest - tier.slots:
                expected[slot] = max(expected.get(slot, value), value)
        column = figures["most"]
        assert len(column) == tier.slots
        held = {newest - tier.slots + 1 + place: value for place, value in enumerate(column) if value is not None}
        assert held == expected


def test_memory_is_fixed() -> None:
    found = rings()
    sizes = [len(column) for ring in found._rings for column in ring._columns]
    assert sum(sizes) == 2 * SLOTS
    for second in range(0, 200_000, 7):
        found.add(START + second, {"mean": 1.0, "most": 1.0})
    assert [len(column) for ring in found._rings for column in ring._columns] == sizes
