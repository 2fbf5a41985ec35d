"""Panels of charts and of facts, laid out in the space that there is."""

from __future__ import annotations

from dataclasses import dataclass

from tui.render.charts import area, scale, spark
from tui.render.text import Line, Span, Tone, clip, line, pad, plain

LEAST_WIDTH = 40  # narrower, a minute of history no longer fits
GAP = 3  # blanks between charts side by side


@dataclass(frozen=True, slots=True)
class Chart:
    """`floor`: the least top of its scale, so that an idle line stays low."""

    label: str
    value: str
    values: tuple[float | None, ...]
    floor: float


def _head(chart: Chart, width: int) -> Line:
    gap = max(1, width - len(chart.label) - len(chart.value))
    return clip(line((chart.label, Tone.MUTED), " " * gap, (chart.value, Tone.STRONG)), width)


def _small(chart: Chart, width: int) -> list[Line]:
    """One line: label, curve, value."""
    label, value = chart.label.split(", ")[0][:8].ljust(9), " " + chart.value.split(", ")[0].rjust(10)
    curve = spark(chart.values, max(0, width - len(label) - len(value)), scale(chart.values, chart.floor))
    return [line((label, Tone.MUTED), (curve, Tone.ACCENT), (value, Tone.STRONG))]


def _toned(rows: list[str]) -> list[Line]:
    """The edge of a curve in full colour, what lies below it dimmed."""
    lines: list[Line] = []
    for at, row in enumerate(rows):
        above = rows[at - 1] if at else " " * len(row)
        runs: list[Span] = []
        for block, higher in zip(row, above, strict=True):
            tone = Tone.DIM if higher != " " else Tone.ACCENT
            if runs and runs[-1].tone is tone:
                runs[-1] = Span(runs[-1].text + block, tone)
            else:
                runs.append(Span(block, tone))
        lines.append(tuple(runs))
    return lines


def _large(chart: Chart, width: int, height: int) -> list[Line]:
    """A head line and the curve below it."""
    return [_head(chart, width), *_toned(area(chart.values, width, height - 1, scale(chart.values, chart.floor)))]


def _columns(count: int, width: int) -> int:
    """As many columns as are readable, and no row of them left half empty."""
    most = max(1, min(count, width // LEAST_WIDTH))
    return next(columns for columns in range(most, 0, -1) if count % columns == 0)


def draw(charts: list[Chart], width: int, height: int) -> list[Line]:
    """The charts in the space there is: side by side when wide, else below each other, else a line each."""
    if not charts or width < 10 or height < 1:
        return []
    columns = _columns(len(charts), width)
    tall = height // (len(charts) // columns)
    if tall < 2:
        return [row for chart in charts[:height] for row in _small(chart, width)]
    between = 1 if tall > 3 else 0
    each = (width - GAP * (columns - 1)) // columns
    lines: list[Line] = []
    for start in range(0, len(charts), columns):
        blocks = [_large(chart, each, tall - between) for chart in charts[start : start + columns]]
        for parts in zip(*blocks, strict=True):
            joined: Line = ()
            for part in parts:
                joined = (*joined, *pad(part, each), Span(" " * GAP))
            lines.append(joined[:-1])
        lines += [()] * between
    return lines[: len(lines) - between]


def columns_of_facts(facts: list[tuple[str, Line]], width: int) -> list[Line]:
    """Labels and values in as many columns as fit, filled downwards."""
    label = max((len(name) for name, _ in facts), default=0) + 2
    longest = max((len(plain(value)) for _, value in facts), default=0)
    fits = max(1, min(3, width // (label + longest + 1)))
    rows = -(-len(facts) // fits)
    each = width // fits
    lines: list[Line] = []
    for row in range(rows):
        joined: Line = ()
        for at in range(row, len(facts), rows):
            name, value = facts[at]
            joined = (*joined, *pad(clip((Span(name.ljust(label), Tone.MUTED), *value), each - 1), each))
        lines.append(joined)
    return lines
