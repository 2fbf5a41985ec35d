"""Windows hold what happened in them, and forget it after them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.observability.meter import LONG_S, SHORT_S, Meter, OperationMeter

MOMENTS = st.lists(st.floats(0, 9000), min_size=1, max_size=100).map(sorted)


def record(meter: OperationMeter, now: float, seconds: float = 0.001, *, failed: bool = False) -> None:
    meter.record(now, seconds, failed=failed, bytes_in=10, bytes_out=20)


@settings(max_examples=200)
@given(MOMENTS, st.sampled_from([60, 300, 3600]), st.floats(0, 7200))
def test_a_window_holds_its_span_and_at_most_a_slot_more(moments: list[float], window: int, later: float) -> None:
    meter = OperationMeter()
    for moment in moments:
        record(meter, moment)
        meter.window(moment, window)  # looked at all the while: what is kept for later looks must not go stale
    now = moments[-1] + later
    slot = SHORT_S if window <= 300 else LONG_S
    found = meter.window(now, window)
    assert sum(moment > now - window for moment in moments) <= found.count
    assert found.count <= sum(moment >= now - window - slot for moment in moments)
    assert found.count == sum(moment - moment % SHORT_S >= found.start for moment in moments)


def test_memory_is_bounded() -> None:
    meter = OperationMeter()
    for second in range(0, 4 * 3600, 2):
        record(meter, float(second))
    assert len(meter._short._slots) <= 300 / SHORT_S + 2
    assert len(meter._long._slots) <= 3600 / LONG_S + 2


def test_figures() -> None:
    meter = Meter(started=100.0)
    search = meter.operation("client", "search")
    for number in range(100):
        search.record(130.0, (number + 1) / 1000, failed=number < 3, bytes_in=10, bytes_out=20)
    minute, five, hour = (figures for figures, _ in meter.windows(140.0))
    assert [each.window_s for each in (minute, five, hour)] == [60, 300, 3600]
    assert {each.count for each in (minute, five, hour)} == {100}
    assert minute.rate == pytest.approx(100 / 40)  # the meter is 40 s old
    assert (minute.errors, minute.bytes_in, minute.bytes_out) == (3, 1000, 2000)
    assert minute.mean_ms == pytest.approx(50.5)
    assert minute.p50_ms == pytest.approx(50, rel=0.04)
    assert minute.p99_ms == pytest.approx(99, rel=0.04)
    assert minute.max_ms == 100
    assert meter.totals("client") == (100, 3)
    assert meter.totals("peer") == (0, 0)


def test_what_nobody_uses_is_not_listed() -> None:
    meter = Meter(started=0.0)
    record(meter.operation("client", "get"), 10.0)
    assert [each.window_s for each, _ in meter.windows(400.0)] == [3600]
    assert not list(meter.windows(8000.0))


def test_no_percentile_is_above_the_largest() -> None:
    meter = Meter(started=0.0)
    record(meter.operation("client", "get"), 10.0, 0.9831)
    figures, _ = next(iter(meter.windows(10.0)))
    assert figures.p50_ms == figures.p99_ms == figures.max_ms == pytest.approx(983.1)


def test_odd_durations_are_taken() -> None:
    meter = OperationMeter()
    record(meter, 1.0, -0.001)  # a clock that was set back
    record(meter, 1.0, 1e9)
    assert meter.window(1.0, 60).count == 2
    assert math.isfinite(meter.window(1.0, 60).histogram.quantiles(1.0)[0])
