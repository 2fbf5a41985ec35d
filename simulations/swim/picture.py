"""Three charts: detection against size, load against size, false alarms against loss. Hovering shows figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from simulations.pen import Pen
from simulations.swim.report import known_limit, of_kind, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulations.swim.measure import Result

LEFT, RIGHT, TOP = 64, 24, 44
WIDTH, HEIGHT, GAP = 620, 230, 74
BLUE, GREEN, RED, ORANGE, GREY = "#3c62a8", "#4f8f6b", "#c8402f", "#e8833a", "#999999"
CHARACTER = 5.8  # pixels of a letter of a label


class Series(NamedTuple):
    """Points of one line, by rising x."""

    name: str
    colour: str
    points: list[tuple[float, float]]


class Axis(NamedTuple):
    """One direction of a chart; `position` places a value between its ends, as 0..1."""

    position: Callable[[float], float]
    marks: list[tuple[float, str]]


def draw(result: Result) -> str:
    """The picture of `result`."""
    pen = Pen()
    top = float(TOP)
    if result.sizes:
        nodes = _log_axis([size.nodes for size in result.sizes])
        _chart(pen, top, "Seconds from a kill until...; members", nodes, *_detection(result))
        top += HEIGHT + GAP
        _chart(pen, top, "Bytes a member sends per second; members", nodes, *_load(result))
        top += HEIGHT + GAP
    if result.alarms:
        loss = _linear_axis([100 * alarms.loss for alarms in result.alarms], " %")
        _chart(pen, top, "Living members suspected, per member and hour; packets lost", loss, *_alarms(result))
        top += HEIGHT + GAP
    pen.text(LEFT, 20, "Membership alone", size=16, weight="bold")
    return pen.svg(LEFT + WIDTH + RIGHT, top)


def _detection(result: Result) -> tuple[Axis, list[Series]]:
    def line(name: str, colour: str, what: str, percent: float, *, machine: bool) -> Series:
        points = [
            (float(size.nodes), percentile((getattr(death, what) for death in deaths), percent))
            for size in result.sizes
            if (deaths := of_kind(size, machine=machine))
        ]
        return Series(name, colour, points)

    series = [
        line("power cut: suspected, p50", ORANGE, "suspected", 50, machine=True),
        line("all know, p50", BLUE, "known", 50, machine=True),
        line("all know, p99", RED, "known", 99, machine=True),
        line("crash: all know, p99", GREEN, "known", 99, machine=False),
        Series(
            "limit of power cuts",
            GREY,
            [(float(size.nodes), known_limit(size.nodes, machine=True)) for size in result.sizes],
        ),
    ]
    return _linear_axis([y for each in series for _, y in each.points], " s"), series


def _load(result: Result) -> tuple[Axis, list[Series]]:
    series = [
        Series("at rest", BLUE, [(float(size.nodes), size.rest.bytes) for size in result.sizes]),
        Series("at rest, the most", GREEN, [(float(size.nodes), size.rest.most_bytes) for size in result.sizes]),
        Series("around a death", RED, [(float(size.nodes), size.around.bytes) for size in result.sizes]),
    ]
    return _linear_axis([y for each in series for _, y in each.points], ""), series


def _alarms(result: Result) -> tuple[Axis, list[Series]]:
    series = []
    for nodes, colour in zip(sorted({alarms.nodes for alarms in result.alarms}), _colours(), strict=False):
        of_size = [alarms for alarms in result.alarms if alarms.nodes == nodes]
        points = [(100 * alarms.loss, alarms.suspected_per_hour) for alarms in of_size]
        series.append(Series(f"{nodes} members", colour, points))
    return _linear_axis([y for each in series for _, y in each.points], ""), series


def _colours() -> tuple[str, ...]:
    return BLUE, GREEN, RED, ORANGE, GREY


def _log_axis(values: Sequence[float]) -> Axis:
    low, high = math.log(min(values)), math.log(max(values))
    span = (high - low) or 1.0
    return Axis(lambda x: (math.log(x) - low) / span, [(value, f"{value:g}") for value in values])


def _linear_axis(values: Sequence[float], unit: str) -> Axis:
    """From 0 to a round number above all of `values`."""
    most = max([value for value in values if math.isfinite(value)] + [1e-9])
    step = 10.0 ** math.floor(math.log10(most))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if most / each <= 6)
    top = step * math.ceil(most / step)
    return Axis(lambda y: y / top, [(step * at, f"{step * at:g}{unit}") for at in range(round(top / step) + 1)])


def _chart(pen: Pen, top: float, name: str, across: Axis, up: Axis, series: Sequence[Series]) -> None:
    def x(value: float) -> float:
        return LEFT + WIDTH * across.position(value)

    def y(value: float) -> float:
        return top + HEIGHT * (1 - up.position(value))

    pen.text(8, top - 8, name, fill="#333")
    for value, text in up.marks:
        pen.line(LEFT, y(value), LEFT + WIDTH, y(value), "#dddddd")
        pen.text(LEFT - 6, y(value) + 4, text, anchor="end", size=10, fill="#777")
    for value, text in across.marks:
        pen.line(x(value), top + HEIGHT, x(value), top + HEIGHT + 5, "#777")
        pen.text(x(value), top + HEIGHT + 17, text, anchor="middle", size=10, fill="#555")
    legend = float(LEFT)
    for each in series:
        pen.rect(legend, top + HEIGHT + 26, 10, 10, each.colour)
        pen.text(legend + 14, top + HEIGHT + 35, each.name, fill="#333")
        legend += 28 + CHARACTER * len(each.name)
        for (x1, y1), (x2, y2) in zip(each.points, each.points[1:], strict=False):
            pen.line(x(x1), y(y1), x(x2), y(y2), each.colour, width=1.5)
        for at, value in each.points:
            pen.dot(x(at), y(value), 3, each.colour, f"{each.name}: {value:.2f} at {at:g}")
