from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.render.charts import AIR, area, scale, spark
from tui.render.panels import Chart, columns_of_facts, draw
from tui.render.text import Tone, clip, line, pad, plain

VALUES = st.lists(st.none() | st.floats(-10, 1e9), max_size=50)


def test_spark_grows_from_the_right_and_leaves_gaps():
    assert spark([0, 50, None, 100], 6, 100) == "  ▁▄ █"


def test_area_stacks_blocks():
    assert area([25, 50, 75, 100], 4, 2, 100) == ["  ▄█", "▄███"]


def test_nothing_is_drawn_without_space():
    assert area([1.0], 0, 3, 1) == [] == area([1.0], 3, 0, 1)
    assert spark([1.0], 0, 1) == ""
    assert draw([Chart("CPU", "1%", (1.0,), 100)], 5, 5) == [] == draw([], 80, 5)


def test_values_outside_the_scale_stay_inside_the_chart():
    assert spark([-5, 500], 2, 100) == "▁█"
    assert spark([1, 2], 2, 0) == "▁▁"


@given(VALUES, st.integers(1, 60), st.integers(1, 5), st.floats(0, 1e6))
def test_area_has_the_size_asked_for(values, width, height, top):
    rows = area(values, width, height, top)
    assert [len(row) for row in rows] == [width] * height


def test_scale_has_a_floor_and_air_above_a_peak():
    assert scale([1, None, 2], 100) == 100
    assert scale([200], 100) == 200 * AIR
    assert scale([], 7) == 7


def _charts(count: int) -> list[Chart]:
    return [Chart(f"chart {at}", "1 ms", tuple(float(n) for n in range(200)), 10) for at in range(count)]


@given(st.integers(1, 6), st.integers(10, 200), st.integers(1, 60))
def test_charts_never_overflow_their_panel(count, width, height):
    lines = draw(_charts(count), width, height)
    assert 0 < len(lines) <= height
    assert max(len(plain(item)) for item in lines) <= max(width, 20)


def test_wide_panels_put_charts_side_by_side():
    assert plain(draw(_charts(4), 100, 12)[0]).count("chart") == 2
    assert plain(draw(_charts(3), 150, 8)[0]).count("chart") == 3
    assert plain(draw(_charts(4), 39, 8)[0]).count("chart") == 1
    assert [plain(item).split()[0] for item in draw(_charts(3), 70, 3)] == ["chart"] * 3


def test_the_body_of_a_curve_is_dim_and_its_edge_is_not():
    rows = draw([Chart("CPU", "9", (100.0,), 100)], 20, 3)
    assert rows[1][-1].tone is Tone.ACCENT
    assert rows[2][-1].tone is Tone.DIM


def test_facts_fill_columns_downwards():
    facts = [(name, line(name.lower())) for name in ("A", "B", "C", "D", "E")]
    assert [plain(item).split() for item in columns_of_facts(facts, 12)] == [
        ["A", "a", "D", "d"],
        ["B", "b", "E", "e"],
        ["C", "c"],
    ]
    assert len(columns_of_facts(facts, 3)) == 5
    assert columns_of_facts([], 80) == []


def test_clip_and_pad():
    text = line("abc", ("def", Tone.BAD))
    assert [plain(clip(text, width)) for width in (6, 5, 3, 1, 0)] == ["abcdef", "abcd…", "ab…", "…", ""]
    assert clip(text, 5)[1].tone is Tone.BAD
    assert plain(pad(text, 8)) == "abcdef  "
    assert pad(text, 2) is text
